"""One behaviour over four libraries: texts come back, batches agree, special tokens are safe."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest
from tokenizer_makers import HARD, MAKERS, sentencepieces, tiktokens

from codex_ml.tokenization import (
    SentencePieceTokenizer,
    TiktokenTokenizer,
    Tokenizer,
    TransformersTokenizer,
    pack,
)

if TYPE_CHECKING:
    from pathlib import Path

    from codex_ml.tokenization.protocol import Adapter


@pytest.fixture(scope="module", params=list(MAKERS))
def tokenizer(request: pytest.FixtureRequest) -> Adapter:
    return MAKERS[request.param]()


@pytest.mark.parametrize("text", HARD)
def test_text_comes_back_and_cannot_forge_special_tokens(tokenizer: Adapter, text: str) -> None:
    protocol: Tokenizer = tokenizer
    plain = protocol.encode(text, special=False)
    assert protocol.decode(plain) == text
    assert not set(plain) & set(protocol.special_ids.values())
    whole = protocol.encode(text)
    assert protocol.decode(whole) == text
    assert set(whole) - set(plain) <= set(protocol.special_ids.values())
    assert len(whole) > len(plain)
    assert all(0 <= token < protocol.vocab_size for token in whole)


@pytest.mark.parametrize("special", [True, False])
def test_a_batch_holds_what_single_texts_give(tokenizer: Adapter, special: bool) -> None:
    right = tokenizer.encode_batch(HARD, special=special)
    left = tokenizer.encode_batch(HARD, special=special, padding_side="left")
    longest = max(len(tokenizer.encode(text, special=special)) for text in HARD)
    for number, text in enumerate(HARD):
        row = tokenizer.encode(text, special=special)
        gap = longest - len(row)
        assert right.ids[number] == row + [tokenizer.pad_id] * gap
        assert right.mask[number] == [1] * len(row) + [0] * gap
        assert left.ids[number] == [tokenizer.pad_id] * gap + row
        assert left.mask[number] == [0] * gap + [1] * len(row)


def test_rows_are_cut_at_either_side_between_their_special_tokens(tokenizer: Adapter) -> None:
    text = "abc def the cat"
    whole, plain = tokenizer.encode(text), tokenizer.encode(text, special=False)
    begin, end = whole[: whole.index(plain[0])], whole[whole.index(plain[0]) + len(plain) :]
    room = 7 - len(begin) - len(end)
    cut = tokenizer.encode_batch([text, "x"], max_length=7, pad_to=9)
    assert cut.ids[0] == begin + plain[:room] + end + [tokenizer.pad_id] * 2
    late = tokenizer.encode_batch([text, "x"], max_length=7, truncation_side="left")
    assert late.ids[0] == begin + plain[-room:] + end
    assert late.ids[1][: late.mask[1].count(1)] == tokenizer.encode("x")
    assert tokenizer.encode(text) == whole
    bare = tokenizer.encode_batch([text], special=False, max_length=2)
    assert bare.ids == [plain[:2]]


def test_lengths_that_cannot_be_are_refused_and_no_text_is_no_row(tokenizer: Adapter) -> None:
    least = len(tokenizer.encode(""))
    with pytest.raises(ValueError, match=f"{least} special tokens leave no room"):
        tokenizer.encode_batch(["a"], max_length=least)
    with pytest.raises(ValueError, match="pad_to=1: a text has"):
        tokenizer.encode_batch(["abc"], pad_to=1)
    assert tokenizer.encode_batch([]).ids == []


def test_packing_loses_nothing_but_the_rest() -> None:
    rows = [[1, 2, 3], [], [4], [5, 6, 7, 8, 9, 10, 11]]
    assert list(pack(rows, 2)) == [[1, 2], [3, 4], [5, 6], [7, 8], [9, 10]]
    assert list(pack(iter(rows), 4)) == [[1, 2, 3, 4], [5, 6, 7, 8]]
    with pytest.raises(ValueError, match="length=0"):
        list(pack(rows, 0))


def test_a_token_that_is_not_there_is_refused() -> None:
    with pytest.raises(ValueError, match="'<none>' is no special token of small: <bos>"):
        TiktokenTokenizer(tiktokens().inner, pad="<none>")
    with pytest.raises(ValueError, match="no padding piece '<none>'"):
        SentencePieceTokenizer(sentencepieces().inner, pad="<none>")
    fast = MAKERS["transformers fast"]()
    assert isinstance(fast, TransformersTokenizer)
    with pytest.raises(ValueError, match="no padding token '<none>'"):
        TransformersTokenizer(fast.tokenizer, pad="<none>")


def test_files_that_are_no_tokenizer_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_text('{"name": "x"}')
    with pytest.raises(ValueError, match=r"x: not a SentencePiece model"):
        SentencePieceTokenizer.load(path)
    with pytest.raises(ValueError, match=r"x: not a saved encoding .*pat_str"):
        TiktokenTokenizer.load(path, pad="<pad>")
    with pytest.raises(NotADirectoryError, match="not a directory"):
        TransformersTokenizer.load(path)


@pytest.mark.parametrize(
    ("name", "adapter"),
    [
        ("sentencepiece", SentencePieceTokenizer),
        ("transformers", TransformersTokenizer),
    ],
)
def test_a_missing_library_names_the_extra(
    name: str,
    adapter: type[SentencePieceTokenizer],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, name, None)
    (tmp_path / "file").write_text("")
    path = tmp_path if name == "transformers" else tmp_path / "file"
    with pytest.raises(ModuleNotFoundError, match=rf"{name}.*codex-audit\[text\]"):
        adapter.load(path)
