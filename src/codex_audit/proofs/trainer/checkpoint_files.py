"""The files of a checkpoint, and whether torch loads them without running what they hold."""

from __future__ import annotations

import pickle
import zipfile
from typing import TYPE_CHECKING

from codex_audit.proofs.trainer.runs import File

if TYPE_CHECKING:
    from pathlib import Path

_PICKLE = b"\x80"
_ENDINGS = (".pt", ".pth", ".bin", ".ckpt", ".pkl", ".pickle", ".tar")


def files_in(directory: Path) -> tuple[File, ...]:
    """Every file below `directory`, sorted; `refused` is why it is not safe to load."""
    return tuple(
        File(path.relative_to(directory).as_posix(), path.stat().st_size, _refused(path))
        for path in sorted(directory.rglob("*"))
        if path.is_file() and not path.is_symlink()
    )


def _refused(path: Path) -> str:
    """Why `torch.load(weights_only=True)` refuses a pickle; "" for all that is none."""
    import torch  # noqa: PLC0415 - only a child may

    with path.open("rb") as stream:
        pickled = stream.read(1) == _PICKLE
    archive = zipfile.is_zipfile(path)
    if archive:
        with zipfile.ZipFile(path) as members:
            archive = any(name.endswith("data.pkl") for name in members.namelist())
    if not archive and not (pickled and path.suffix in _ENDINGS):
        return ""
    try:
        torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError) as error:
        return str(error).strip().splitlines()[0]
    return ""
