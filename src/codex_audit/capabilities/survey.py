"""Reading the files of a tree for the signals that hold in them."""

from __future__ import annotations

import gc
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

import msgspec

from codex_audit.tree import processes
from codex_audit.tree.extract import extract
from codex_audit.tree.facts import Fact, FileFacts, Found, Problem, collapse
from codex_audit.tree.reading import LARGE, shown_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from codex_audit.capabilities.probes import Probes
    from codex_audit.tree.files import Tree, TreeFile

# Below this many bytes, starting processes costs more than it saves.
WORTH_PROCESSES = 2_000_000
MOST_PROCESSES = 8


def survey(tree: Tree, probes: Probes) -> list[Found]:
    """What `probes` find in each file, in the tree's order; several processes read a large tree."""
    with _no_collection():
        return _survey(tree, _Reader(tree, probes).read)


def _survey(tree: Tree, read: Callable[[TreeFile], Found]) -> list[Found]:
    jobs = min(os.cpu_count() or 1, MOST_PROCESSES)
    size = sum(file.size for file in tree.files)
    if jobs == 1 or size < WORTH_PROCESSES or not processes.AVAILABLE:
        return [read(file) for file in tree.files]
    return processes.read_in_processes(read, tree.files, jobs)


@contextmanager
def _no_collection() -> Iterator[None]:
    """Hold the garbage collector: syntax trees are large and without cycles, it finds nothing."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


class _Reader:
    """Reads files of one tree. Whatever a file holds, it costs at most its own facts."""

    def __init__(self, tree: Tree, probes: Probes) -> None:
        self._tree = tree
        self._probes = probes

    def read(self, file: TreeFile) -> Found:
        """What is found in `file`, and the problem that there is with it."""
        asked = self._probes.of(file.role)
        found = asked.find(self._facts(file))
        if found.problem is None:
            return found
        reason = shown_text(collapse(found.problem.reason))
        return msgspec.structs.replace(found, problem=Problem(found.problem.line, reason))

    def _facts(self, file: TreeFile) -> FileFacts:
        if file.size > LARGE:
            here = (Fact("file", file.path, 1),)
            source = file.path.endswith((".py", ".pyi", ".ipynb"))
            problem = Problem(1, f"larger than {LARGE} bytes: not read") if source else None
            return FileFacts(file.path, file.role, 0, here, problem=problem)
        try:
            interest = self._probes.of(file.role)
            return extract(file.path, file.role, self._tree.read(file.path), interest)
        except OSError as error:
            return _problem(file, f"cannot be read: {error.strerror}")
        except RecursionError:
            return _problem(file, "nested too deeply to be read")
        except Exception as error:  # noqa: BLE001 - a fault of a reader must not hide the other files; it is shown
            return _problem(file, f"its reader failed: {type(error).__name__}: {error}")


def _problem(file: TreeFile, reason: str) -> FileFacts:
    return FileFacts(file.path, file.role, 0, (), problem=Problem(1, reason))
