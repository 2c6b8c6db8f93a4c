"""What the shipped expressions need, kept between runs: finding it costs more than a small tree."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import msgspec

from codex_audit.tree.cache import program_digest
from codex_audit.tree.literals import KNOWN

if TYPE_CHECKING:
    from collections.abc import Iterator

    from codex_audit.tree.cache import Cache


@contextmanager
def kept_needs(cache: Cache | None, catalog_version: str) -> Iterator[None]:
    """Begin with what `cache` knows of a catalog's expressions; keep what is found meanwhile."""
    if cache is None:
        yield
        return
    name = f"needs {catalog_version} {program_digest().hex()}"
    KNOWN.update(cache.needs(name))
    before = len(KNOWN)
    yield
    if len(KNOWN) > before:
        cache.keep_text(name, msgspec.msgpack.encode(KNOWN))
