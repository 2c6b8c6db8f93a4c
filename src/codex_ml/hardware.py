"""The machine of a run: processor, memory and NVIDIA devices, read without starting CUDA."""

from __future__ import annotations

import logging
import os
import platform
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from codex_ml import optional

_log = logging.getLogger(__name__)


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
        try:
            used = int(nvml.nvmlDeviceGetMemoryInfo(self._handle).used)
            found["memory_bytes"] = used
            found["memory_percent"] = 100 * used / self.memory_bytes
            found["percent"] = float(nvml.nvmlDeviceGetUtilizationRates(self._handle).gpu)
        except nvml.NVMLError as error:
            _log.debug("%s: %s", self.name, error)
        return found


@cache
def _nvml() -> Any:
    """NVML, started; None where there is no package or no driver."""
    try:
        nvml: Any = optional.load("pynvml", extra="monitoring")
    except ModuleNotFoundError as error:
        _log.debug("no NVML: %s", error)
        return None
    try:
        nvml.nvmlInit()
    except nvml.NVMLError as error:
        _log.debug("no NVML: %s", error)
        return None
    return nvml


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
    try:
        every = ",".join(map(str, range(nvml.nvmlDeviceGetCount())))
        for entry in map(str.strip, (every if visible is None else visible).split(",")):
            handle = (
                nvml.nvmlDeviceGetHandleByIndex(int(entry))
                if entry.isdecimal()
                else nvml.nvmlDeviceGetHandleByUUID(entry)
            )
            total = int(nvml.nvmlDeviceGetMemoryInfo(handle).total)
            found.append(Gpu(nvml.nvmlDeviceGetName(handle), total, handle))
    except nvml.NVMLError as error:
        # As CUDA reads it: the first entry that names no device ends the list.
        _log.debug("CUDA_VISIBLE_DEVICES=%s: %s", visible, error)
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
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
