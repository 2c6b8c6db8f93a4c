"""A copy of the repository for each run of a script that writes where it lies."""

from __future__ import annotations

import shutil
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_LEFT_OUT = frozenset({".git", ".audit", ".venv", "venv", "__pycache__", "node_modules"})
_LARGE = 64 << 20
_WEIGHTS = (".pt", ".pth", ".ckpt", ".safetensors")
_ROOM_FOR_WEIGHTS = 1 << 30


def lay_copy(root: Path, directory: Path, *, glob: str) -> frozenset[str]:
    """Copy the tree, but not the checkpoints of runs before; a large file of data is linked to.

    What a training writes is never linked to, since it would be written over where it lies:
    weights are copied, and beyond so many bytes of them left out. A link to a directory into which
    checkpoints go becomes an empty directory.

    Args:
        root: of the repository.
        directory: of the run; it exists.
        glob: of checkpoints.

    Returns:
        The files that lie there now.
    """
    old = {str(path) for path in root.glob(glob)} if glob else set()
    room = _ROOM_FOR_WEIGHTS
    parts = Path(glob).parts[:-1]
    homes = {"/".join(parts[: number + 1]) for number in range(len(parts))}
    emptied: list[Path] = []

    def left_out(where: str, names: Iterable[str]) -> set[str]:
        nonlocal room
        left = {n for n in names if n in _LEFT_OUT or str(Path(where) / n) in old}
        for path in (Path(where) / name for name in sorted(names) if name not in left):
            below = path.relative_to(root)
            if path.is_symlink() and any(fnmatch(below.as_posix(), home) for home in homes):
                emptied.append(directory / below)
                left.add(path.name)
            elif _large(path) and _are_weights(path):
                room -= path.stat().st_size
                left |= {path.name} if room < 0 else set()
        return left

    shutil.copytree(
        root, directory, symlinks=True, ignore=left_out, copy_function=_laid, dirs_exist_ok=True
    )
    for path in emptied:
        path.mkdir()
    return frozenset(str(path) for path in directory.rglob("*") if path.is_file())


def _large(path: Path) -> bool:
    return path.is_file() and not path.is_symlink() and path.stat().st_size >= _LARGE


def _are_weights(path: Path) -> bool:
    """Whether a file is what `torch.save` or its like writes, by its name or its first entry."""
    if path.suffix in _WEIGHTS:
        return True
    with path.open("rb") as stream:
        return b"/data.pkl" in stream.read(100)


def _laid(source: str, target: str) -> None:
    path = Path(source)
    if _large(path) and not _are_weights(path) and path.suffix != ".log":
        Path(target).symlink_to(source)
    else:
        shutil.copy2(source, target)


def newest(directory: Path, glob: str) -> Path:
    """The checkpoint that was written last; what the glob would find where there is none."""
    found = list(directory.glob(glob))
    return max(found, key=lambda path: (_written(path), path.name), default=directory / glob)


def _written(path: Path) -> int:
    files = (each for each in path.rglob("*") if each.is_file()) if path.is_dir() else (path,)
    return max((each.stat().st_mtime_ns for each in files), default=0)
