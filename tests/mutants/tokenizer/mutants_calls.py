"""Mutants of what a call leaves behind, of places beside spaces, and of words that are not found."""

from __future__ import annotations

import codecs
import json
from typing import TYPE_CHECKING, Any

from mutants.tokenizer.good import Points, byte_level_bpe, metaspace_bpe
from mutants.tokenizer.registry import mutant

if TYPE_CHECKING:
    from collections.abc import Iterator

Batch = dict[str, list[list[int]]]


class _Words:
    """The byte-level BPE behind the protocol; its tokens begin with the space before them."""

    def __init__(self) -> None:
        self.inner = byte_level_bpe()
        self.inner.post_processor = None
        self.inner.encode_special_tokens = True

    def encode(self, text: str) -> list[int]:
        return list(self.inner.encode(text).ids)

    def decode(self, ids: list[int]) -> str:
        return str(self.inner.decode(ids))

    def offsets(self, text: str) -> list[tuple[int, int]]:
        return [self.place(text, start, end) for start, end in self.inner.encode(text).offsets]

    def place(self, text: str, start: int, end: int) -> tuple[int, int]:
        raise NotImplementedError

    def __reduce__(self) -> Any:
        return type(self), ()


@mutant("offsets", "one too far")
class OneTooFar(_Words):
    """A token that begins with a space has the place one further on."""

    def place(self, text: str, start: int, end: int) -> tuple[int, int]:
        shift = text[start] == " "
        return start + shift, min(end + shift, len(text))


@mutant("offsets", "leaves out the space")
class TrimsSomeSpaces(_Words):
    """The place of a token leaves out its leading space, but not after a comma."""

    def place(self, text: str, start: int, end: int) -> tuple[int, int]:
        trims = text[start] == " " and end - start > 1 and text[start - 1] != ","
        return start + trims, end


@mutant("offsets", "the same space")
class SharesSpaces(_Words):
    """A token after a space that is a token has that space in its place, too."""

    def place(self, text: str, start: int, end: int) -> tuple[int, int]:
        return start - (start > 0 and text[start - 1] == " " != text[start]), end


class _Asked(Points):
    """A batch's sides are arguments, and attributes where none is asked for."""

    padding, cutting = "right", "right"

    def encode_batch(
        self, texts: list[str], *, special: bool = False, max_length: int | None = None,
        pad_to: int | None = None, padding_side: str | None = None,
        truncation_side: str | None = None,
    ) -> Batch:  # fmt: skip
        self.remember(padding_side, truncation_side)
        return super().encode_batch(
            texts, special=special, max_length=max_length, pad_to=pad_to,
            padding_side=padding_side or self.padding,
            truncation_side=truncation_side or self.cutting,
        )  # fmt: skip

    def remember(self, padding: str | None, cutting: str | None) -> None:
        raise NotImplementedError


@mutant("leaves_no_trace", "padded at the left")
class KeepsThePaddingSide(_Asked):
    """The padding side that a call asks for stays for calls that ask for none."""

    def remember(self, padding: str | None, cutting: str | None) -> None:
        del cutting
        self.padding = padding or self.padding


@mutant("leaves_no_trace", "cut at the left")
class KeepsTheTruncationSide(_Asked):
    """The truncation side that a call asks for stays for calls that ask for none."""

    def remember(self, padding: str | None, cutting: str | None) -> None:
        del padding
        self.cutting = cutting or self.cutting


@mutant("leaves_no_trace", "decode() changes the list")
class DropsFromTheList(Points):
    """Decoding takes control ids out of the caller's list."""

    def decode(self, ids: list[int]) -> str:
        while ids and ids[0] <= 2:
            del ids[0]
        return super().decode(ids)


@mutant("leaves_no_trace", "encode_batch() changes the list")
class SortsTheList(Points):
    """A batch sorts the caller's list of texts by length."""

    def encode_batch(self, texts: list[str], **options: Any) -> Batch:
        found = super().encode_batch(texts, **options)
        texts.sort(key=len)
        return found


@mutant("leaves_no_trace", "train()")
class TrainsAll(Points):
    """Training another one changes this one: its table is the class's."""

    table: dict[str, int] = {}

    def train(self, texts: list[str]) -> TrainsAll:
        self.table["T"] = 0x110003
        return TrainsAll() if texts else self

    def encode(self, text: str, *, special: bool = False) -> list[int]:
        ids = super().encode(text, special=special)
        return [self.table.get("T", number) if number == ord("T") + 3 else number for number in ids]

    def decode(self, ids: list[int]) -> str:
        return super().decode([ord("T") + 3 if number == 0x110003 else number for number in ids])

    encode_batch = None  # type: ignore[assignment]
    vocab_size = 0x110000 + 4


@mutant("streaming", "keeps for the next one")
class SharesTheDecoder:
    """All streams share a decoder, which begins with what the last one left over."""

    covers_all = True

    def __init__(self) -> None:
        self.decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def encode(self, text: str) -> list[int]:
        return list(text.encode())

    def decode(self, ids: list[int]) -> str:
        return bytes(ids).decode(errors="replace")

    def stream(self, ids: list[int]) -> Iterator[str]:
        return (self.decoder.decode(bytes([number])) for number in ids)


@mutant("batch_equals_single", "rows are decoded to")
class DropsEmptyRows(Points):
    """Decoding a batch leaves empty rows out."""

    def decode_batch(self, rows: list[list[int]]) -> list[str]:
        return [self.decode(row) for row in rows if row]


@mutant("truncation", "cut at the left")
class CutsToMinusNothing(Points):
    """Cut at the left, a row with no room keeps its whole text: `ids[-0:]`."""

    def encode_batch(
        self, texts: list[str], *, special: bool = False, max_length: int | None = None,
        truncation_side: str = "right", **options: Any,
    ) -> Batch:  # fmt: skip
        if max_length is not None and truncation_side == "left":
            texts = [text[-(max_length - 2 * special) :] for text in texts]
            return super().encode_batch(texts, special=special, **options)
        asked: dict[str, Any] = {"max_length": max_length, "truncation_side": truncation_side}
        return super().encode_batch(texts, special=special, **asked, **options)


@mutant("vocabulary_distinct", "decodes to")
class ListsAnotherNumbering(Points):
    """The listed vocabulary leaves out the special tokens that ids begin with."""

    def vocabulary(self) -> dict[str, int]:
        return {chr(point): point for point in range(0x20, 0x7F)}

    special_ids = {}


@mutant("added_tokens", "not found in text")
class SplitsAddedTokens(_Words):
    """An added token is looked for among words, which have cut it."""

    added_tokens = ("<|code|>", "COVID-19")

    def encode(self, text: str) -> list[int]:
        return [
            number
            for word, _ in self.inner.pre_tokenizer.pre_tokenize_str(text)
            for number in self._word(word)
        ]

    def _word(self, word: str) -> list[int]:
        if word in self.added_tokens:
            return [1000 + self.added_tokens.index(word)]
        return [token.id for token in self.inner.model.tokenize(word)]

    offsets = None  # type: ignore[assignment]


@mutant("normalization_idempotent", "still changes after", normalization=("lowercase",))
class LowersOneLetter(Points):
    """Its declared lower-casing lowers the first capital, and at each pass the next."""

    offsets = None  # type: ignore[assignment]

    def encode(self, text: str, *, special: bool = False) -> list[int]:
        capital = next((place for place, letter in enumerate(text) if "A" <= letter <= "Z"), None)
        if capital is not None:
            text = text[:capital] + text[capital].lower() + text[capital + 1 :]
        return super().encode(text, special=special)


@mutant("merges_reachable", "no merge makes")
def merge_lost() -> Any:
    """A merge was lost, its token was not."""
    from tokenizers import Tokenizer

    document = json.loads(byte_level_bpe().to_str())
    parts = {part for pair in document["model"]["merges"] for part in pair}
    last = next(
        pair for pair in reversed(document["model"]["merges"]) if "".join(pair) not in parts
    )
    document["model"]["merges"].remove(last)
    return Tokenizer.from_str(json.dumps(document))


@mutant("merges_reachable", "no merge makes")
def words_without_merges() -> Any:
    """Words were written into the vocabulary, and no merges for them."""
    from tokenizers import Tokenizer

    document = json.loads(byte_level_bpe().to_str())
    vocabulary = document["model"]["vocab"]
    for word in ("\u0120bioreactor", "\u0120covid"):
        vocabulary[word] = len(vocabulary)
    return Tokenizer.from_str(json.dumps(document))


@mutant("leaves_no_trace", "cache", "made up; a cache whose key is the normalised text")
class CachesLowered(Points):
    """Ids are cached under the lower-cased text, whatever its letters were."""

    def __init__(self) -> None:
        self.known: dict[str, list[int]] = {}

    def encode(self, text: str, *, special: bool = False) -> list[int]:
        ids = self.known.setdefault(text.lower(), Points.encode(self, text))
        return [1, *ids, 2] if special else list(ids)


@mutant("leaves_no_trace", "ids long, and was")
class FillsToTheLongestEver(Points):
    """Rows are filled to the longest that any batch had."""

    most = 0

    def encode_batch(self, texts: list[str], *, pad_to: int | None = None, **asked: Any) -> Batch:
        self.most = max(self.most, *(len(text) + 2 for text in texts))
        return super().encode_batch(texts, pad_to=max(self.most, pad_to or 0), **asked)


@mutant("round_trip", "decoder (Metaspace")
def spaces_stay_marked() -> Any:
    """A conversion lost the step of the decoder that makes spaces of U+2581."""
    from tokenizers import Tokenizer

    document = json.loads(metaspace_bpe().to_str())
    document["decoder"]["decoders"] = document["decoder"]["decoders"][1:]
    return Tokenizer.from_str(json.dumps(document))
