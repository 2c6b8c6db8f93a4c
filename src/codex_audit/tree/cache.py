"""What was found in files of known content, kept between runs in the user's cache directory.

It only ever saves time: whatever is wrong with it, the files are read instead.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
import time
from contextlib import closing, suppress
from functools import cache as once
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from codex_audit.records import Scan
from codex_audit.tree.facts import Found
from codex_audit.tree.files import Content

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

# What is least recently used goes when the file has grown beyond this.
LIMIT = 256 * 1024 * 1024
_NAME = "kept-1.sqlite3"
_AT_ONCE = 500
_BUSY = 2.0  # seconds to wait for another run that writes
_DAY = 86_400
_ENCODER = msgspec.msgpack.Encoder()
_FOUND = msgspec.msgpack.Decoder(Found)
_CONTENTS = msgspec.msgpack.Decoder(dict[str, Content])
_NEEDS = msgspec.msgpack.Decoder(dict[str, frozenset[str]])


class Cache:
    """Findings by key; safe for several runs at once and for runs that are killed."""

    def __init__(self, folder: Path, *, limit: int = LIMIT) -> None:
        """`folder` need not exist; `limit` is in bytes."""
        self._path = folder / _NAME
        self._limit = limit

    def get(self, keys: Sequence[bytes]) -> dict[bytes, Found]:
        """What is known of `keys`; nothing where the cache cannot be read."""
        try:
            return {key: _FOUND.decode(value) for key, value in self._rows(keys)}
        except msgspec.MsgspecError as error:
            self._forget(error)
            return {}

    def put(self, found: Mapping[bytes, Found]) -> None:
        """Keep `found`, all of it or nothing; nothing where the cache cannot be written."""
        self._put([(key, _ENCODER.encode(value), _today()) for key, value in found.items()])

    def scan(self, key: bytes) -> Scan | None:
        """The whole audit that was kept under `key`; none where there is none."""
        rows = self._rows([key])
        try:
            return msgspec.msgpack.decode(rows[0][1], type=Scan) if rows else None
        except msgspec.MsgspecError as error:
            self._forget(error)
            return None

    def keep_scan(self, key: bytes, made: Scan) -> None:
        """Keep a whole audit."""
        self._put([(key, _ENCODER.encode(made), _today())])

    def text(self, name: str) -> bytes | None:
        """What was kept under a name; none where nothing was."""
        rows = self._rows([name.encode()])
        return rows[0][1] if rows else None

    def keep_text(self, name: str, value: bytes) -> None:
        """Keep something made, under a name that says from what."""
        self._put([(name.encode(), value, _today())])

    def needs(self, name: str) -> dict[str, frozenset[str]]:
        """What expressions need (see `literals`), as it was kept under a name."""
        kept = self.text(name)
        try:
            return _NEEDS.decode(kept) if kept else {}
        except msgspec.MsgspecError as error:
            self._forget(error)
            return {}

    def contents(self, root: Path) -> dict[str, Content]:
        """What `Tree.contents` was when `root` was last audited."""
        rows = self._rows([_root_key(root)])
        try:
            return _CONTENTS.decode(rows[0][1]) if rows else {}
        except msgspec.MsgspecError as error:
            self._forget(error)
            return {}

    def keep_contents(self, root: Path, contents: Mapping[str, Content]) -> None:
        """Keep the `Tree.contents` of `root`."""
        self._put([(_root_key(root), _ENCODER.encode(contents), _today())])

    def _rows(self, keys: Sequence[bytes]) -> list[tuple[bytes, bytes]]:
        if not os.path.isfile(self._path):  # noqa: PTH113 - no error where it may not be looked at
            return []
        try:
            with closing(self._open()) as database:
                rows = [row for part in _parts(keys) for row in _select(database, part)]
                stale = [(_today(), key) for key, _, day in rows if day != _today()]
                if stale:
                    with database:
                        database.executemany("UPDATE kept SET day = ? WHERE key = ?", stale)
        except (sqlite3.Error, OSError) as error:
            self._forget(error)
            return []
        return [(key, value) for key, value, _ in rows]

    def _put(self, rows: Sequence[tuple[bytes, bytes, int]]) -> None:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            with closing(self._open()) as database:
                with database:
                    database.execute(
                        "CREATE TABLE IF NOT EXISTS kept"
                        " (key BLOB PRIMARY KEY, value BLOB, day INTEGER)"
                    )
                    database.executemany("INSERT OR REPLACE INTO kept VALUES (?, ?, ?)", rows)
                self._shrink(database)
        except (sqlite3.Error, OSError) as error:
            self._forget(error)

    def _open(self) -> sqlite3.Connection:
        return sqlite3.connect(self._path, timeout=_BUSY)

    def _shrink(self, database: sqlite3.Connection) -> None:
        """Drop the least recently used half of a cache that has grown too large."""
        (pages,) = database.execute("PRAGMA page_count").fetchone()
        (size,) = database.execute("PRAGMA page_size").fetchone()
        if pages * size <= self._limit:
            return
        with database:
            database.execute(
                "DELETE FROM kept WHERE rowid IN (SELECT rowid FROM kept ORDER BY day, rowid"
                " LIMIT (SELECT COUNT(*) FROM kept) / 2)"
            )
        database.execute("VACUUM")

    def _forget(self, error: Exception) -> None:
        """Remove a file that is no database of ours; one that is only busy or full stays."""
        if isinstance(error, msgspec.MsgspecError) or type(error) is sqlite3.DatabaseError:
            with suppress(OSError):  # it may not be removed: the next run reads the files, too
                self._path.unlink(missing_ok=True)


def user_cache(root: Path) -> Cache | None:
    """The cache of this user; none where its directory would lie in the audited tree `root`."""
    import platformdirs  # noqa: PLC0415 - only a scan needs it

    folder = platformdirs.user_cache_path("codex-audit", appauthor=False).absolute()
    inside = folder.is_relative_to(root) or Path(folder).resolve().is_relative_to(root.resolve())
    return None if inside else Cache(folder)


@once
def program_digest() -> bytes:
    """The digest of the code that finds: another version of it may find something else."""
    digest = hashlib.sha256()
    for package in ("codex_audit.tree", "codex_audit.capabilities"):
        for source in sorted(files(package).iterdir(), key=lambda one: one.name):
            if source.name.endswith(".py"):
                digest.update(source.name.encode() + source.read_bytes())
    return digest.digest()


def _parts(keys: Sequence[bytes]) -> Iterable[Sequence[bytes]]:
    return (keys[start : start + _AT_ONCE] for start in range(0, len(keys), _AT_ONCE))


def _select(
    database: sqlite3.Connection, keys: Sequence[bytes]
) -> Iterable[tuple[bytes, bytes, int]]:
    marks = ",".join("?" * len(keys))
    return database.execute(
        f"SELECT key, value, day FROM kept WHERE key IN ({marks})",  # noqa: S608 # nosec B608 - marks only
        tuple(keys),
    )


def _root_key(root: Path) -> bytes:
    return b"root\0" + os.fsencode(root)


def _today() -> int:
    return int(time.time()) // _DAY
