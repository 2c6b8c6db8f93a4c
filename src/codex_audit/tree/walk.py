"""The files below a directory that no git lists, less what is ignored."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from codex_audit.tree.reading import read_regular, text_lines

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from pathspec import GitIgnoreSpec

ENVIRONMENTS = frozenset(
    {".venv", "venv", ".env", "site-packages", "node_modules", ".tox", ".nox", ".conda"}
)
CACHES = frozenset(
    {"__pycache__", ".mypy_cache", ".pytest_cache", ".ruff_cache", ".ipynb_checkpoints", ".cache",
     ".hypothesis", ".eggs"}
)  # fmt: skip
VENDORED = frozenset(
    {"third_party", "thirdparty", "3rdparty", "third-party", "vendor", "vendors", "vendored",
     "_vendor", "_vendored", "extern", "externals"}
)  # fmt: skip
_OURS = frozenset({".git", ".audit", ".hg", ".svn"})
_STARS = re.compile(r"\*+")
_MOST_STARS = 4
UNREADABLE = "unreadable directory"
NOT_REGULAR = "not a regular file"


def walk(root: Path) -> Iterator[tuple[str, str]]:
    """Every file below `root` with the reason to leave it out, `""` for none.

    Directories that are left out whole are given once, as `directory/`; `.gitignore` files are
    obeyed as git would. Symbolic links are not followed.
    """
    # A stack, not recursion: directories can be nested deeper than Python can call.
    pending: list[tuple[str, list[tuple[str, GitIgnoreSpec]]]] = [("", [])]
    while pending:
        directory, ignores = pending.pop()
        place = root / directory
        ignores = ignores + _ignores_of(place, directory)
        try:
            entries = sorted(os.scandir(place), key=lambda entry: entry.name)
        except OSError:
            yield f"{directory}/", UNREADABLE
            continue
        for entry in entries:
            if entry.name in _OURS:
                continue
            path = f"{directory}/{entry.name}" if directory else entry.name
            kind = _kind(entry)
            if kind != "directory":
                yield path, kind or ("ignored" if _ignored(path, ignores) else "")
                continue
            reason = directory_reason((entry.name,))
            # os.path: an unreadable directory has no such file, rather than an error
            if not reason and os.path.isfile(f"{entry.path}/pyvenv.cfg"):  # noqa: PTH113
                reason = "virtual environment"
            if not reason and _ignored(f"{path}/", ignores):
                reason = "ignored"
            if reason in {"", "vendored"}:  # vendored files are counted one by one
                pending.append((path, ignores))
            else:
                yield f"{path}/", reason


def directory_reason(parts: Iterable[str]) -> str:
    """Why files below these directories are left out; `""` where they are not."""
    for part in parts:
        if part in ENVIRONMENTS:
            return "virtual environment"
        if part in CACHES:
            return "cache"
        if part in VENDORED:
            return "vendored"
        if part.endswith((".egg-info", ".dist-info")):
            return "build output"
    return ""


def spec(patterns: Sequence[str]) -> GitIgnoreSpec:
    """A matcher of git-style patterns; one that is no pattern fits nothing, as in git.

    Nor does one with very many stars: matching it could take for ever.
    """
    import pathspec  # noqa: PLC0415 - only trees without git, or with exclusions, pay for it

    good = [pattern for pattern in patterns if len(_STARS.findall(pattern)) <= _MOST_STARS]
    try:
        return pathspec.GitIgnoreSpec.from_lines(good)
    except (ValueError, re.error):
        return pathspec.GitIgnoreSpec.from_lines(filter(_is_pattern, good))


def _is_pattern(text: str) -> bool:
    import pathspec  # noqa: PLC0415 - as above

    try:
        pathspec.GitIgnoreSpec.from_lines([text])
    except (ValueError, re.error):
        return False
    return True


def _kind(entry: os.DirEntry[str]) -> str:
    """`directory`, `""` for a regular file, or why an entry that is neither is left out."""
    try:
        if entry.is_symlink():
            return "symbolic link"
        if entry.is_dir(follow_symlinks=False):
            return "directory"
        return "" if entry.is_file(follow_symlinks=False) else NOT_REGULAR
    except OSError:
        return "unreadable"


def _ignores_of(place: Path, directory: str) -> list[tuple[str, GitIgnoreSpec]]:
    try:
        source = read_regular(place / ".gitignore")
    except OSError:  # mostly: there is none. git, too, does not follow one that is a link.
        return []
    return [(directory, spec(text_lines(source.decode("utf-8", "replace"))))]


def _ignored(path: str, ignores: Sequence[tuple[str, GitIgnoreSpec]]) -> bool:
    """As git decides: the last pattern that fits, those of the deepest directory first."""
    for base, patterns in reversed(ignores):
        inner = path.removeprefix(f"{base}/") if base else path
        decided = patterns.check_file(inner).include
        if decided is not None:
            return decided
    return False
