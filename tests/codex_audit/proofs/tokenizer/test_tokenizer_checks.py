"""Each check fails on a tokenizer that is broken in just that way."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from codex_audit.outcome import Verdict
from codex_audit.proofs.tokenizer import checks
from codex_audit.proofs.tokenizer.run import padding_token
from codex_audit.proofs.tokenizer.texts import HARD_TEXTS
from codex_ml.tokenization import Batch

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

TEXTS = {"empty": "", "short": "ab", "long": "abc d\u00e9f"}


class Points:
    """Code points as ids, between 1 and 2; 0 pads."""

    pad_id = 0

    def encode(self, text: str, *, special: bool = True) -> list[int]:
        ids = [ord(character) for character in text]
        return [1, *ids, 2] if special else ids

    def decode(self, ids: Sequence[int]) -> str:
        return "".join(chr(number) for number in ids if number > 2)

    def encode_batch(
        self, texts: Sequence[str], *, max_length: int | None = None, pad_to: int | None = None
    ) -> Batch:
        rows = [self.encode(text)[: max_length or None] for text in texts]
        length = pad_to or max(map(len, rows))
        return Batch(
            [row + [self.pad_id] * (length - len(row)) for row in rows],
            [[1] * len(row) + [0] * (length - len(row)) for row in rows],
        )

    def save(self, path: Path) -> str:
        path.write_text("points")
        return "hash"


def test_a_sound_tokenizer_passes_all(tmp_path: Path) -> None:
    sound = Points()
    document = {"added_tokens": [{"id": 1, "content": "<s>", "special": True}]}
    for check in (
        checks.round_trip(sound, TEXTS),
        checks.batch_equals_single(sound, TEXTS),
        checks.padding(sound, TEXTS),
        checks.special_ids_distinct(sound, TEXTS, document),
        checks.save_load(sound, TEXTS, tmp_path / "t.json", lambda _: Points()),
        checks.new_process_same_ids(TEXTS, {n: [1] for n in TEXTS}, {n: [1] for n in TEXTS}),
    ):
        assert check.verdict is Verdict.PASS, check.summary


def test_a_lost_letter_is_named_with_its_code_point() -> None:
    class Folds(Points):
        def decode(self, ids: Sequence[int]) -> str:
            return super().decode(ids).replace("\u00e9", "e")

    check = checks.round_trip(Folds(), TEXTS)
    assert check.verdict is Verdict.FAIL
    assert r'shortest: "\u00e9" (U+00E9) becomes "e" (U+0065)' in check.summary


def test_a_batch_that_inherits_a_setting_fails() -> None:
    class Cuts(Points):
        def encode(self, text: str, *, special: bool = True) -> list[int]:
            return super().encode(text, special=special)[:5]

        def encode_batch(
            self, texts: Sequence[str], *, max_length: int | None = None, pad_to: int | None = None
        ) -> Batch:
            return Points().encode_batch(texts, max_length=max_length, pad_to=pad_to)

    check = checks.batch_equals_single(Cuts(), TEXTS)
    assert check.verdict is Verdict.FAIL
    assert "1 texts have other ids in a batch" in check.summary


def test_wrong_filling_wrong_masks_and_wrong_lengths_fail() -> None:
    class Fills(Points):
        def encode_batch(
            self, texts: Sequence[str], *, max_length: int | None = None, pad_to: int | None = None
        ) -> Batch:
            batch = super().encode_batch(texts, max_length=max_length, pad_to=pad_to)
            return Batch([[n or 9 for n in row] for row in batch.ids], batch.mask)

    class Masks(Points):
        def encode_batch(
            self, texts: Sequence[str], *, max_length: int | None = None, pad_to: int | None = None
        ) -> Batch:
            batch = super().encode_batch(texts, max_length=max_length, pad_to=pad_to)
            return Batch(batch.ids, [[1] * len(row) for row in batch.mask])

    class Ignores(Points):
        def encode_batch(
            self, texts: Sequence[str], *, max_length: int | None = None, pad_to: int | None = None
        ) -> Batch:
            del max_length, pad_to
            return super().encode_batch(texts)

    assert "masked and holds id 9" in checks.padding(Fills(), TEXTS).summary
    assert "has the padding id 0" in checks.padding(Masks(), TEXTS).summary
    check = checks.padding(Ignores(), TEXTS)
    assert "has 9 ids and 9 masks, not 12" in check.summary
    assert check.verdict is Verdict.FAIL


def test_shared_and_reachable_special_ids_fail() -> None:
    shared: dict[str, Any] = {
        "added_tokens": [
            {"id": 1, "content": "<s>", "special": True},
            {"id": 1, "content": "</s>", "special": True},
        ]
    }
    check = checks.special_ids_distinct(Points(), TEXTS, shared)
    assert check.verdict is Verdict.FAIL
    assert "id 1 belongs to '</s>' and '<s>'" in check.summary
    reachable = {"added_tokens": [{"id": ord("b"), "content": "<b>", "special": True}]}
    check = checks.special_ids_distinct(Points(), TEXTS, reachable)
    assert check.verdict is Verdict.FAIL
    assert "\"b\" (U+0062) is encoded with '<b>', id 98" in check.summary
    assert checks.special_ids_distinct(Points(), TEXTS, {}).verdict is Verdict.SKIP


def test_what_stands_for_the_unknown_may_stand_for_text() -> None:
    document = {
        "added_tokens": [{"id": ord("b"), "content": "?", "special": True}],
        "model": {"unk_token": "?"},
    }
    assert checks.special_ids_distinct(Points(), TEXTS, document).verdict is Verdict.PASS


def test_a_load_that_differs_and_a_save_that_drifts_fail(tmp_path: Path) -> None:
    class Other(Points):
        def encode(self, text: str, *, special: bool = True) -> list[int]:
            return [number + 1 for number in super().encode(text, special=special)]

    class Drifts(Points):
        def save(self, path: Path) -> str:
            return str(path)

    check = checks.save_load(Points(), TEXTS, tmp_path / "t.json", lambda _: Other())
    assert '3 texts have other ids after saving and loading; shortest: ""' in check.summary
    assert check.verdict is Verdict.FAIL
    check = checks.save_load(Drifts(), TEXTS, tmp_path / "t.json", lambda _: Drifts())
    assert "saved twice, the files differ" in check.summary


def test_other_ids_in_a_new_process_fail() -> None:
    here = {name: [1] for name in TEXTS}
    check = checks.new_process_same_ids(TEXTS, here, {**here, "short": [2]})
    assert check.verdict is Verdict.FAIL
    assert '"ab" (U+0061 U+0062) is [1] in one and [2] in the other' in check.summary


def test_the_padding_token_is_the_declared_one_or_one_of_that_name() -> None:
    assert padding_token({"padding": {"pad_token": "<fill>"}}) == "<fill>"
    added = [{"content": "[PAD]", "special": True}, {"content": "[CLS]", "special": True}]
    assert padding_token({"added_tokens": added}) == "[PAD]"
    assert padding_token({"added_tokens": added[1:], "padding": None}) is None


def test_the_hard_texts_are_distinct_and_hold_what_they_promise() -> None:
    assert len(set(HARD_TEXTS.values())) == len(HARD_TEXTS)
    joined = "".join(HARD_TEXTS.values())
    for needed in ("\u200d", "\r\n", "\u0301", "\u05d0", "\u4f60", " ,", "\U00020000"):
        assert needed in joined
    assert HARD_TEXTS["empty"] == ""
