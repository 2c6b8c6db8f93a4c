"""Reading the files of a tree for the signals that hold in them."""

from __future__ import annotations

import hashlib
import os
import sys
from functools import cached_property
from typing import TYPE_CHECKING

import msgspec

from codex_audit.tree.cache import program_digest
from codex_audit.tree.extract import extract
from codex_audit.tree.facts import Fact, FileFacts, Found, Problem, collapse
from codex_audit.tree.files import blob_id
from codex_audit.tree.reading import LARGE, shown_text

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from codex_audit.capabilities.probes import Probes
    from codex_audit.tree.cache import Cache
    from codex_audit.tree.files import Tree, TreeFile

# Below this many bytes, starting processes costs more than it saves.
WORTH_PROCESSES = 2_000_000
MOST_PROCESSES = 8


def survey(tree: Tree, probes: Probes, cache: Cache | None = None) -> list[Found]:
    """What `probes` find in each file, in the tree's order; several processes read a large tree.

    Files whose content `cache` knows are not read again.
    """
    reader = _Reader(tree, probes)
    if cache is None:
        return list(_read(tree.files, reader.read))
    keys = {file.path: reader.key(file) for file in tree.files}
    known = cache.get(list(keys.values()))
    missing = [file for file in tree.files if keys[file.path] not in known]
    fresh = dict(zip(missing, _read(missing, reader.read), strict=True))
    found = [fresh[file] if file in fresh else known[keys[file.path]] for file in tree.files]
    kept = {
        keys[file.path]: one
        for file, one in fresh.items()
        # what a rule could not be asked may be the moment's own as well
        if not one.broken and (one.problem is None or not one.problem.passing)
    }
    if kept:
        cache.put(kept)
    return found


def _read(files: Sequence[TreeFile], read: Callable[[TreeFile], Found]) -> Sequence[Found]:
    jobs = min(os.cpu_count() or 1, MOST_PROCESSES)
    size = sum(file.size for file in files if file.size <= LARGE)
    if jobs == 1 or size < WORTH_PROCESSES:
        return [read(file) for file in files]
    from codex_audit.tree import processes  # noqa: PLC0415 - large trees only

    if not processes.available():
        return [read(file) for file in files]
    return processes.read_in_processes(read, files, jobs)


class _Reader:
    """Reads files of one tree. Whatever a file holds, it costs at most its own facts."""

    def __init__(self, tree: Tree, probes: Probes) -> None:
        self._tree = tree
        self._probes = probes

    @cached_property
    def _rules(self) -> bytes:
        """What is found depends on who reads, and on the Python whose syntax it is."""
        return hashlib.sha256(
            program_digest() + self._probes.digest() + sys.version.encode()
        ).digest()

    def key(self, file: TreeFile) -> bytes:
        """What the findings of `file` are known by: its content, its name, the rules."""
        named = f"{self._tree.blob(file.path)}\0{file.role}\0{file.path}"
        return hashlib.blake2b(
            named.encode("utf-8", "surrogateescape"), key=self._rules, digest_size=16
        ).digest()

    def read(self, file: TreeFile) -> Found:
        """What is found in `file`, and the problem that there is with it."""
        asked = self._probes.of(file.role)
        found = asked.find(self._facts(file))
        if found.problem is None:
            return found
        reason = shown_text(collapse(found.problem.reason))
        problem = msgspec.structs.replace(found.problem, reason=reason)
        return msgspec.structs.replace(found, problem=problem)

    def _facts(self, file: TreeFile) -> FileFacts:
        if file.size > LARGE:
            here = (Fact("file", file.path, 1),)
            code = file.path.endswith((".py", ".pyi", ".ipynb"))
            problem = Problem(1, f"larger than {LARGE} bytes: not read") if code else None
            return FileFacts(file.path, file.role, 0, here, problem=problem)
        try:
            source = self._tree.read(file.path)
            if blob_id(source) != self._tree.blob(file.path):
                return _problem(file, "it changed while it was audited")
            return extract(file.path, file.role, source, self._probes.of(file.role))
        except OSError as error:
            return _problem(file, f"cannot be read: {error.strerror}")
        except RecursionError:
            return _problem(file, "nested too deeply to be read")
        except Exception as error:  # noqa: BLE001 - a fault of a reader must not hide the other files; it is shown
            return _problem(file, f"its reader failed: {type(error).__name__}: {error}")


def _problem(file: TreeFile, reason: str) -> FileFacts:
    return FileFacts(file.path, file.role, 0, (), problem=Problem(1, reason, passing=True))
