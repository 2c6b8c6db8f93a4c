"""The files of a checkpoint, and whether torch loads them without running what they hold."""

from __future__ import annotations

import hashlib
import json
import pickle  # nosec B403 - for its exception
import re
import warnings
import zipfile
from typing import TYPE_CHECKING

from codex_audit.proofs.trainer.bits import flat_bytes
from codex_audit.proofs.trainer.inert import is_plain
from codex_audit.proofs.trainer.runs import File

if TYPE_CHECKING:
    from pathlib import Path

PLAIN = "a plain pickle, which runs what it names when it is loaded"
_OBJECTS = re.compile(r"(Unsupported \w+|GLOBAL|global|class|operand)[: ]+[\w.]*[.\d][\w.]*\w")
_PICKLE = b"\x80"
_ENDINGS = (".pt", ".pth", ".bin", ".ckpt", ".pkl", ".pickle", ".tar")


def files_in(directory: Path) -> tuple[File, ...]:
    """Every file below `directory`, sorted; `refused` is why it is not safe to load."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what is odd about a file is told by `refused`
        return tuple(
            File(path.relative_to(directory).as_posix(), path.stat().st_size, *_read(path))
            for path in sorted(directory.rglob("*"))
            if path.is_file() and not path.is_symlink()
        )


def _read(path: Path) -> tuple[str, frozenset[str]]:
    """Why `torch.load(weights_only=True)` refuses a pickle, and the hashes of a file's tensors."""
    import torch  # noqa: PLC0415 - only a child may
    from torch.utils._pytree import tree_leaves  # noqa: PLC0415 - as above

    if path.suffix == ".safetensors":
        return "", _of_safetensors(path)
    with path.open("rb") as stream:
        pickled = stream.read(1) == _PICKLE
    archive = zipfile.is_zipfile(path)
    if archive:
        with zipfile.ZipFile(path) as members:
            archive = any(name.endswith("data.pkl") for name in members.namelist())
    if not archive and not (pickled and path.suffix in _ENDINGS):
        return "", frozenset()
    if not archive and is_plain(path):
        return PLAIN, frozenset()
    try:
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError) as error:
        return short(str(error)), _storages(path) if archive else frozenset()
    leaves = (leaf for leaf in tree_leaves(loaded) if isinstance(leaf, torch.Tensor))
    hashes = (hashlib.sha256(flat_bytes(leaf)[1]).hexdigest() for leaf in leaves)
    return "", frozenset(hashes)


def _storages(path: Path) -> frozenset[str]:
    """The hashes of what an archive's tensors are made of, without unpickling what names them."""
    with zipfile.ZipFile(path) as members:
        names = [name for name in members.namelist() if re.search(r"/data/\d+$", name)]
        return frozenset(hashlib.sha256(members.read(name)).hexdigest() for name in names)


def short(message: str) -> str:
    """What torch objects to, without its advice."""
    named = _OBJECTS.search(message)
    if named is not None:
        return named[0]
    return (message.strip() or "no reason given").splitlines()[0].partition(". ")[0]


def _of_safetensors(path: Path) -> frozenset[str]:
    """The hashes of its tensors, read as the format says: a length, a header, their bytes."""
    data = path.read_bytes()
    start = 8 + int.from_bytes(data[:8], "little")
    try:
        header = json.loads(data[8:start])
        spans = [each["data_offsets"] for key, each in header.items() if key != "__metadata__"]
    except (ValueError, KeyError, TypeError, AttributeError):  # cut off, or no such file
        return frozenset()
    pieces = (data[start + begin : start + end] for begin, end in spans)
    return frozenset(hashlib.sha256(piece).hexdigest() for piece in pieces)
