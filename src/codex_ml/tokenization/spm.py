"""The adapter for SentencePiece models."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from codex_ml import optional
from codex_ml.tokenization.protocol import FramingAdapter, Rows


class SentencePieceTokenizer(FramingAdapter):
    """A `sentencepiece.SentencePieceProcessor`.

    Text comes back as it was only from a model that was trained for it, with
    `normalization_rule_name="identity"`, `remove_extra_whitespaces=False`,
    `add_dummy_prefix=False` and `byte_fallback=True`; and U+2581, which stands for a space in
    all its models, comes back as one.

    Args:
        inner: the processor.
        pad: its padding piece; None takes what it declares.
    """

    kind = "sentencepiece"

    def __init__(self, inner: Any, *, pad: str | None = None) -> None:
        pad_id = inner.pad_id() if pad is None else inner.piece_to_id(pad)
        if pad_id < 0 or (pad is not None and inner.id_to_piece(pad_id) != pad):
            raise ValueError(f"the model has no padding piece {pad!r}; name one of its in `pad`")
        self.inner, self.pad_id = inner, pad_id
        self.settings = {"pad": inner.id_to_piece(pad_id)}
        self.vocab_size = int(inner.get_piece_size())
        special = [i for i in range(self.vocab_size) if inner.is_control(i) or i == pad_id]
        self.special_ids = {inner.id_to_piece(i): i for i in special}
        # A model has -1 for a piece that it was trained without.
        self.begin, self.end = ([i] if i >= 0 else [] for i in (inner.bos_id(), inner.eos_id()))
        self.overhead = len(self.begin + self.end)

    @classmethod
    def load(cls, path: Path, *, pad: str | None = None) -> SentencePieceTokenizer:
        """Load a `.model` file; `pad` as for the class."""
        processor = optional.load("sentencepiece", extra="text").SentencePieceProcessor
        try:
            inner = processor(model_proto=path.read_bytes())
        except RuntimeError as error:
            raise ValueError(f"{path}: not a SentencePiece model ({error})") from error
        return cls(inner, pad=pad)

    def save(self, path: Path) -> None:
        path.write_bytes(self.inner.serialized_model_proto())

    def _plain(self, texts: list[str]) -> Rows:
        rows: Rows = self.inner.encode(texts, out_type=int)
        return rows
