"""What the rest of the kit asks of a tokenizer, and what all adapters share."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol

from codex_ml.checks import at_least_one

PAD, BOS, EOS = "<pad>", "<bos>", "<eos>"

Side = Literal["left", "right"]
Rows = list[list[int]]


@dataclass(frozen=True, slots=True)
class Batch:
    """Texts as ids [texts, length]; `mask` is 1 for a token and 0 for padding, of that shape."""

    ids: Rows
    mask: Rows


def pad(rows: Rows, pad_id: int, *, length: int | None = None, side: Side = "right") -> Batch:
    """Rows filled with `pad_id` at `side`, up to `length` or the longest row's.

    Raises:
        ValueError: a row is longer than `length`.
    """
    longest = max(map(len, rows), default=0)
    width = longest if length is None else length
    if longest > width:
        raise ValueError(f"pad_to={width}: a text has {longest} ids; set max_length too")

    def filled(rows: Rows, value: int) -> Rows:
        gaps = [[value] * (width - len(row)) for row in rows]
        sides = (gaps, rows) if side == "left" else (rows, gaps)
        return [one + other for one, other in zip(*sides, strict=True)]

    return Batch(filled(rows, pad_id), filled([[1] * len(row) for row in rows], 0))


def pack(rows: Iterable[Sequence[int]], length: int) -> Iterator[list[int]]:
    """Rows laid end to end and cut into blocks of `length`, at least 1; the rest is dropped."""
    at_least_one(length=length)
    block: list[int] = []
    for row in rows:
        block += row
        full = len(block) - len(block) % length
        for start in range(0, full, length):
            yield block[start : start + length]
        del block[:full]


class Tokenizer(Protocol):
    """Text to ids and back.

    Attributes:
        vocab_size: number of ids, special ones included: all ids are smaller.
        pad_id: the id that fills rows of a batch.
        special_ids: special token -> id.
    """

    vocab_size: int
    pad_id: int
    special_ids: dict[str, int]

    @abstractmethod
    def encode(self, text: str, *, special: bool = True) -> list[int]:
        """The ids of `text`, between the begin and end tokens if `special`."""

    @abstractmethod
    def decode(self, ids: Sequence[int]) -> str:
        """The text of `ids`, special tokens left out."""

    @abstractmethod
    def encode_batch(
        self,
        texts: Sequence[str],
        *,
        special: bool = True,
        max_length: int | None = None,
        pad_to: int | None = None,
        padding_side: Side = "right",
        truncation_side: Side = "right",
    ) -> Batch:
        """The ids of several texts as one batch.

        Args:
            texts: any number of texts.
            special: put each between the begin and end tokens.
            max_length: ids at most, the begin and end tokens among them, which stay.
            pad_to: the length of every row; None takes the longest text's.
            padding_side: where rows are filled; "left" for generation by a decoder.
            truncation_side: where longer texts lose what is too much.

        Raises:
            ValueError: `max_length` has no room for the special tokens, or a text is longer
                than `pad_to`.
        """

    @abstractmethod
    def save(self, path: Path) -> None:
        """Write what the library itself reads to `path`; see `save_tokenizer`.

        Raises:
            OSError: it cannot be written.
        """


class Adapter(Tokenizer):
    """A library's tokenizer behind the protocol; special tokens that occur in a text are text.

    So no input can forge the end of a document. Each `load` raises ModuleNotFoundError where the
    library is not installed, OSError for what cannot be read, and ValueError for what is no
    tokenizer or lacks a token; a class refuses a token that is not there by ValueError. What it
    says of the library's object is read when it is made.

    Attributes:
        kind: names the adapter in a saved tokenizer.
        settings: what `load` needs besides the path, as JSON values.
        overhead: how many special tokens a single text gets.
    """

    kind: ClassVar[str]
    settings: dict[str, Any]
    overhead: int

    @abstractmethod
    def _rows(self, texts: list[str], *, special: bool, room: int | None, side: Side) -> Rows:
        """The ids of each text, cut at `side` to `room`, special tokens not counted."""

    def encode(self, text: str, *, special: bool = True) -> list[int]:
        return self._rows([text], special=special, room=None, side="right")[0]

    def encode_batch(
        self,
        texts: Sequence[str],
        *,
        special: bool = True,
        max_length: int | None = None,
        pad_to: int | None = None,
        padding_side: Side = "right",
        truncation_side: Side = "right",
    ) -> Batch:
        """The ids of several texts as one batch; see `Tokenizer.encode_batch`."""
        taken = self.overhead if special else 0
        room = None if max_length is None else max_length - taken
        if room is not None and room <= 0:
            raise ValueError(f"max_length={max_length}: {taken} special tokens leave no room")
        rows = self._rows(list(texts), special=special, room=room, side=truncation_side)
        return pad(rows, self.pad_id, length=pad_to, side=padding_side)


class FramingAdapter(Adapter):
    """An adapter that puts the special tokens around a text itself, and takes them off again."""

    inner: Any
    begin: list[int]
    end: list[int]

    def decode(self, ids: Sequence[int]) -> str:
        special = set(self.special_ids.values())
        return str(self.inner.decode([token for token in ids if token not in special]))

    @abstractmethod
    def _plain(self, texts: list[str]) -> Rows:
        """The ids of each text alone."""

    def _rows(self, texts: list[str], *, special: bool, room: int | None, side: Side) -> Rows:
        rows = self._plain(texts)
        if room is not None:
            rows = [row[:room] if side == "right" else row[-room:] for row in rows]
        return [self.begin + row + self.end for row in rows] if special else rows
