"""What the rest of the kit asks of a tokenizer, and what all adapters share."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol

from codex_ml.tokenization.batches import Batch, pad

PAD, BOS, EOS = "<pad>", "<bos>", "<eos>"

Side = Literal["left", "right"]


class Tokenizer(Protocol):
    """Text to ids and back."""

    @property
    @abstractmethod
    def vocab_size(self) -> int:
        """Number of ids, special ones included: all ids are smaller."""

    @property
    @abstractmethod
    def pad_id(self) -> int:
        """The id that fills rows of a batch."""

    @property
    @abstractmethod
    def special_ids(self) -> dict[str, int]:
        """Special token -> id."""

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
            max_length: cut longer texts so that they have at most this many ids; the begin
                and end tokens stay.
            pad_to: the length of every row, at least the longest text's; None pads to that.
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

    So no input can forge the end of a document.

    Attributes:
        kind: names the adapter in a saved tokenizer.
    """

    kind: ClassVar[str]

    @property
    def settings(self) -> dict[str, Any]:
        """What `load` needs besides the path, as JSON values."""
        return {}

    @abstractmethod
    def _overhead(self) -> int:
        """How many special tokens a single text gets."""

    @abstractmethod
    def _rows(
        self, texts: list[str], *, special: bool, max_length: int | None, side: Side
    ) -> list[list[int]]:
        """The ids of each text, cut at `side` to `max_length`, special tokens kept."""

    def encode(self, text: str, *, special: bool = True) -> list[int]:
        return self._rows([text], special=special, max_length=None, side="right")[0]

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
        overhead = self._overhead() if special else 0
        if max_length is not None and max_length <= overhead:
            raise ValueError(
                f"max_length={max_length}: {overhead} special tokens leave no room for text"
            )
        rows = self._rows(list(texts), special=special, max_length=max_length, side=truncation_side)
        return pad(rows, self.pad_id, length=pad_to, side=padding_side)


class FramingAdapter(Adapter):
    """An adapter that puts the special tokens around a text itself, and takes them off again."""

    inner: Any
    _pad_id: int
    _begin: list[int]
    _end: list[int]

    @property
    def pad_id(self) -> int:
        return self._pad_id

    def decode(self, ids: Sequence[int]) -> str:
        special = set(self.special_ids.values())
        return str(self.inner.decode([token for token in ids if token not in special]))

    @abstractmethod
    def _plain(self, texts: list[str]) -> list[list[int]]:
        """The ids of each text alone."""

    def _overhead(self) -> int:
        return len(self._begin) + len(self._end)

    def _rows(
        self, texts: list[str], *, special: bool, max_length: int | None, side: Side
    ) -> list[list[int]]:
        begin, end = (self._begin, self._end) if special else ([], [])
        rows = self._plain(texts)
        if max_length is not None:
            room = max_length - len(begin) - len(end)
            rows = [row[:room] if side == "right" else row[-room:] for row in rows]
        return [begin + row + end for row in rows]
