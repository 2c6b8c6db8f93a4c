"""Which files of a checkpoint a subject reads as it resumes, and which of them safely."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

import msgspec
from torch import _weights_only_unpickler

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from codex_audit.proofs.trainer.runs import File

_WRITES = os.O_WRONLY | os.O_RDWR


class Reads:
    """Watches this process from now on for reads below `directory`.

    Every way to read a pickle opens its file through Python; only torch's safe way then goes
    through torch's own unpickler.
    """

    def __init__(self, directory: Path) -> None:
        self._below = os.path.abspath(directory) + os.sep  # noqa: PTH100 - links are not resolved
        self._read: set[str] = set()
        self._safe: set[str] = set()
        self._last = ""
        sys.addaudithook(self._hook)
        self._watch_unpickler()

    def told(self, files: Iterable[File]) -> list[File]:
        """The files with what is known of their reading."""
        replace = msgspec.structs.replace
        return [
            replace(file, read=file.path in self._read, safely=file.path in self._safe)
            for file in files
        ]

    def _hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event != "open":
            return
        path, _, flags = arguments
        if not isinstance(path, str | bytes | os.PathLike):
            return
        if isinstance(flags, int) and flags & _WRITES:
            return
        whole = os.path.abspath(os.fsdecode(path))  # noqa: PTH100 - as above
        if whole.startswith(self._below):
            self._last = whole.removeprefix(self._below)
            self._read.add(self._last)

    def _watch_unpickler(self) -> None:
        kind = _weights_only_unpickler.Unpickler
        original = kind.load

        def load(unpickler: Any) -> Any:
            # Such a file may hold several pickles: it is safe if none went another way.
            of = self._last
            loaded = original(unpickler)  # type: ignore[no-untyped-call]
            self._safe.add(of)
            return loaded

        kind.load = load  # type: ignore[method-assign]
