"""What is measured is what the machine does."""

from __future__ import annotations

import shutil
import sys
import threading
import time
from typing import TYPE_CHECKING

import pytest

from codex_ml.monitoring import MachineSampler
from codex_ml.monitoring.machine import measure
from codex_ml.tracking import JsonlTracker, records

if TYPE_CHECKING:
    from pathlib import Path

pytest.importorskip("psutil", reason="pip install 'codex-audit[monitoring]'")


def test_memory_processor_and_disk_are_those_of_this_process(tmp_path: Path) -> None:
    before = measure(tmp_path)
    block = bytearray(b"1" * 200_000_000)
    ended = time.thread_time() + 0.3
    while time.thread_time() < ended:
        pass
    after = measure(tmp_path)
    assert after["process/memory_bytes"] - before["process/memory_bytes"] > 0.9 * len(block)
    assert after["process/cpu_percent"] > 5
    assert 0 < after["system/cpu_percent"] <= 100
    assert 0 < after["system/memory_percent"] <= 100
    assert after["system/disk_free_bytes"] == pytest.approx(
        shutil.disk_usage(tmp_path).free, rel=0.1
    )


def test_a_directory_that_is_gone_leaves_the_rest(tmp_path: Path) -> None:
    found = measure(tmp_path / "gone")
    assert "system/disk_percent" not in found
    assert "process/memory_bytes" in found


def test_a_run_that_hangs_is_still_measured_at_its_step(tmp_path: Path) -> None:
    tracker = JsonlTracker(tmp_path)
    step = 0
    with MachineSampler(tracker, tmp_path, step=lambda: step, interval=0.05):
        time.sleep(0.5)
        step = 7
    found = list(records(tracker.path))
    assert len(found) >= 3
    assert [line["step"] for line in found[:2]] == [0, 0]
    assert found[-1]["step"] == 7
    assert all(line["metrics"]["process/memory_bytes"] > 0 for line in found)
    assert not any(thread.name == "machine-sampler" for thread in threading.enumerate())


def test_a_block_shorter_than_the_interval_is_measured_once(tmp_path: Path) -> None:
    tracker = JsonlTracker(tmp_path)
    with MachineSampler(tracker, tmp_path, interval=60):
        pass
    assert len(list(records(tracker.path))) == 1


def test_a_tracker_that_raises_ends_the_measuring_and_shows_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Broken(JsonlTracker):
        def log_metrics(self, metrics: object, step: int) -> None:
            del metrics
            raise ConnectionError(f"refused at {step}")

    shown: list[threading.ExceptHookArgs] = []
    monkeypatch.setattr(threading, "excepthook", shown.append)
    with MachineSampler(Broken(tmp_path), tmp_path, interval=0.01):
        time.sleep(0.1)
    (failure,) = shown
    assert str(failure.exc_value) == "refused at 0"


def test_without_psutil_the_error_names_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "psutil", None)
    with pytest.raises(ModuleNotFoundError, match=r"codex-audit\[monitoring\]"):
        MachineSampler(JsonlTracker(tmp_path), tmp_path)


def test_an_interval_must_be_positive(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="interval=0"):
        MachineSampler(JsonlTracker(tmp_path), tmp_path, interval=0)
