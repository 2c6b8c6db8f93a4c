"""Where a run happened: commit, packages, machine and its NVIDIA devices; hashes of settings."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

from codex_ml import optional


@cache  # the code in memory is that of the start, whatever is committed meanwhile
def git_state(directory: Path | None = None) -> tuple[str | None, bool | None]:
    """The commit checked out in `directory` and whether tracked files differ from it.

    Args:
        directory: that of the running program by default, wherever it was started from; that
            where it was started for a program in none, as for an interactive one.

    Returns:
        (40 hex digits, dirty), or (None, None) where there is no git or no commit.
    """
    program = getattr(sys.modules["__main__"], "__file__", None)
    tried = [Path(program).resolve().parent] if program else []
    for where in [directory] if directory else [*tried, Path.cwd()]:
        if commit := _git(where, "rev-parse", "HEAD"):
            changes = _git(where, "status", "--porcelain", "--untracked-files=no")
            return commit.strip(), None if changes is None else bool(changes.strip())
    return None, None


def _git(directory: Path, *arguments: str) -> str | None:
    command = ["git", "-C", str(directory), *arguments]
    try:
        done = subprocess.run(  # noqa: S603 - arguments are ours
            command, capture_output=True, text=True, timeout=30, check=False
        )
    except (FileNotFoundError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None


@cache  # a process imports what was installed when it started
def packages() -> dict[str, str]:
    """Every installed distribution and its version, by normalised name."""
    found = {
        name.lower().replace("_", "-"): distribution.version
        for distribution in distributions()
        if (name := distribution.metadata["Name"])
    }
    return dict(sorted(found.items()))


def rank() -> int:
    """The number of this process in its run: `RANK` of torchrun or `SLURM_PROCID`; 0 alone."""
    return int(os.environ.get("RANK") or os.environ.get("SLURM_PROCID") or 0)


def flattened(config: Mapping[str, Any], section: str = "") -> dict[str, Any]:
    """A nested configuration by dotted keys."""
    found: dict[str, Any] = {}
    for name, value in config.items():
        key = f"{section}{name}"
        found |= flattened(value, f"{key}.") if isinstance(value, dict) else {key: value}
    return found


def config_hash(config: Mapping[str, Any]) -> str:
    """SHA-256 of a configuration's canonical JSON: the same whatever the order of its keys.

    Raises:
        TypeError: a value is none that JSON knows; convert it first, or the hash would
            depend on how it prints.
    """
    text = json.dumps(config, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def manifest() -> dict[str, Any]:
    """What identifies the software and machine of this process, as JSON values."""
    commit, dirty = git_state()
    return {
        "git_commit": commit,
        "git_dirty": dirty,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "command": [Path(sys.argv[0]).name, *sys.argv[1:]],
        "packages": packages(),
    }


@dataclass(frozen=True, slots=True)
class Gpu:
    """An NVIDIA device that this process may use.

    Attributes:
        name: as its driver gives it, for example "NVIDIA A100-SXM4-80GB".
        memory_bytes: all that it has.
    """

    name: str
    memory_bytes: int
    _handle: Any = field(repr=False, compare=False)

    def use(self) -> dict[str, float]:
        """What NVML reads now: `percent` of time a kernel ran, `memory_bytes`, `memory_percent`.

        Memory is that of all processes on the device. What the driver does not support, as
        the first on a MIG slice, is left out.
        """
        nvml = _nvml()
        found: dict[str, float] = {}
        with suppress(nvml.NVMLError):
            used = int(nvml.nvmlDeviceGetMemoryInfo(self._handle).used)
            found |= {"memory_bytes": used, "memory_percent": 100 * used / self.memory_bytes}
            found["percent"] = float(nvml.nvmlDeviceGetUtilizationRates(self._handle).gpu)
        return found


@cache
def _nvml() -> Any:
    """NVML, started; None where there is no package or no driver."""
    with suppress(ModuleNotFoundError):
        nvml: Any = optional.load("pynvml", extra="monitoring")
        with suppress(nvml.NVMLError):
            nvml.nvmlInit()
            return nvml
    return None


@cache
def gpus() -> tuple[Gpu, ...]:
    """The devices that `CUDA_VISIBLE_DEVICES` leaves, in its order; none without a driver.

    Numbers in it are taken in the order of the bus (`CUDA_DEVICE_ORDER=PCI_BUS_ID`), which is
    also CUDA's where all devices are alike.
    """
    nvml = _nvml()
    if nvml is None:
        return ()
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    found = []
    with suppress(nvml.NVMLError):  # the first entry that names no device ends the list, as in CUDA
        every = ",".join(map(str, range(nvml.nvmlDeviceGetCount())))
        for entry in map(str.strip, (every if visible is None else visible).split(",")):
            if entry.isdecimal():
                handle = nvml.nvmlDeviceGetHandleByIndex(int(entry))
            else:
                handle = nvml.nvmlDeviceGetHandleByUUID(entry)
            total = int(nvml.nvmlDeviceGetMemoryInfo(handle).total)
            found.append(Gpu(nvml.nvmlDeviceGetName(handle), total, handle))
    return tuple(found)


def hardware() -> dict[str, Any]:
    """Processor, cores that this process may use, memory in bytes and devices, as JSON values."""
    affinity = getattr(os, "sched_getaffinity", None)
    return {
        "host": platform.node(),
        "cpu": _processor(),
        "cpu_cores": len(affinity(0)) if affinity else os.cpu_count(),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "gpus": [{"name": gpu.name, "memory_bytes": gpu.memory_bytes} for gpu in gpus()],
    }


def _processor() -> str:
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
