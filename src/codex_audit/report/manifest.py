"""`manifest.json`: the SHA-256 and the size of every artifact of an audit."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping

FILENAME = "manifest.json"
SCHEMA_VERSION = "1.0"


class Artifact(msgspec.Struct, frozen=True):
    """One file: its path relative to the manifest, its digest in hexadecimal, its size."""

    path: str
    sha256: str
    bytes: int


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """Every artifact of one audit of one tree, by path."""

    schema_version: str = SCHEMA_VERSION
    tree_digest: str
    artifacts: tuple[Artifact, ...]


def manifest(
    out: Path, documents: Mapping[str, bytes], outcomes_dir: Path, tree_digest: str
) -> bytes:
    """The manifest of `documents` (filename in `out` -> content) and of the outcome files.

    Raises:
        OSError: an outcome file cannot be read.
    """
    # relpath, for outcomes may lie beside `out` and Path.relative_to knows no "..".
    outcomes = {
        Path(os.path.relpath(path, out)).as_posix(): path.read_bytes()
        for path in outcomes_dir.glob("*.json")
        if path.is_file()
    }
    artifacts = tuple(
        Artifact(path, hashlib.sha256(data).hexdigest(), len(data))
        for path, data in sorted({**outcomes, **documents}.items())
    )
    made = Manifest(tree_digest=tree_digest, artifacts=artifacts)
    return msgspec.json.format(msgspec.json.encode(made), indent=2) + b"\n"
