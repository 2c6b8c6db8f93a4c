"""What is alive in this process: tensors, memory, open files and threads."""

from __future__ import annotations

import ctypes
import gc
import sys
from functools import cache
from pathlib import Path
from typing import Any

from torch import Tensor, cuda


def count() -> dict[str, int]:
    """Tensors that Python holds and their bytes, open files, threads, bytes of C and of CUDA."""
    gc.collect()
    alive: list[Tensor] = [t for t in gc.get_objects() if issubclass(type(t), Tensor)]
    counted = {
        "tensors": len(alive),
        "tensor_bytes": sum(t.numel() * t.element_size() for t in alive if not t.is_sparse),
    }
    del alive
    if sys.platform == "linux":
        counted |= {"open_files": _entries("fd"), "threads": _entries("task")}
    ask = _mallinfo()
    if ask is not None:
        told = ask()
        counted["heap"] = told.uordblks + told.hblkhd
        if cuda.is_initialized():  # type: ignore[no-untyped-call]  # torch lacks it
            devices = range(cuda.device_count())
            counted["heap"] += sum(cuda.memory_allocated(device) for device in devices)
    return counted


def _entries(name: str) -> int:
    return sum(1 for _ in Path("/proc/self", name).iterdir())


class _Info(ctypes.Structure):
    """`struct mallinfo2` of glibc."""

    _fields_ = tuple(
        (name, ctypes.c_size_t)
        for name in (
            "arena", "ordblks", "smblks", "hblks", "hblkhd",
            "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost",
        )
    )  # fmt: skip


@cache
def _mallinfo() -> Any:
    """The C library's own account of what it gave and did not get back; None where it has none.

    Exact, unlike the resident set, in which pages that were freed and kept do count.
    """
    found = getattr(ctypes.CDLL(None), "mallinfo2", None)
    if found is not None:
        found.restype = _Info
    return found
