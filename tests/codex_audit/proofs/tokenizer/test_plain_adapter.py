"""What a method of a plain subject gives is told as it is where it is of the wrong form."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from codex_audit.outcome import Verdict
from codex_audit.proofs.tokenizer.adapters.plain import PlainSubject
from codex_audit.proofs.tokenizer.proof import Trial, battery, try_proof
from codex_audit.proofs.tokenizer.subject import (
    LacksError,
    WrongFormError,
    is_of_tiktoken,
    is_refused,
)

if TYPE_CHECKING:
    from pathlib import Path


class OfAnotherLibrary:
    """Its batches are rows, a count and a time; what it cannot decode is nothing."""

    def encode(self, text: str) -> list[int]:
        return [ord(letter) for letter in text]

    def decode(self, ids: list[int]) -> str | None:
        return "".join(map(chr, ids)) or None

    def encode_batch(self, texts: list[str]) -> tuple[list[list[int]], int, float]:
        return [self.encode(text) for text in texts], len(texts), 0.1


@pytest.mark.parametrize(
    ("texts", "told"), [(["a"], "3 rows for 1 texts"), (["a"] * 3, "[[97], [97], [97]], not a list of ids")]
)  # fmt: skip
def test_rows_of_another_form(texts: list[str], told: str) -> None:
    with pytest.raises(WrongFormError, match=re.escape(told)):
        PlainSubject(OfAnotherLibrary()).encode_batch(texts)


def test_no_text() -> None:
    with pytest.raises(WrongFormError, match="None, not a text"):
        PlainSubject(OfAnotherLibrary()).decode([])


class LikeTiktoken:
    """Refuses what spells its special token, unless it is told to take it as text."""

    all_special_ids = (0x110000,)

    def encode(self, text: str, *, disallowed_special: object = "all") -> list[int]:
        if "<|end|>" in text and disallowed_special:
            raise ValueError("disallowed special token: pass `disallowed_special=()`")
        return [ord(letter) for letter in text]

    def decode(self, ids: list[int]) -> str:
        return "".join(
            "<|end|>" if number == self.all_special_ids[0] else chr(number) for number in ids
        )


class Around:
    """Hands on what it is given."""

    def __init__(self) -> None:
        self.inner = LikeTiktoken()
        self.all_special_ids = self.inner.all_special_ids
        self.decode = self.inner.decode

    def encode(self, text: str, **more: object) -> list[int]:
        return self.inner.encode(text, **more)


class Closed(Around):
    """Hands on nothing."""

    def encode(self, text: str) -> list[int]:  # type: ignore[override]
        return self.inner.encode(text)


def test_what_spells_a_special_token_is_taken_as_text_where_that_can_be_asked_for() -> None:
    assert PlainSubject(Around()).encode("a<|end|>") == list(map(ord, "a<|end|>"))


def test_a_refusal_of_special_tokens_is_no_fault(tmp_path: Path) -> None:
    subject = PlainSubject(Closed())
    with pytest.raises(ValueError, match="disallowed") as refused:
        subject.encode("<|end|>")
    assert is_of_tiktoken(refused.value)
    trial = Trial(subject=subject, texts={"plain": "a b"}, scratch=tmp_path, examples=20)
    check = try_proof(battery()["special_text_is_text"], trial)
    assert check.verdict is Verdict.PASS, check.summary
    assert check.summary.endswith("are text; 5 of them are refused")
    assert is_refused(subject, "<|end|>")
    assert not is_refused(subject, "<|begin|>")


class LikeMinbpe(LikeTiktoken):
    special_tokens = {"<|end|>": 0x110000}  # noqa: RUF012 - as minbpe has it

    def encode(self, text: str, *, disallowed_special: object = "all") -> list[int]:
        assert "<|end|>" not in text
        assert "\0" not in text
        return super().encode(text, disallowed_special=disallowed_special)


def test_an_assertion_about_special_tokens_is_told_from_others() -> None:
    subject = PlainSubject(LikeMinbpe())
    assert is_refused(subject, "a<|end|>")
    assert not is_refused(subject, "a\0")
    assert not is_refused(subject, "a\0<|end|>")


def test_special_ids_that_are_a_list_have_the_names_that_they_decode_to() -> None:
    assert PlainSubject(Around()).special_ids == {"<|end|>": 0x110000}


def test_of_many_special_tokens_some_are_shown(tmp_path: Path) -> None:
    inner = LikeTiktoken()
    inner.special_ids = {f"<{n}>": 0x110000 + n for n in range(1000)}  # type: ignore[attr-defined]
    trial = Trial(subject=PlainSubject(inner), texts={}, scratch=tmp_path)
    check = try_proof(battery()["special_ids_distinct"], trial)
    assert check.verdict is Verdict.PASS
    assert check.summary.endswith("<7>=1114119 and 992 more: no id belongs to two tokens")


class LikeLlama:
    def encode(self, text: str, bos: bool, eos: bool) -> list[int]:
        return [1] * bos + [ord(letter) + 3 for letter in text] + [2] * eos

    def decode(self, ids: list[int]) -> str:
        return "".join(chr(number - 3) for number in ids if number > 2)


def test_arguments_for_begin_and_end_are_given() -> None:
    subject = PlainSubject(LikeLlama())
    assert subject.encode("a") == [ord("a") + 3]
    assert subject.encode("a", special=True) == [1, ord("a") + 3, 2]


@pytest.mark.parametrize("told", [["a", "b"], {"a": 0, "b": 1}, [(0, "a"), (1, "b")]])
def test_vocabularies_of_several_forms(told: object) -> None:
    inner = LikeLlama()
    inner.vocab = lambda: told  # type: ignore[attr-defined]
    assert PlainSubject(inner).vocabulary() == [("a", 0), ("b", 1)]


def test_a_negative_padding_id_is_none() -> None:
    inner = LikeLlama()
    inner.pad_id = -1  # type: ignore[attr-defined]
    assert PlainSubject(inner).pad_id is None


def test_bytes_that_are_shown_alike_are_no_vocabulary() -> None:
    inner = LikeLlama()
    inner.vocab = lambda: ["a", "\ufffd", "\ufffd"]  # type: ignore[attr-defined]
    with pytest.raises(LacksError, match="U\\+FFFD"):
        PlainSubject(inner).vocabulary()
