"""The adapter for SentencePiece models."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from codex_ml.tokenization.protocol import Adapter, Side, framed, library, verified

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


class SentencePieceTokenizer(Adapter):
    """A `sentencepiece.SentencePieceProcessor`.

    Text comes back as it was only from a model that was trained for it, with
    `normalization_rule_name="identity"`, `remove_extra_whitespaces=False`,
    `add_dummy_prefix=False` and `byte_fallback=True`; and U+2581, which stands for a space in
    all its models, comes back as one.

    Args:
        inner: the processor.
        pad: its padding piece; None takes what it declares.

    Raises:
        ValueError: it declares none, or has no piece `pad`.
    """

    kind = "sentencepiece"

    def __init__(self, inner: Any, *, pad: str | None = None) -> None:
        pad_id = inner.pad_id() if pad is None else inner.piece_to_id(pad)
        if pad_id < 0 or (pad is not None and inner.id_to_piece(pad_id) != pad):
            raise ValueError(f"the model has no padding piece {pad!r}; name one of its in `pad`")
        self.inner = inner
        self._pad_id = int(pad_id)

    @classmethod
    def load(
        cls, path: Path, *, pad: str | None = None, expected_hash: str | None = None
    ) -> SentencePieceTokenizer:
        """Load a `.model` file.

        Args:
            path: the file.
            pad: its padding piece; None takes what it declares.
            expected_hash: what `save` returned; None does not check.

        Raises:
            ModuleNotFoundError: `sentencepiece` is not installed.
            OSError: the file cannot be read.
            ValueError: it has another hash, is no model, or has no such piece.
        """
        content = verified(path, expected_hash)
        processor = library("sentencepiece").SentencePieceProcessor
        try:
            inner = processor(model_proto=content)
        except RuntimeError as error:
            raise ValueError(f"{path}: not a SentencePiece model ({error})") from error
        return cls(inner, pad=pad)

    @property
    def vocab_size(self) -> int:
        """Number of ids, special ones included."""
        return int(self.inner.get_piece_size())

    @property
    def pad_id(self) -> int:
        """The id that fills rows of a batch."""
        return self._pad_id

    @property
    def special_ids(self) -> dict[str, int]:
        """Special token -> id: the model's control pieces and its padding."""
        ids = {i for i in range(self.vocab_size) if self.inner.is_control(i)} | {self._pad_id}
        return {self.inner.id_to_piece(i): i for i in sorted(ids)}

    @property
    def settings(self) -> dict[str, Any]:
        """The padding piece."""
        return {"pad": self.inner.id_to_piece(self._pad_id)}

    def decode(self, ids: Sequence[int]) -> str:
        """The text of `ids`, special tokens left out."""
        special = set(self.special_ids.values())
        return str(self.inner.decode([token for token in ids if token not in special]))

    def save(self, path: Path) -> str:
        """Write the `.model` file to `path` and return its SHA-256.

        Raises:
            OSError: the file cannot be written.
        """
        content = self.inner.serialized_model_proto()
        path.write_bytes(content)
        return hashlib.sha256(content).hexdigest()

    def _frame(self) -> tuple[list[int], list[int]]:
        begin, end = self.inner.bos_id(), self.inner.eos_id()
        return [begin] * (begin >= 0), [end] * (end >= 0)

    def _overhead(self) -> int:
        return sum(map(len, self._frame()))

    def _rows(
        self, texts: list[str], *, special: bool, max_length: int | None, side: Side
    ) -> list[list[int]]:
        begin, end = self._frame() if special else ([], [])
        rows = self.inner.encode(texts, out_type=int)
        return framed(rows, begin=begin, end=end, max_length=max_length, side=side)
