"""What git knows of a tree, asked so that nothing of the audited repository is run or written.

A repository's own configuration can name programs (file-system monitor, hooks, filters), so
only plumbing that reads the index and object store is used, with those switched off.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import msgspec

_SAFE = (
    "-c", "core.fsmonitor=false",
    "-c", "core.hooksPath=/dev/null",
    "-c", "safe.directory=*",
    "-c", "core.quotePath=false",
)  # fmt: skip
# No lock is taken, nobody is asked, and a partial clone fetches nothing: a fetch would run
# whatever transport its configuration names.
_ENVIRONMENT = {
    "GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C",
    "GIT_NO_LAZY_FETCH": "1", "GIT_ALLOW_PROTOCOL": "none", "GIT_SSH_COMMAND": "false",
}  # fmt: skip
_TIMEOUT = 120


class IndexEntry(msgspec.Struct, frozen=True):
    """One entry of the index: POSIX path relative to the root asked about, mode, blob id."""

    path: str
    mode: str
    blob: str
    sparse: bool


class GitRefusedError(Exception):
    """git could not answer about a repository that is there; the text says why."""


def _git(root: Path, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    """A git command in `root`, whatever its exit status.

    Raises:
        GitRefusedError: there is no git, it cannot be started in `root`, or it does not answer.
    """
    environment = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
    try:
        return subprocess.run(  # noqa: S603 - fixed arguments, no shell
            [_program(environment.get("PATH", os.defpath)), *_SAFE, *arguments],
            cwd=root,
            env=environment | _ENVIRONMENT,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            timeout=_TIMEOUT,
        )
    except subprocess.TimeoutExpired:
        raise GitRefusedError(f"git did not answer within {_TIMEOUT} seconds") from None
    except OSError as error:
        raise GitRefusedError(f"git cannot be started here: {error.strerror}") from error


def _program(path: str) -> str:
    """The user's git. A relative entry of PATH could mean a program of the audited tree."""
    absolute = os.pathsep.join(part for part in path.split(os.pathsep) if Path(part).is_absolute())
    found = shutil.which("git", path=absolute) if absolute else None
    if found is None or not Path(found).is_absolute():
        raise GitRefusedError("git is not installed")
    return found


def repository_of(root: Path) -> Path | None:
    """The nearest directory, `root` or above it, that has a `.git`; none without one."""
    return next((place for place in (root, *root.parents) if os.path.lexists(place / ".git")), None)


def is_bare(root: Path) -> bool:
    """Whether `root` is itself a git directory: objects and references, no files checked out."""
    return (
        os.path.isfile(root / "HEAD")  # noqa: PTH113 - without an error where it is unreadable
        and os.path.isdir(root / "objects")  # noqa: PTH112
        and os.path.isdir(root / "refs")  # noqa: PTH112
    )


def index_entries(root: Path) -> list[IndexEntry] | None:
    """What git tracks below `root`, or none where there is no repository.

    Raises:
        GitRefusedError: there is a repository, but git cannot read it.
    """
    repository = repository_of(root)
    if repository is None:
        return None
    done = _git(root, "ls-files", "-s", "-t", "-z", "--", ".")
    if done.returncode:
        said = done.stderr.decode("utf-8", "replace").strip() or f"exit status {done.returncode}"
        # git may know better than the name `.git` that a parent is no repository of this tree
        if repository != root and "not a git repository" in said:
            return None
        raise GitRefusedError(f"git cannot read the repository: {' '.join(said.split())[:300]}")
    entries = {}
    for record in done.stdout.split(b"\0"):
        if not record:
            continue
        head, _, path = record.partition(b"\t")
        tag, mode, blob, _stage = head.decode().split()
        name = path.decode("utf-8", "surrogateescape")
        # Nothing but a damaged or hostile index has such a path: it would lead out of the tree.
        if not {"", ".", "..", ".git"} & set(name.split("/")):
            entries[name] = IndexEntry(name, mode, blob, sparse=tag == "S")
    return list(entries.values())


def untracked_python(root: Path) -> list[str]:
    """Python files below `root` that git neither tracks nor ignores: gates see them as well."""
    done = _git(root, "ls-files", "--others", "--exclude-standard", "-z", "--", "*.py")
    names = done.stdout.split(b"\0") if done.returncode == 0 else []
    return sorted(name.decode("utf-8", "surrogateescape") for name in names if name)


def head_commit(root: Path) -> str | None:
    """The commit checked out, in hex; none without a repository or a commit."""
    try:
        done = _git(root, "rev-parse", "--verify", "--quiet", "HEAD")
    except GitRefusedError:
        return None
    return done.stdout.decode().strip() if done.returncode == 0 else None


def has_staged_changes(root: Path) -> bool:
    """Whether the index differs from the checked-out commit below `root`, or git cannot tell."""
    try:
        return _git(root, "diff-index", "--cached", "--quiet", "HEAD", "--", ".").returncode != 0
    except GitRefusedError:
        return True
