"""Text comes back, batches are padded, files load to the same."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from codex_ml.tokenization import BOS, EOS, PAD, HuggingFaceTokenizer, Tokenizer

if TYPE_CHECKING:
    from pathlib import Path

CORPUS = ["the cat sat on the mat", "the dog sat on the log", "caf\u00e9 \u4f60\u597d"] * 5


@pytest.fixture(scope="module")
def tokenizer() -> HuggingFaceTokenizer:
    return HuggingFaceTokenizer.train(CORPUS, vocab_size=300)


def test_it_keeps_the_protocol(tokenizer: HuggingFaceTokenizer) -> None:
    subject: Tokenizer = tokenizer
    assert subject.vocab_size <= 300
    assert subject.special_ids == {PAD: 0, BOS: 1, EOS: 2}
    assert subject.pad_id == 0


def test_merges_are_learnt_and_text_comes_back(tokenizer: HuggingFaceTokenizer) -> None:
    assert len(tokenizer.encode("the cat", special=False)) < len("the cat")
    for text in ("", " the  cat ,\r\n", "\U0001f468\u200d\U0001f469", "<pad> is <eos> text"):
        ids = tokenizer.encode(text)
        assert (ids[0], ids[-1]) == (1, 2)
        assert not {0, 1, 2} & set(ids[1:-1])
        assert tokenizer.decode(ids) == text


def test_threads_that_cut_differently_do_not_disturb_each_other(
    tokenizer: HuggingFaceTokenizer,
) -> None:
    texts = [" ".join(CORPUS)] * 20
    lengths = [8, 16, None]
    expected = {length: tokenizer.encode_batch(texts, max_length=length) for length in lengths}

    def differ(length: int | None) -> int:
        found = (tokenizer.encode_batch(texts, max_length=length) for _ in range(150))
        return sum(batch != expected[length] for batch in found)

    with ThreadPoolExecutor(3) as pool:
        assert list(pool.map(differ, lengths)) == [0, 0, 0]


def test_batches_are_cut_and_padded_and_single_texts_are_not(
    tokenizer: HuggingFaceTokenizer,
) -> None:
    texts = ["the", "the cat sat on the mat", ""]
    batch = tokenizer.encode_batch(texts, max_length=5, pad_to=6)
    assert [len(row) for row in batch.ids] == [6, 6, 6]
    assert batch.ids[1][0] == 1
    assert batch.ids[1][4:] == [2, 0]
    assert batch.mask[1] == [1, 1, 1, 1, 1, 0]
    assert batch.ids[2] == [1, 2, 0, 0, 0, 0]
    assert len(tokenizer.encode(texts[1])) > 5
    assert tokenizer.encode_batch([]).ids == []


def test_lengths_that_cannot_be_are_refused(tokenizer: HuggingFaceTokenizer) -> None:
    with pytest.raises(ValueError, match="leave no room"):
        tokenizer.encode_batch(["a"], max_length=2)
    with pytest.raises(ValueError, match="pad_to=3: a text has"):
        tokenizer.encode_batch(["the cat sat"], pad_to=3)
    with pytest.raises(ValueError, match="take 259"):
        HuggingFaceTokenizer.train(CORPUS, vocab_size=258)


def test_a_saved_file_loads_to_the_same(tokenizer: HuggingFaceTokenizer, tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.json"
    tokenizer.save(path)
    loaded = HuggingFaceTokenizer.load(path)
    assert loaded.inner.to_str() == tokenizer.inner.to_str()
    assert loaded.encode(CORPUS[2]) == tokenizer.encode(CORPUS[2])


def test_declared_padding_is_used_and_an_unknown_token_refused(
    tokenizer: HuggingFaceTokenizer, tmp_path: Path
) -> None:
    path = tmp_path / "tokenizer.json"
    tokenizer.save(path)
    path.write_text(path.read_text().replace(PAD, "<fill>"))
    assert HuggingFaceTokenizer.load(path).pad_id == 0
    with pytest.raises(ValueError, match="no token '<none>'"):
        HuggingFaceTokenizer.load(path, pad="<none>")


def test_training_twice_gives_the_same_tokenizer(tokenizer: HuggingFaceTokenizer) -> None:
    again = HuggingFaceTokenizer.train(CORPUS, vocab_size=300)
    assert again.inner.to_str() == tokenizer.inner.to_str()


def test_a_missing_package_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(ModuleNotFoundError, match=r"codex-audit\[tokenizer\]"):
        HuggingFaceTokenizer.train(CORPUS)
