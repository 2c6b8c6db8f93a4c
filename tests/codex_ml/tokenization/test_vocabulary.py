"""Vocabularies are learnt, lose nothing, and are the same again for the same texts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tokenizer_makers import CORPUS, HARD, PROSE

from codex_ml.tokenization import BOS, EOS, PAD, HuggingFaceTokenizer
from codex_ml.tokenization.vocabulary import CONTINUING

if TYPE_CHECKING:
    from codex_ml.tokenization.vocabulary import Model

SIZES: dict[Model, int] = {"bpe": 320, "wordpiece": 600, "unigram": 320}
# Every byte that UTF-8 has, at the start of a word and inside.
BYTES = " ".join(chr(point) * 2 for point in (*range(0x80, 0x800, 7), 0x800, 0xFFFD, 0x10FFFD))


@pytest.mark.parametrize("model", SIZES)
def test_each_kind_learns_and_loses_nothing(model: Model) -> None:
    tokenizer = HuggingFaceTokenizer.train([PROSE], vocab_size=SIZES[model], model=model)
    assert tokenizer.vocab_size <= SIZES[model]
    assert tokenizer.special_ids == {PAD: 0, BOS: 1, EOS: 2}
    assert len(tokenizer.encode(PROSE, special=False)) < len(PROSE) * 2 / 3
    for text in (*HARD, "\u2581the", BYTES, "".join(map(chr, range(128))), "x" * 2000):
        ids = tokenizer.encode(text)
        assert (ids[0], ids[-1]) == (1, 2)
        assert not {0, 1, 2} & set(ids[1:-1])
        assert tokenizer.decode(ids) == text


@pytest.mark.parametrize("model", ["bpe", "wordpiece"])
def test_the_same_texts_give_the_same_vocabulary(model: Model) -> None:
    size = SIZES[model]
    trained = [
        HuggingFaceTokenizer.train(iter([*CORPUS, PROSE]), vocab_size=size, model=model)
        for _ in range(4)
    ]
    assert len({tokenizer.inner.to_str() for tokenizer in trained}) == 1


def test_unigram_vocabularies_of_the_same_texts_are_nearly_the_same() -> None:
    one, other = (
        set(HuggingFaceTokenizer.train(CORPUS, vocab_size=400, model="unigram").inner.get_vocab())
        for _ in range(2)
    )
    assert len(one & other) > 0.9 * len(one)


def test_pieces_inside_a_word_are_marked() -> None:
    tokenizer = HuggingFaceTokenizer.train(CORPUS, vocab_size=520, model="wordpiece")
    tokens = tokenizer.inner.encode("theq", add_special_tokens=False).tokens
    assert tokens[0][0] != CONTINUING
    assert all(token[0] == CONTINUING for token in tokens[1:])


@pytest.mark.parametrize(("model", "least"), [("bpe", 259), ("wordpiece", 515), ("unigram", 259)])
def test_a_size_without_room_for_bytes_is_refused(model: Model, least: int) -> None:
    with pytest.raises(ValueError, match=f"take {least}"):
        HuggingFaceTokenizer.train(CORPUS, vocab_size=least - 1, model=model)
    with pytest.raises(ValueError, match="model='words'"):
        HuggingFaceTokenizer.train(CORPUS, model="words")  # type: ignore[arg-type]
