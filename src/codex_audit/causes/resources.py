"""Failures of what surrounds the code: device, memory, network, files."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from codex_audit.failure import Diagnosis, Failure

if TYPE_CHECKING:
    from pathlib import Path

_NO_CUDA = re.compile(
    r"not compiled with CUDA|Found no NVIDIA driver|No CUDA GPUs are available"
    r"|no CUDA-capable device|CUDA driver version is insufficient"
    r"|CUDA (?:is|device is) not available|invalid device ordinal"
    r"|torch\.cuda\.is_available\(\) is False",
    re.IGNORECASE,
)
_CUDA_MEMORY = re.compile(
    r"CUDA out of memory|CUDA error: out of memory|CUBLAS_STATUS_ALLOC_FAILED"
)
_HOST_MEMORY = re.compile(
    r"Cannot allocate memory|can't allocate memory|not enough memory"
    r"|Unable to allocate [\d.]+ [KMGT]iB|std::bad_alloc",
    re.IGNORECASE,
)
_NETWORK = re.compile(
    r"Connection refused|Network is unreachable|No route to host|name resolution"
    r"|Name or service not known|nodename nor servname|Max retries exceeded|getaddrinfo failed"
    r"|Failed to establish a new connection|Cannot connect to proxy|Tunnel connection failed"
    r"|couldn't connect to|outgoing traffic has been disabled"
    r"|offline mode is enabled|urlopen error",
    re.IGNORECASE,
)
_NETWORK_TYPES = frozenset(
    {"ConnectionRefusedError", "URLError", "gaierror", "ProxyError", "ConnectTimeout",
     "ConnectError", "MaxRetryError", "NameResolutionError", "OfflineModeIsEnabled",
     "LocalEntryNotFoundError"}
)  # fmt: skip


def cuda_missing(failure: Failure, root: Path) -> Diagnosis | None:
    """Code that asks for CUDA where there is no device, or no CUDA build of torch."""
    del root
    inner = failure.innermost()
    if not _NO_CUDA.search(inner.message):
        return None
    if "deserialize" in inner.message:
        return Diagnosis(
            "missing CUDA device",
            "a checkpoint saved on CUDA is loaded where no CUDA device can be used",
            'load it with `torch.load(..., map_location="cpu")`',
        )
    return Diagnosis(
        "missing CUDA device",
        "the code asks for CUDA, and torch can use no such CUDA device here",
        "run on a machine with that NVIDIA GPU and a CUDA build of torch, or choose the CPU",
    )


def out_of_memory(failure: Failure, root: Path) -> Diagnosis | None:
    """Memory that ran out, on the device or on the host."""
    del root
    inner = failure.innermost()
    if inner.type == "OutOfMemoryError" or _CUDA_MEMORY.search(inner.message):
        return Diagnosis(
            "out of memory",
            "the CUDA device has less free memory than the step needs",
            "use smaller batches or sequences, or free the device from other processes",
        )
    if inner.type == "MemoryError" or _HOST_MEMORY.search(inner.message):
        return Diagnosis(
            "out of memory",
            "the machine has less free memory than the step needs",
            "use smaller batches or fewer workers, or give the process more memory",
        )
    return None


def network_refused(failure: Failure, root: Path) -> Diagnosis | None:
    """A connection that was refused or could not be made."""
    del root
    inner = failure.innermost()
    if inner.type not in _NETWORK_TYPES and not _NETWORK.search(inner.message):
        return None
    return Diagnosis(
        "network refused",
        "it wants the network, and no connection could be made",
        "fetch what it needs beforehand and point it at the local copy: audits run offline",
    )


def missing_file(failure: Failure, root: Path) -> Diagnosis | None:
    """A file that is not there."""
    del root
    inner = failure.innermost()
    if inner.type != "FileNotFoundError" and "No such file or directory" not in inner.message:
        return None
    match = re.search(r"No such file or directory: '([^']+)'", inner.message)
    what = f"`{match.group(1)}`" if match else "a file that it needs"
    return Diagnosis(
        "missing file",
        f"{what} does not exist",
        "create or fetch the file first, or correct the path, which starts at the repository",
    )


def refused_pickle(failure: Failure, root: Path) -> Diagnosis | None:
    """A file that torch does not load with `weights_only=True`."""
    del root
    inner = failure.innermost()
    if inner.type != "UnpicklingError" or "Weights only load failed" not in inner.message:
        return None
    match = re.search(r"Unsupported global: GLOBAL ([\w.]+)", failure.traceback + inner.message)
    what = f"`{match.group(1)}`" if match else "more than tensors and plain values"
    return Diagnosis(
        "refused pickle",
        f"a file holds {what}, and torch.load refuses it: weights_only=True is the default",
        "keep tensors and plain values in it, or allow the class with "
        "`torch.serialization.add_safe_globals`; `weights_only=False` runs what the file holds",
    )
