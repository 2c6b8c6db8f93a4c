"""JSON documents and what they are made of: written whole, of a format, hashed, flushed."""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

VERSION = 1
"""Of every format of the kit."""


class FormatError(ValueError):
    """A document of another program, or of a later version of this one."""


def header(kind: str) -> dict[str, Any]:
    """What `from_json` demands of a document of format `kind`."""
    return {"format": kind, "format_version": VERSION}


def to_json(document: Mapping[str, Any]) -> str:
    """A document as text, the same for the same values."""
    return json.dumps(document, indent=2, sort_keys=True, allow_nan=False) + "\n"


def from_json(content: bytes, kind: str) -> dict[str, Any]:
    """The values of a document of format `kind`.

    Raises:
        FormatError: it is of another format or version.
        ValueError: it is not JSON.
    """
    try:
        found = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"not JSON ({error})") from error
    if not isinstance(found, dict) or found.get("format") != kind:
        raise FormatError(f"format: not {kind!r}; read it with the program that wrote it")
    if (version := found.get("format_version")) != VERSION:
        remedy = "read it with the codex_ml that wrote it"
        raise FormatError(f"format_version: {version!r}, and this one reads {VERSION}; {remedy}")
    return found


def write_text(path: Path, text: str) -> Path:
    """Write a file whole or not at all: aside, in UTF-8, then renamed."""
    temporary = path.with_name(f".{path.name}.writing-{os.getpid()}")
    temporary.write_text(text, encoding="utf-8")
    return temporary.replace(path)


def sha256(path: Path) -> str:
    """The SHA-256 of a file, in hex."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def fsync(path: Path) -> None:
    """Flush a file's bytes, or a directory's entries, to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def numbers(metrics: Mapping[str, Any]) -> dict[str, float]:
    """`metrics` as floats, also those that are 0-dimensional tensors or text of `as_json`.

    Raises:
        TypeError: one is no number; the message names it.
    """
    found = {}
    for name, value in metrics.items():
        try:
            found[name] = float(value)
        except (TypeError, ValueError, RuntimeError) as error:
            raise TypeError(f"metric {name!r} is {value!r}, which is no number") from error
    return found


def as_json(value: Any) -> Any:
    """`value` as JSON can hold it: numbers that are not finite and unknown types as strings."""
    if isinstance(value, Mapping):
        return {str(key): as_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [as_json(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value if isinstance(value, str | int | float | None) else str(value)
