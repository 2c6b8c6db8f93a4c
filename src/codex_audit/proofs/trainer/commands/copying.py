"""A copy of the repository for each run of a script that writes where it lies."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_LEFT_OUT = frozenset({".git", ".audit", ".venv", "venv", "__pycache__", "node_modules"})
_LARGE = 1 << 20


def lay_copy(root: Path, directory: Path, *, glob: str) -> frozenset[str]:
    """Copy the tree, but not the checkpoints of runs before; a large file is linked to.

    Args:
        root: of the repository.
        directory: of the run; it exists.
        glob: of checkpoints.

    Returns:
        The files that lie there now.
    """
    old = {str(path) for path in root.glob(glob)} if glob else set()

    def left_out(where: str, names: Iterable[str]) -> set[str]:
        return {n for n in names if n in _LEFT_OUT or str(Path(where) / n) in old}

    shutil.copytree(
        root, directory, symlinks=True, ignore=left_out, copy_function=_laid, dirs_exist_ok=True
    )
    return frozenset(str(path) for path in directory.rglob("*") if path.is_file())


def newest(directory: Path, glob: str) -> Path:
    """The checkpoint that was written last; what the glob would find where there is none."""
    found = list(directory.glob(glob))
    return max(found, key=lambda path: (_written(path), path.name), default=directory / glob)


def _laid(source: str, target: str) -> None:
    if os.stat(source).st_size >= _LARGE:  # noqa: PTH116 - copytree tells texts
        os.symlink(source, target)  # noqa: PTH211 - as above
    else:
        shutil.copy2(source, target)


def _written(path: Path) -> int:
    files = (each for each in path.rglob("*") if each.is_file()) if path.is_dir() else (path,)
    return max((each.stat().st_mtime_ns for each in files), default=0)
