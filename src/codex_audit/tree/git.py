"""What git knows of a tree, asked so that nothing of the audited repository is run or written.

A repository's own configuration can name programs (file-system monitor, hooks, filters), so
only plumbing that reads the index and object store is used, with those switched off.
"""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from pathlib import Path

_SAFE = (
    "-c", "core.fsmonitor=false",
    "-c", "core.hooksPath=/dev/null",
    "-c", "safe.directory=*",
    "-c", "core.quotePath=false",
)  # fmt: skip


class IndexEntry(msgspec.Struct, frozen=True):
    """One entry of the index: POSIX path relative to the root asked about, mode, blob id."""

    path: str
    mode: str
    blob: str
    sparse: bool


def _git(root: Path, *arguments: str) -> bytes | None:
    """The output of a git command in `root`; none when git is absent or refuses."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
    environment |= {"GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}
    try:
        done = subprocess.run(  # noqa: S603 - fixed arguments, no shell
            ["git", *_SAFE, *arguments],  # noqa: S607 - the user's git, as on their PATH  # nosec B607
            cwd=root,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
        )
    except FileNotFoundError:
        return None
    return done.stdout if done.returncode == 0 else None


def index_entries(root: Path) -> list[IndexEntry] | None:
    """What git tracks below `root`, or none where there is no repository (or no git)."""
    output = _git(root, "ls-files", "-s", "-t", "-z", "--", ".")
    if output is None:
        return None
    entries = {}
    for record in output.split(b"\0"):
        if not record:
            continue
        head, _, path = record.partition(b"\t")
        tag, mode, blob, _stage = head.decode().split()
        name = path.decode("utf-8", "surrogateescape")
        entries[name] = IndexEntry(name, mode, blob, sparse=tag == "S")
    return list(entries.values())


def head_commit(root: Path) -> str | None:
    """The commit checked out, as 40 hex digits; none without a repository or a commit."""
    output = _git(root, "rev-parse", "--verify", "--quiet", "HEAD")
    return output.decode().strip() if output else None


def has_staged_changes(root: Path) -> bool:
    """Whether the index differs from the checked-out commit, below `root`."""
    return _git(root, "diff-index", "--cached", "--quiet", "HEAD", "--", ".") is None
