"""The machine of a run: processor, memory and NVIDIA devices, read without starting CUDA."""

from __future__ import annotations

import os
import platform
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from codex_ml import optional


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
            handle = (
                nvml.nvmlDeviceGetHandleByIndex(int(entry))
                if entry.isdecimal()
                else nvml.nvmlDeviceGetHandleByUUID(entry)
            )
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
