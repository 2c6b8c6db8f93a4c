"""SentencePiece: a `.model` file, or a `SentencePieceProcessor`."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, Literal

from codex_audit.proofs.tokenizer.loading import Adapter, of_module
from codex_audit.proofs.tokenizer.subject import MalformedError, Span, Subject

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

FILE = "tokenizer.model"


class SentencePieceSubject(Subject):
    """A `SentencePieceProcessor`; U+2581 stands for a space in all its models."""

    kind = "sentencepiece"
    libraries = ("sentencepiece",)
    implied = ("underscore-space",)

    def __init__(self, inner: Any) -> None:
        self.inner = inner
        self._size = int(inner.get_piece_size())
        self._special = {
            inner.id_to_piece(i): i
            for i in range(self._size)
            if inner.is_control(i) or i == inner.pad_id()
        }
        self._control = frozenset(self._special.values())

    def encode(self, text: str, *, special: bool = False) -> list[int]:
        return list(self.inner.encode(text, out_type=int, **self._frame(special=special)))

    def decode(self, ids: Sequence[int]) -> str:
        return str(self.inner.decode([i for i in ids if i not in self._control]))

    def encode_batch(self, texts: Sequence[str], *, special: bool = False) -> list[list[int]]:
        return list(self.inner.encode(list(texts), out_type=int, **self._frame(special=special)))

    def decode_batch(self, rows: Sequence[Sequence[int]]) -> list[str]:
        kept = [[i for i in row if i not in self._control] for row in rows]
        return list(self.inner.decode(kept)) if kept else []

    def offsets(self, text: str) -> list[Span]:
        try:
            found = self.inner.encode(text, return_type="offset_mapping")
        except TypeError:  # before 0.2.2
            pieces = self.inner.encode(text, out_type="immutable_proto").pieces
            return [Span(piece.id, piece.begin, piece.end) for piece in pieces]
        rows = zip(found["ids"], found["offsets"], strict=True)
        return [Span(token, start, end) for token, (start, end) in rows]

    def save(self, directory: Path) -> None:
        (directory / FILE).write_bytes(self.inner.serialized_model_proto())

    def load(self, directory: Path) -> SentencePieceSubject:
        return _load(directory / FILE)

    def state(self) -> str:
        return hashlib.sha256(self.inner.serialized_model_proto()).hexdigest()

    def vocabulary(self) -> list[tuple[str | bytes, int]]:
        return [(self.inner.id_to_piece(i), i) for i in range(self._size)]

    @property
    def size(self) -> int | None:
        return self._size

    @property
    def special_ids(self) -> Mapping[str, int]:
        return self._special

    @property
    def pad_id(self) -> int | None:
        return None if self.inner.pad_id() < 0 else int(self.inner.pad_id())

    @property
    def unknown_id(self) -> int | None:
        return None if self.inner.unk_id() < 0 else int(self.inner.unk_id())

    @property
    def covers_all(self) -> bool:
        return any(self.inner.is_byte(i) for i in range(self._size))

    def component(self, side: Literal["encode", "decode"]) -> str:
        if side == "decode":
            return "decoder (or the pieces of the model)"
        return (
            "normalizer of the model (normalization_rule_name, add_dummy_prefix, "
            "remove_extra_whitespaces)"
        )

    def _frame(self, *, special: bool) -> dict[str, bool]:
        return {
            "add_bos": special and self.inner.bos_id() >= 0,
            "add_eos": special and self.inner.eos_id() >= 0,
        }


def _load(path: Path) -> SentencePieceSubject:
    import sentencepiece  # noqa: PLC0415 - only in a trial

    content = path.read_bytes()
    if not content:
        raise MalformedError(f"{path.name}: it is empty; write it again with sentencepiece")
    return SentencePieceSubject(sentencepiece.SentencePieceProcessor(model_proto=content))


def _reads(path: Path) -> bool:
    file = path / FILE if path.is_dir() else path
    if file.suffix != ".model" or not file.is_file():
        return False
    with file.open("rb") as stream:
        head = stream.read(64)
    return not head or head[0] == 0x0A  # noqa: PLR2004 - the field `pieces` of its message


ADAPTER = Adapter(
    kind="sentencepiece",
    order=40,
    form="a .model of sentencepiece",
    reads=_reads,
    load=lambda path: _load(path / FILE if path.is_dir() else path),
    wraps=lambda thing: of_module(thing, "sentencepiece.SentencePieceProcessor"),
    wrap=SentencePieceSubject,
)
