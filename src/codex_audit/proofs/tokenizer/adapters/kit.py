"""The reference kit's `codex_ml.tokenization`, which stands trial where nothing else is named."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from codex_audit.proofs.tokenizer import loading
from codex_audit.proofs.tokenizer.adapters.plain import PlainSubject
from codex_audit.proofs.tokenizer.loading import Adapter

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from codex_audit.proofs.tokenizer.subject import Span, Subject

_DESCRIPTION = "tokenizer-description.json"
_SIZE = 400


class KitSubject(PlainSubject):
    """An adapter of the kit; what the kit does not ask of its libraries is asked of them."""

    kind = "codex_ml"
    libraries: tuple[str, ...] = ("tokenizers",)

    def __init__(self, inner: Any) -> None:
        super().__init__(inner)
        under = getattr(inner, "tokenizer", None) or inner.inner
        self._under = loading.from_object(under, type(inner).__name__)
        self.implied = self._under.implied
        self.libraries = self._under.libraries

    def offsets(self, text: str) -> list[Span]:
        return self._under.offsets(text)

    def save(self, directory: Path) -> None:
        from codex_ml.tokenization import save_tokenizer  # noqa: PLC0415 - only where it is on trial

        save_tokenizer(self.inner, directory / "kept")

    def load(self, directory: Path) -> Subject:
        return _load(directory / "kept")

    def state(self) -> str:
        return self._under.state()

    def train(self, texts: Sequence[str]) -> Subject:
        if not hasattr(self.inner, "train"):
            self.lacks("training")
        return KitSubject(self.inner.train(texts, vocab_size=_SIZE))

    def stream(self, ids: Sequence[int]) -> Iterator[str]:
        return self._under.stream(ids)

    def vocabulary(self) -> list[tuple[str | bytes, int]]:
        return self._under.vocabulary()

    def unreachable_merges(self, limit: int) -> tuple[int, list[str]]:
        return self._under.unreachable_merges(limit)

    def unmade_tokens(self) -> list[str]:
        return self._under.unmade_tokens()

    @property
    def special_ids(self) -> Mapping[str, int]:
        return {**self.inner.special_ids, **self._under.special_ids}

    @property
    def unknown_id(self) -> int | None:
        return self._under.unknown_id

    @property
    def covers_all(self) -> bool:
        return self._under.covers_all

    def component(self, side: Literal["encode", "decode"]) -> str:
        return self._under.component(side)


def trained(texts: Sequence[str]) -> Subject:
    """A small byte-level BPE that the kit trains on `texts`."""
    from codex_ml.tokenization import HuggingFaceTokenizer  # noqa: PLC0415 - as above

    return KitSubject(HuggingFaceTokenizer.train(texts, vocab_size=_SIZE))


def _load(path: Path) -> Subject:
    from codex_ml.tokenization import load_tokenizer  # noqa: PLC0415 - as above

    return KitSubject(load_tokenizer(path))


def _wraps(thing: object) -> bool:
    return any(
        cls.__module__.startswith("codex_ml.tokenization.") and cls.__name__ == "Adapter"
        for cls in type(thing).__mro__
    )


ADAPTER = Adapter(
    kind="codex_ml",
    order=10,
    form="a directory of codex_ml.tokenization.save_tokenizer",
    reads=lambda path: (path / _DESCRIPTION).is_file(),
    load=_load,
    wraps=_wraps,
    wrap=KitSubject,
)
