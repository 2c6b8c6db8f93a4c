"""What a checkpoint is on the disk: files, a manifest with their hashes, a name that says whole.

Everything is written below a temporary name, flushed to the disk, and renamed, so whatever has
its final name is complete (Pillai et al., "All File Systems Are Not Created Equal", OSDI 2014).
Removal goes the other way round: renamed first, then deleted.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from codex_ml import documents
from codex_ml.documents import fsync, sha256
from codex_ml.environment import config_hash

FORMAT = "codex-ml-checkpoint"
MANIFEST = "manifest.json"
WRITING, DELETING = ".writing-", ".deleting-"

Tensors = Mapping[str, Tensor]
Values = Mapping[str, Any]
_SCALARS = (type(None), bool, int, float, str, bytes, torch.dtype, torch.device)
_log = logging.getLogger(__name__)


class CheckpointError(RuntimeError):
    """There is no checkpoint to load; the message says what was found and why not that."""


class DamagedError(CheckpointError):
    """A checkpoint that is not what was written: a file is missing or its hash differs."""


class FormatError(CheckpointError):
    """A checkpoint of another program, of a later version of this one, or of another store."""


def commit(temporary: Path, final: Path, described: Mapping[str, Any]) -> None:
    """Make a written directory a checkpoint: manifest, flush, rename.

    It holds the files that `described["files"]` names, each flushed by `seal`. Format, version and
    a hash of the manifest itself are added to `described`.
    """
    whole = {**documents.header(FORMAT), **described}
    whole["manifest_sha256"] = config_hash(whole)
    (temporary / MANIFEST).write_text(documents.to_json(whole), encoding="utf-8")
    directories = [path for path in temporary.rglob("*") if path.is_dir()]
    for path in (temporary / MANIFEST, *directories, temporary):
        fsync(path)
    temporary.rename(final)
    fsync(final.parent)


def seal(path: Path) -> dict[str, Any]:
    """Flush a written file to the disk; its size and SHA-256, for the manifest."""
    fsync(path)
    return {"bytes": path.stat().st_size, "sha256": sha256(path)}


def verify(path: Path) -> dict[str, Any]:
    """The manifest of a checkpoint each of whose bytes is as it was written.

    Raises:
        FormatError: it is of another program or a later version.
        DamagedError: a file is missing or differs; the message names it.
    """
    described = read_manifest(path)

    def check(part: str) -> None:
        try:
            actual = sha256(path / part)
        except OSError as error:
            raise DamagedError(f"{path}: {part} cannot be read ({error.strerror})") from error
        if actual != described["files"][part]["sha256"]:
            raise DamagedError(f"{path}: {part} does not have the SHA-256 of the manifest")

    with ThreadPoolExecutor() as pool:  # hashing runs outside the interpreter's lock
        list(pool.map(check, described["files"]))
    return described


def read_manifest(path: Path) -> dict[str, Any]:
    """The manifest of a checkpoint, itself verified; its files are not.

    Raises:
        FormatError: it is of another program or a later version.
        DamagedError: it cannot be read, or is not as it was written.
    """
    try:
        described = documents.from_json((path / MANIFEST).read_bytes(), FORMAT)
    except documents.FormatError as error:
        raise FormatError(f"{path}: {error}") from error
    except (OSError, ValueError) as error:
        raise DamagedError(f"{path}: {MANIFEST} cannot be read ({error})") from error
    if described.pop("manifest_sha256", None) != config_hash(described):
        raise DamagedError(f"{path}: {MANIFEST} does not have the SHA-256 that it names")
    return described


def manifest_if_whole(path: Path) -> dict[str, Any] | None:
    """The manifest where the sizes of files are right: cheap, and what a cut-off file fails."""
    try:
        described = read_manifest(path)
        sizes = {part: (path / part).stat().st_size for part in described["files"]}
    except (CheckpointError, OSError):
        return None
    return described if sizes == {p: f["bytes"] for p, f in described["files"].items()} else None


def remove(paths: Iterable[Path]) -> None:
    """Delete checkpoints, each under a name that no longer says it is whole.

    What cannot be deleted is warned of: a run must not end because a disk kept a file.
    """
    for path in paths:
        doomed = path.with_name(DELETING + path.name.removeprefix(DELETING))
        try:
            path.rename(doomed)
            shutil.rmtree(doomed)
        except OSError as error:
            _log.warning("%s could not be removed: %s", path, error)


class Buffers(dict[str, Tensor]):
    """Memory for copies of tensors, used again by the next save; pinned for those from CUDA.

    Fresh pages cost several times what the copying does.
    """

    def copy_of(self, tensor: Tensor, where: str) -> Tensor:
        """A contiguous copy on the CPU, over the one made of what was at `where` before."""
        made = self.get(where)
        if made is None or (made.shape, made.dtype) != (tensor.shape, tensor.dtype):
            made = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=tensor.is_cuda)
            self[where] = made
        return made.copy_(tensor.detach())


def itself(tensor: Tensor, where: str) -> Tensor:
    """The tensor, for `plain`; TypeError for one of a class of its own, a shard for one."""
    if type(tensor) in (Tensor, torch.nn.Parameter):
        return tensor.detach()
    raise _refused(tensor, where)


def plain(
    value: Any, where: str = "state", *, tensor: Callable[[Tensor, str], Any] = itself
) -> Any:
    """`value` as `torch.load(weights_only=True)` will read it, checked before it is written.

    Args:
        value: tensors, numbers, strings, in mappings, lists and tuples.
        where: what to call it in an error.
        tensor: what to put for a tensor and the place where it stands, a copy for one.

    Raises:
        TypeError: something in it could be saved and not loaded; the message says where.
    """
    if type(value) in _SCALARS:
        return value
    if isinstance(value, Tensor):
        return tensor(value, where)
    if isinstance(value, Mapping):
        if odd := [key for key in value if type(key) not in _SCALARS]:
            raise TypeError(f"{where}: the key {odd[0]!r} is of {type(odd[0])}")
        return {k: plain(item, f"{where}[{k!r}]", tensor=tensor) for k, item in value.items()}
    if type(value) in (list, tuple, torch.Size):
        items = [plain(item, f"{where}[{n}]", tensor=tensor) for n, item in enumerate(value)]
        return items if type(value) is list else tuple(items)
    raise _refused(value, where)


def _refused(value: object, where: str) -> TypeError:
    kind = f"{type(value).__module__}.{type(value).__qualname__}"
    return TypeError(
        f"{where} is a {kind}, which torch.load(weights_only=True) refuses; "
        "save it as tensors, numbers, strings, lists, tuples and dictionaries"
    )
