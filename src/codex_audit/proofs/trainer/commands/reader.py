"""In a process of its own: what is in the files of checkpoints, as names with bits or values.

Pickles are loaded with `weights_only=True`. What that refuses, and plain pickles, are read as data:
nothing that they name is run.
"""

from __future__ import annotations

import json
import pickle  # nosec B403 - for its exception
import zipfile
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from codex_audit.proofs.child import serve
from codex_audit.proofs.trainer import inert
from codex_audit.proofs.trainer.bits import BitsFile
from codex_audit.proofs.trainer.checkpoint_files import PLAIN, short
from codex_audit.proofs.trainer.commands.asked import Opened
from codex_audit.proofs.trainer.commands.contents import Contents
from codex_audit.proofs.trainer.commands.process import files_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

MODULE = "codex_audit.proofs.trainer.commands.reader"
_HEADER = 8
_ZIP, _PICKLE = b"PK\x03\x04", b"\x80"
_PICKLED = (".pt", ".pth", ".bin", ".ckpt", ".pkl", ".pickle", ".tar", ".p")
_CUT_OFF = ("truncated", "Ran out of input", "EOF", "unexpected end")
# What loading a damaged file can raise; a fault of ours is of another type, or has no file.
_LOADING = (
    pickle.UnpicklingError, RuntimeError, EOFError, ValueError, OSError, LookupError,
    AttributeError, ImportError, TypeError, zipfile.BadZipFile,
    OverflowError, MemoryError,  # lengths that no file has
)  # fmt: skip
# What a pickle of a form that nobody foresaw leads to where it is read as data.
_NO_SUCH_FORM = (AttributeError, LookupError, TypeError, ValueError)
_DTYPES = {
    "F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16", "I64": "int64",
    "I32": "int32", "I16": "int16", "I8": "int8", "U8": "uint8", "BOOL": "bool",
}  # fmt: skip


def job(spec: dict[str, Any], report: Callable[[Mapping[str, Any]], None]) -> None:
    """Open the checkpoints below `spec["directory"]`."""
    directory = Path(spec["directory"])
    bits = BitsFile(Path(spec["bits"]))
    opener = _Opener(Contents(bits, spec["hidden"]))
    found = []
    for path in files_of(directory, spec["glob"]):
        stat = path.stat()
        found.append(
            msgspec.structs.replace(
                opener.opened(path),
                path=path.relative_to(directory).as_posix(),
                fresh=stat.st_mtime_ns >= spec["since"],
                modified_ns=stat.st_mtime_ns,
            )
        )
    bits.close()
    report({"opened": msgspec.to_builtins(found)})


class _Opener:
    """Reads files of every known format."""

    def __init__(self, contents: Contents) -> None:
        self._contents = contents

    def opened(self, path: Path) -> Opened:
        """What is in a file; or why it cannot be read."""
        try:
            with path.open("rb") as stream:
                start = stream.read(len(_ZIP))
            if start == _ZIP:
                return self._archive(path)
            if path.suffix == ".safetensors":
                return self._safetensors(path)
            if path.suffix == ".json":
                return self._told("json", json.loads(path.read_bytes()))
            if path.suffix == ".npy" and find_spec("numpy"):
                return self._numpy(path)
            if start[:1] == _PICKLE and path.suffix in _PICKLED:
                if inert.is_plain(path):
                    return self._inert(path, "pickle", PLAIN)
                return self._torch(path)
            if path.suffix in _PICKLED or not path.stat().st_size:
                return _opened(broken=f"it is no checkpoint: {path.stat().st_size} bytes")
        except _LOADING as error:
            words = str(error).strip().splitlines() or [""]
            return _opened(broken=f"{type(error).__name__}: {words[0]}")
        return _opened()

    def _archive(self, path: Path) -> Opened:
        with zipfile.ZipFile(path) as members:  # BadZipFile where it is cut off
            names = members.namelist()
        if any(name.endswith("data.pkl") for name in names):
            return self._torch(path)
        if all(name.endswith(".npy") for name in names) and find_spec("numpy"):
            return self._numpy(path)
        return self._raw(path, "")

    def _torch(self, path: Path) -> Opened:
        if find_spec("torch") is None:
            return self._inert(path, "torch", "")
        import torch  # noqa: PLC0415 - only where there is one

        try:
            return self._told("torch", torch.load(path, map_location="cpu", weights_only=True))
        except pickle.UnpicklingError as error:
            refused = short(str(error))
            if any(words in str(error) for words in _CUT_OFF):
                return _opened(broken=f"UnpicklingError: {refused}")
        return self._inert(path, "torch", refused)

    def _inert(self, path: Path, kind: str, refused: str) -> Opened:
        try:
            made = inert.read(path)
        except _NO_SUCH_FORM:
            return self._raw(path, refused)
        return msgspec.structs.replace(self._told(kind, made), refused=refused)

    def _raw(self, path: Path, refused: str) -> Opened:
        """An archive's storages by their numbers, without what gives them names."""
        if not zipfile.is_zipfile(path):
            return _opened(refused=refused)
        with zipfile.ZipFile(path) as members:
            tensors = {
                name: self._contents.bits.raw(members.read(info), "uint8")
                for info in members.infolist()
                if (name := info.filename.partition("/")[2] or info.filename).startswith("data/")
                or name.endswith(".npy")
            }
        return _opened(kind="storages", refused=refused, tensors=tensors)

    def _numpy(self, path: Path) -> Opened:
        import numpy as np  # noqa: PLC0415 - only where there is one

        made = np.load(path, allow_pickle=False)
        arrays = dict(made) if path.suffix != ".npy" else {"array": made}
        return self._told("numpy", arrays)

    def _safetensors(self, path: Path) -> Opened:
        data = path.read_bytes()
        end = _HEADER + int.from_bytes(data[:_HEADER], "little")
        header = json.loads(data[_HEADER:end])
        told = header.pop("__metadata__", {})
        tensors = {}
        for name, entry in header.items():
            first, last = entry["data_offsets"]
            part = data[end + first : end + last]
            if len(part) != last - first:
                raise EOFError(f"the file ends within {name}")
            dtype = _DTYPES.get(entry["dtype"], entry["dtype"])
            tensors[name] = self._contents.bits.raw(part, dtype, tuple(entry["shape"]))
        leaves = {f"metadata.{key}": repr(value) for key, value in told.items()}
        return _opened(kind="safetensors", tensors=tensors, leaves=leaves)

    def _told(self, kind: str, made: Any) -> Opened:
        tensors, leaves = self._contents.of(made)
        return _opened(kind=kind, tensors=tensors, leaves=leaves)


def _opened(**told: Any) -> Opened:
    return Opened(path="", fresh=False, modified_ns=0, **told)


if __name__ == "__main__":
    serve(job)
