"""Files of rows under a manifest: path, rows, bytes and SHA-256 of each, verified when opened."""

from __future__ import annotations

import codecs
import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Annotated, Any

import msgspec

from codex_ml.documents import from_json, header, to_json, write_text

FORMAT = "codex-ml-data"


class ManifestError(ValueError):
    """A manifest or shard that is not what it should be; the message names file and key or line."""


class Shard(msgspec.Struct, frozen=True):
    """One file: its path from the manifest's directory, rows, bytes and SHA-256 in hex."""

    path: str
    rows: int
    bytes: int
    sha256: str

    def __post_init__(self) -> None:
        path = PurePosixPath(self.path)
        if path.is_absolute() or ".." in path.parts:
            raise ValueError(f"path: {path} leads out of the manifest's directory")


class _Document(msgspec.Struct):
    shards: Annotated[tuple[Shard, ...], msgspec.Meta(min_length=1)]


@dataclass(frozen=True, slots=True)
class Row:
    """One row and where it stands, for error messages: `file:line`."""

    values: dict[str, Any]
    file: Path
    line: int

    @property
    def place(self) -> str:
        """`file:line`."""
        return f"{self.file}:{self.line}"


@dataclass(frozen=True, slots=True)
class Manifest:
    """The shards of a data set; `path` is the manifest's own file, `sha256` its hash."""

    path: Path
    shards: tuple[Shard, ...]
    sha256: str

    def read(self, shard: Shard) -> bytes:
        """The content of one shard, verified before any of it is used.

        Raises:
            ManifestError: it is missing, or its bytes are not those of the manifest.
        """
        path = self.path.parent / shard.path
        try:
            content = path.read_bytes()
        except OSError as error:
            raise ManifestError(f"{path}: cannot be read ({error.strerror})") from error
        if len(content) != shard.bytes:
            raise self._differs(path, "bytes", len(content), shard.bytes)
        digest = hashlib.sha256(content).hexdigest()
        if digest != shard.sha256:
            raise self._differs(path, "sha256", digest, shard.sha256)
        return content

    def rows(self) -> Iterator[Row]:
        """All rows of JSONL shards, shard by shard, each verified when it is opened.

        Raises:
            ManifestError: a shard is not what the manifest says, or a line is no row.
        """
        for shard in self.shards:
            file = self.path.parent / shard.path
            count = 0
            for row in parse(self.read(shard), file):
                count += 1
                yield row
            if count != shard.rows:
                raise self._differs(file, "rows", count, shard.rows)

    def _differs(self, file: Path, key: str, found: object, told: object) -> ManifestError:
        remedy = "restore the file, or write the manifest anew if the change is meant"
        return ManifestError(f"{file}: {key} is {found}, and {self.path} says {told}; {remedy}")


def parse(content: bytes, file: Path) -> Iterator[Row]:
    """The rows of a JSONL file, from its bytes.

    Raises:
        ManifestError: another suffix than `.jsonl`, another encoding, or a line that is no row.
    """
    if file.suffix != ".jsonl":
        raise ManifestError(f"{file}: its rows cannot be read; those of .jsonl files can")
    # Not splitlines(), which also cuts at characters that JSON allows inside a string.
    for number, line in enumerate(content.removeprefix(codecs.BOM_UTF8).split(b"\n"), start=1):
        if not line.strip():
            continue
        try:
            values = json.loads(line.decode())
        except UnicodeDecodeError as error:
            raise ManifestError(f"{file}:{number}: not UTF-8 ({error.reason})") from error
        except (ValueError, RecursionError) as error:
            raise ManifestError(f"{file}:{number}: not JSON ({error})") from error
        if not isinstance(values, dict):
            raise ManifestError(f"{file}:{number}: a row is an object, not {values!r:.40}")
        yield Row(values, file, number)


def write_manifest(
    path: Path, shards: Iterable[Path], *, count: Callable[[Path], int] | None = None
) -> Manifest:
    """Describe `shards` in a manifest at `path`, written aside and renamed.

    Args:
        path: the manifest's file; the shards lie in its directory or below.
        shards: the files, in the order in which they are to be read.
        count: the rows of a file; None counts those of a JSONL file.

    Raises:
        ManifestError: a shard lies elsewhere or cannot be counted.
        OSError: a file cannot be read or written.
    """
    described = []
    for file in shards:
        if not file.resolve().is_relative_to(path.parent.resolve()):
            raise ManifestError(f"{file}: not below {path.parent}, the manifest's directory")
        content = file.read_bytes()
        rows = count(file) if count else sum(1 for _ in parse(content, file))
        name = file.resolve().relative_to(path.parent.resolve()).as_posix()
        described.append(Shard(name, rows, len(content), hashlib.sha256(content).hexdigest()))
    write_text(path, to_json({**header(FORMAT), "shards": msgspec.to_builtins(described)}))
    return read_manifest(path)


def read_manifest(path: Path) -> Manifest:
    """Read a manifest; its shards are verified when they are opened, not here.

    Raises:
        ManifestError: it cannot be read, is of another format, or a key is missing or wrong.
    """
    try:
        content = path.read_bytes()
        document = msgspec.convert(from_json(content, FORMAT), _Document)
    except OSError as error:
        raise ManifestError(f"{path}: cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise ManifestError(f"{path}: {error}") from error
    return Manifest(path, document.shards, hashlib.sha256(content).hexdigest())
