"""Mutants of batches, masks, frames and state between calls."""

from __future__ import annotations

import time
from typing import Any

from mutants.tokenizer.good import Points, byte_level_bpe, fast
from mutants.tokenizer.registry import mutant

Batch = dict[str, list[list[int]]]


@mutant("batch_equals_single", "batch")
class LosesTheLast(Points):
    """A batch of an odd size loses its last text."""

    def encode_batch(self, texts: list[str], **options: Any) -> Batch:
        return super().encode_batch(texts[: len(texts) // 2 * 2] or texts[:1], **options)


@mutant("batch_equals_single", "batch")
class SortsByLength(Points):
    """Rows come back sorted by length."""

    def encode_batch(self, texts: list[str], **options: Any) -> Batch:
        return super().encode_batch(sorted(texts, key=len), **options)


@mutant("batch_equals_single", "batch", "huggingface/transformers issue 24179")
class BatchesAreCut(Points):
    """A batch is cut to a default length that single texts do not have."""

    def encode_batch(self, texts: list[str], **options: Any) -> Batch:
        options["max_length"] = options.get("max_length") or 256
        return super().encode_batch(texts, **options)


@mutant("batch_equals_single", "batch")
class StripsInBatches(Points):
    """Texts are stripped on the way of batches only."""

    def encode_batch(self, texts: list[str], **options: Any) -> Batch:
        return super().encode_batch([text.strip() for text in texts], **options)


@mutant("padding", "padding")
class MaskOfOnes(Points):
    """The mask is 1 over padding."""

    def encode_batch(self, texts: list[str], **options: Any) -> Batch:
        found = super().encode_batch(texts, **options)
        width = options.get("pad_to")
        return {**found, "mask": [[1] * len(r) for r in found["mask"]]} if width else found


@mutant("padding", "padding", "a pad_id of another checkpoint")
class PadsWithALetter(Points):
    """Rows are filled with the id of a letter."""

    def encode_batch(self, texts: list[str], **options: Any) -> Batch:
        found = super().encode_batch(texts, **options)
        return {**found, "ids": [[number or 100 for number in row] for row in found["ids"]]}


@mutant("padding", "left", "deepjavalibrary/djl PR 2741")
class IgnoresTheSide(Points):
    """Padding is always at the right."""

    def encode_batch(
        self, texts: list[str], *, padding_side: str = "right", **options: Any
    ) -> Batch:
        del padding_side
        return super().encode_batch(texts, **options)


@mutant("padding", "padding")
class MaskOfTheOtherSide(Points):
    """Left padding with the mask of right padding."""

    def encode_batch(
        self, texts: list[str], *, padding_side: str = "right", **options: Any
    ) -> Batch:
        found = super().encode_batch(texts, padding_side=padding_side, **options)
        right = super().encode_batch(texts, **options)
        return {"ids": found["ids"], "mask": right["mask"]}


class _Noted(dict[str, Any]):
    """A batch with its special-token masks."""

    special_mask: list[list[int]]


@mutant("padding", "special-token mask")
class MarksTextAsSpecial(Points):
    """The special-token mask marks the first token of the text too."""

    def encode_batch(self, texts: list[str], **options: Any) -> Batch:
        found = _Noted(super().encode_batch(texts, **options))
        found.special_mask = [
            [int(number < 3 or place == 1) for place, number in enumerate(row)]
            for row in found["ids"]
        ]
        return found


@mutant("truncation", "truncation")
class CutsTheEnd(Points):
    """Truncation cuts the framed row, and so its end token."""

    def encode_batch(
        self, texts: list[str], *, max_length: int | None = None, **options: Any
    ) -> Batch:
        found = super().encode_batch(texts, **options)
        if max_length is None:
            return found
        width = options.get("pad_to") or max_length
        return {
            name: [row[: max(max_length, width)][:max_length] for row in rows]
            for name, rows in found.items()
        }


@mutant("truncation", "truncation", "huggingface/transformers issue 23889")
class CutsTheWrongSide(Points):
    """The truncation side is ignored."""

    def encode_batch(
        self, texts: list[str], *, truncation_side: str = "right", **options: Any
    ) -> Batch:
        del truncation_side
        return super().encode_batch(texts, **options)


@mutant("truncation", "truncation")
class CutsOneTooFew(Points):
    """Rows are cut to one more than was asked for."""

    def encode_batch(
        self, texts: list[str], *, max_length: int | None = None, **options: Any
    ) -> Batch:
        return super().encode_batch(
            texts, max_length=None if max_length is None else max_length + 1, **options
        )


@mutant("special_frame", "template", "two begin tokens: one of the template, one of the prompt")
def begins_twice() -> Any:
    """The begin token is added twice."""
    from tokenizers import processors

    tokenizer = byte_level_bpe()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> <s> $A </s>", special_tokens=[("<s>", 1), ("</s>", 2)]
    )
    return tokenizer


@mutant("special_frame", "template", "huggingface/transformers issue 23889")
class NoEndAfterAStop(Points):
    """Texts that end in a full stop get no end token."""

    def encode(self, text: str, *, special: bool = False) -> list[int]:
        ids = super().encode(text, special=special)
        return ids[:-1] if special and text.endswith(".") else ids

    encode_batch = None  # type: ignore[assignment]


@mutant("special_text_is_text", "special", "huggingface/tokenizers issue 1263")
class ParsesSpecialText(Points):
    """An end token that is written in a text ends it."""

    def encode(self, text: str, *, special: bool = False) -> list[int]:
        parts = text.split("</s>")
        ids = [i for part in parts for i in [*super(ParsesSpecialText, self).encode(part), 2]][:-1]
        return [1, *ids, 2] if special else ids

    encode_batch = offsets = None  # type: ignore[assignment]


@mutant(
    "leaves_no_trace", "truncation", "huggingface/transformers issue 24441, llm-compressor PR 2917"
)
class LeaksTruncation:
    """Padding and truncation of a batch stay on, and cut the next text."""

    pad_id = 0
    special_ids = {"<pad>": 0, "<s>": 1, "</s>": 2}

    def __init__(self) -> None:
        self.inner = byte_level_bpe()
        self.inner.encode_special_tokens = True

    def encode(self, text: str, *, special: bool = False) -> list[int]:
        return list(self.inner.encode(text, add_special_tokens=special).ids)

    def decode(self, ids: list[int]) -> str:
        return str(self.inner.decode(ids))

    def encode_batch(
        self, texts: list[str], *, special: bool = False, max_length: int | None = None,
        pad_to: int | None = None, padding_side: str = "right",
    ) -> Batch:  # fmt: skip
        self.inner.enable_padding(
            pad_id=0, pad_token="<pad>", length=pad_to, direction=padding_side
        )
        if max_length is not None:
            self.inner.enable_truncation(max_length)
        found = self.inner.encode_batch(texts, add_special_tokens=special)
        return {"ids": [e.ids for e in found], "mask": [e.attention_mask for e in found]}

    def state(self) -> str:
        return str(self.inner.to_str())


@mutant("leaves_no_trace", "serialised form")
class LearnsWhileItEncodes(Points):
    """Encoding a batch counts words into what is saved."""

    def __init__(self) -> None:
        self.seen = 0

    def encode_batch(self, texts: list[str], **options: Any) -> Batch:
        self.seen += len(texts)
        return super().encode_batch(texts, **options)

    def state(self) -> str:
        return f'{{"seen": {self.seen}}}'


@mutant("threads_agree", "thread", "huggingface/tokenizers issue 537")
class SharesABuffer(Points):
    """Ids are collected on the object, which all threads share."""

    def encode(self, text: str, *, special: bool = False) -> list[int]:
        self.buffer: list[int] = []
        for number in super().encode(text, special=special):
            self.buffer.append(number)
        time.sleep(0)
        return list(self.buffer)

    encode_batch = None  # type: ignore[assignment]


@mutant("threads_agree", "thread")
class CachesTheLastText(Points):
    """The last text and its ids are cached in two steps."""

    last: tuple[str, list[int]] = ("", [])

    def encode(self, text: str, *, special: bool = False) -> list[int]:
        if special:
            return super().encode(text, special=True)
        if self.last[0] != text:
            self.last = (text, super().encode(text))
            time.sleep(0)
        return self.last[1]


@mutant("batch_equals_single", "batch decoding")
class DecodesBatchesOtherwise(Points):
    """Decoding a batch strips each text."""

    def decode_batch(self, rows: list[list[int]]) -> list[str]:
        return [self.decode(row).strip() for row in rows]


@mutant("special_frame", "template")
def frame_is_a_word() -> Any:
    """The end token of a transformers tokenizer is an ordinary word."""
    from tokenizers import processors

    tokenizer = fast()
    word = tokenizer.backend_tokenizer.token_to_id("e")
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A e", special_tokens=[("<s>", 1), ("e", word)]
    )
    return tokenizer


@mutant("round_trip", "becomes")
class CachesByABeginning(Points):
    """Ids are cached under the beginning of a text and its length."""

    def __init__(self) -> None:
        self.cache: dict[tuple[str, int, bool], list[int]] = {}

    def encode(self, text: str, *, special: bool = False) -> list[int]:
        key = (text[:30], len(text), special)
        return self.cache.setdefault(key, super().encode(text, special=special))


@mutant("special_text_is_text", "ordinary word")
def special_word() -> Any:
    """An ordinary word was added as a special token."""
    tokenizer = byte_level_bpe()
    tokenizer.add_special_tokens(["the"])
    return tokenizer
