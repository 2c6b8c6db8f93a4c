"""The static audit: a tree in, a `Scan` out. Nothing of the tree is imported, run or written."""

from __future__ import annotations

import os
import time
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime
from functools import lru_cache
from multiprocessing import get_context
from typing import TYPE_CHECKING

from codex_audit.capabilities.catalog import deep, load_catalog, wanted_facts
from codex_audit.capabilities.evaluate import evaluate
from codex_audit.diagnosis import Failure, capture
from codex_audit.provenance import provenance
from codex_audit.records import RepoMap, Scan
from codex_audit.reproducibility import checklist, checklist_signals
from codex_audit.settings import Settings, SettingsError
from codex_audit.tree.extract import extract
from codex_audit.tree.facts import FileFacts, Interest, Problem
from codex_audit.tree.files import Tree, list_tree
from codex_audit.tree.repo_map import repo_map

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from codex_audit.capabilities.catalog import Catalog
    from codex_audit.outcome import CapturedError
    from codex_audit.tree.files import TreeFile

SNIPPET_LIMIT = 160
# Below this many bytes, starting processes costs more than it saves.
WORTH_PROCESSES = 4_000_000
MOST_PROCESSES = 8


def scan(root: Path, settings: Settings, command: str = "codex-audit scan") -> Scan:
    """Audit the tree at `root` without running any of it.

    Raises:
        SettingsError: settings declare something not applicable that the catalog does not have.
        NotADirectoryError: `root` is no directory.
    """
    if not root.is_dir():
        raise NotADirectoryError(f"{root}: no such directory; give the directory of a repository")
    started, clock = datetime.now(UTC), time.monotonic()
    catalog = load_catalog()
    _check_declared(catalog, settings, root)
    tree = list_tree(root, settings.exclude)
    files = read_facts(tree, catalog)
    snippet = _snippets(tree)
    verdicts = evaluate(
        catalog, files, root=tree.root, snippet=snippet, not_applicable=settings.not_applicable
    )
    mapped = repo_map(tree, files, snippet)
    return Scan(
        project=settings.project or tree.root.name,
        catalog_version=catalog.version,
        trains=verdicts.trains,
        repo_map=mapped,
        capabilities=verdicts.capabilities,
        reproducibility=checklist(
            files, verdicts.capabilities, trains=verdicts.trains, snippet=snippet
        ),
        errors=(*_unparsed_error(mapped, tree), *verdicts.errors),
        provenance=provenance(
            tree=tree,
            tools={},
            device="cpu",
            started=started,
            seconds=time.monotonic() - clock,
            command=command,
        ),
    )


def read_facts(tree: Tree, catalog: Catalog) -> list[FileFacts]:
    """The facts of every file, in the tree's order; a large tree is read by several processes."""
    jobs = min(os.cpu_count() or 1, MOST_PROCESSES)
    if jobs == 1 or sum(file.size for file in tree.files) < WORTH_PROCESSES:
        return _Reader(tree.root, catalog).read(tree.files)
    # Files of one directory cost alike: every n-th file gives each process the same share.
    shares = [tree.files[start::jobs] for start in range(jobs)]
    with ProcessPoolExecutor(jobs, mp_context=get_context("fork")) as pool:
        found = {
            file.path: file
            for share in pool.map(_Reader(tree.root, catalog).read, shares)
            for file in share
        }
    return [found[file.path] for file in tree.files]


class _Reader:
    """Reads files of one tree into facts; a process of its own can be given one."""

    def __init__(self, root: Path, catalog: Catalog) -> None:
        self._root = root
        signals = [*catalog.signals(), *deep(checklist_signals())]
        self._wanted = [*wanted_facts(signals), ("file", "*", None), ("requirement", "*", None)]

    def read(self, files: Sequence[TreeFile]) -> list[FileFacts]:
        interest = Interest(self._wanted)
        found = []
        for file in files:
            try:
                source = (self._root / file.path).read_bytes()
            except OSError as error:
                problem = Problem(1, f"cannot be read: {error.strerror}")
                found.append(FileFacts(file.path, file.role, 0, (), problem=problem))
            else:
                found.append(extract(file.path, file.role, source, interest))
        return found


def _snippets(tree: Tree) -> Callable[[str, int], str]:
    @lru_cache(maxsize=256)
    def lines(path: str) -> list[str]:
        return tree.read(path).decode("utf-8", "replace").splitlines()

    def snippet(path: str, line: int) -> str:
        text = lines(path)
        return text[line - 1].strip()[:SNIPPET_LIMIT] if 0 < line <= len(text) else ""

    return snippet


def _unparsed_error(mapped: RepoMap, tree: Tree) -> list[CapturedError]:
    """One captured error for all files that could not be read or parsed, naming them."""
    if not mapped.unparsed:
        return []
    shown = ", ".join(f"{file.path}:{file.line} ({file.reason})" for file in mapped.unparsed[:5])
    more = f" and {len(mapped.unparsed) - 5} more" if len(mapped.unparsed) > 5 else ""  # noqa: PLR2004
    count = len(mapped.unparsed)
    message = f"{count} file{'s' if count > 1 else ''} could not be read or parsed: {shown}{more}"
    return [
        capture(
            Failure("SyntaxError", message),
            phase=2,
            step="repository_mapping",
            context=f"reading {mapped.files} files; the rest of them was audited",
            root=tree.root,
        )
    ]


def _check_declared(catalog: Catalog, settings: Settings, root: Path) -> None:
    for key in settings.not_applicable:
        capability, _, criterion = key.partition(".")
        rule = catalog.capabilities.get(capability)
        if rule is None or (criterion and criterion not in rule.criteria):
            raise SettingsError(
                f"{root / 'pyproject.toml'}: [tool.codex-audit] not-applicable.{key!r}: no such "
                "capability or criterion; `codex-audit explain` lists them"
            )
