"""A small tokenizer of each library, made here: nothing is fetched."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import sentencepiece
import tiktoken
import transformers

from codex_ml.tokenization import (
    HuggingFaceTokenizer,
    SentencePieceTokenizer,
    TiktokenTokenizer,
    TransformersTokenizer,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from codex_ml.tokenization.protocol import Adapter

CORPUS = ["the cat sat on the mat", "the dog sat on the log", "caf\u00e9 \u4f60\u597d"] * 20
PROSE = """
It was the best of times, it was the worst of times, it was the age of wisdom, it was the age of
foolishness, it was the epoch of belief, it was the epoch of incredulity, it was the season of
light, it was the season of darkness, it was the spring of hope, it was the winter of despair, we
had everything before us, we had nothing before us, we were all going direct to heaven, we were
all going direct the other way; in short, the period was so far like the present period, that some
of its noisiest authorities insisted on its being received, for good or for evil, in the
superlative degree of comparison only.
"""
HARD = [
    "", " ", " the  cat ,\r\n", "a\tb\n\n\nc ", "\U0001f468\u200d\U0001f469", "cafe\u0301",
    "<pad> is <eos> text", "</s> <s> [UNK]", "## ##the", "the cat sat on the mat" * 20,
]  # fmt: skip


def huggingface() -> HuggingFaceTokenizer:
    return HuggingFaceTokenizer.train(CORPUS, vocab_size=300)


def transformers_fast() -> TransformersTokenizer:
    inner = HuggingFaceTokenizer.train(CORPUS, vocab_size=300).inner
    made: Any = transformers.PreTrainedTokenizerFast
    fast = made(tokenizer_object=inner, pad_token="<pad>", bos_token="<bos>", eos_token="<eos>")
    return TransformersTokenizer(fast)


def transformers_slow() -> TransformersTokenizer:
    return TransformersTokenizer(transformers.ByT5Tokenizer(extra_ids=0))


def sentencepieces() -> SentencePieceTokenizer:
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(CORPUS), model_writer=model, vocab_size=300, model_type="bpe",
        pad_id=0, unk_id=1, bos_id=2, eos_id=3, byte_fallback=True, add_dummy_prefix=False,
        normalization_rule_name="identity", remove_extra_whitespaces=False,
        hard_vocab_limit=False, minloglevel=2,
    )  # fmt: skip
    return SentencePieceTokenizer(
        sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
    )


def tiktokens() -> TiktokenTokenizer:
    pieces = [bytes([value]) for value in range(256)]
    pieces += [b"th", b"the", b" c", b"at", b" cat", b" s", b" sat", b"  "]
    encoding = tiktoken.Encoding(
        "small",
        pat_str=r" ?\p{L}+|\s+|[^\s\p{L}]+",
        mergeable_ranks={piece: rank for rank, piece in enumerate(pieces)},
        special_tokens={"<bos>": 264, "<eos>": 265, "<pad>": 266},
    )
    return TiktokenTokenizer(encoding, pad="<pad>", bos="<bos>", eos="<eos>")


MAKERS: dict[str, Callable[[], Adapter]] = {
    "tokenizers": huggingface,
    "transformers fast": transformers_fast,
    "transformers slow": transformers_slow,
    "sentencepiece": sentencepieces,
    "tiktoken": tiktokens,
}
