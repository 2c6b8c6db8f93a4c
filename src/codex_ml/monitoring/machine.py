"""A thread that measures the machine while a run goes on."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import KW_ONLY, dataclass
from functools import cache
from pathlib import Path
from typing import Any, Self

from codex_ml import optional
from codex_ml.environment import gpus
from codex_ml.tracking.base import Tracker


@dataclass(eq=False)
class MachineSampler:
    """Logs the use of processor, memory, disk and NVIDIA devices while its `with` block runs.

    Its own thread measures, so a run that hangs is still seen. A fault in it is printed and
    ends the measuring, never the run. See `measure` for the names and units.

    Attributes:
        tracker: where to; open_tracker's may be shared with the thread that trains.
        directory: on the disk to watch.
        step: the step of the run now, for example `lambda: trainer.step`.
        interval: seconds between two measurements; the last is made at the end of the block.

    Raises:
        ModuleNotFoundError: psutil is not installed.
        ValueError: `interval` is not positive.
    """

    tracker: Tracker
    directory: Path
    _: KW_ONLY
    step: Callable[[], int] = lambda: 0
    interval: float = 10.0

    def __post_init__(self) -> None:
        if self.interval <= 0:
            raise ValueError(f"interval={self.interval}: must be positive, in seconds")
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="machine-sampler", daemon=True)
        measure(self.directory)  # what is missing shows here and not in the thread

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        # A tracker that hangs must not hold up the end of a run.
        self._thread.join(timeout=30)

    def _run(self) -> None:
        measure(self.directory)
        last = False
        while not last:
            last = self._ended.wait(self.interval)
            self.tracker.log_metrics(measure(self.directory), self.step())


def measure(directory: Path) -> dict[str, float]:
    """The use of the machine now, by name; that of processors counts from the thread's last call.

    Returns:
        `system/`: `cpu_percent` of all cores, `memory_percent`, and of the disk that
        `directory` is on, while it is there, `disk_percent` and `disk_free_bytes`; `process/`:
        `cpu_percent`, where 100 is one core, and `memory_bytes` that are resident; `gpu<n>/`:
        see `codex_ml.environment.Gpu.use`.

    Raises:
        ModuleNotFoundError: psutil is not installed.
    """
    psutil: Any = optional.load("psutil", extra="monitoring")
    process = _process(os.getpid())
    found = {
        "system/cpu_percent": psutil.cpu_percent(),
        "system/memory_percent": psutil.virtual_memory().percent,
        "process/cpu_percent": process.cpu_percent(),
        "process/memory_bytes": process.memory_info().rss,
    }
    with suppress(FileNotFoundError):
        disk = psutil.disk_usage(str(directory))
        found["system/disk_percent"] = disk.percent
        found["system/disk_free_bytes"] = disk.free
    for index, gpu in enumerate(gpus()):
        found |= {f"gpu{index}/{name}": value for name, value in gpu.use().items()}
    return found


@cache  # it remembers the processor time of the call before
def _process(number: int) -> Any:
    return optional.load("psutil", extra="monitoring").Process(number)
