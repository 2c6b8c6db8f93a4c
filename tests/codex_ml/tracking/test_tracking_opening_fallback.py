"""A tracker that fails costs one warning and nothing else."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

from codex_ml.tracking import FallbackTracker, JsonlTracker, Tracker, TrackingWarning, records

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


class Recorder(Tracker):
    """Remembers its calls, and raises at one step."""

    def __init__(self, fails_at: int | None = None) -> None:
        self.calls: list[Any] = []
        self.fails_at = fails_at

    def log_params(self, params: Mapping[str, Any]) -> None:
        self.calls.append(dict(params))

    def log_metrics(self, metrics: Mapping[str, float], step: int) -> None:
        del metrics
        if step == self.fails_at:
            raise ConnectionError("refused")
        self.calls.append(step)

    def close(self, *, failed: bool = False) -> None:
        self.calls.append(("closed", failed))


def test_one_that_raises_in_the_middle_is_left_alone_and_the_others_go_on(tmp_path: Path) -> None:
    broken, sound = Recorder(fails_at=2), Recorder()
    tracker = FallbackTracker(JsonlTracker(tmp_path), {"far": broken, "near": sound})
    tracker.log_params({"lr": 0.1})
    tracker.log_metrics({"loss": 1.0}, 1)
    with pytest.warns(TrackingWarning, match=r"far failed \(ConnectionError: refused\)") as caught:
        tracker.log_metrics({"loss": 2.0}, 2)
    tracker.log_metrics({"loss": 3.0}, 3)
    tracker.close(failed=True)
    tracker.close()
    assert len(caught) == 1
    assert str(tmp_path / "metrics.jsonl") in str(caught[0].message)
    assert broken.calls == [{"lr": 0.1}, 1]
    assert sound.calls == [{"lr": 0.1}, 1, 2, 3, ("closed", True)]
    kinds = [(line["kind"], line.get("step")) for line in records(tmp_path / "metrics.jsonl")]
    assert kinds == [
        ("params", None), ("metrics", 1), ("metrics", 2), ("metrics", 3), ("end", None),
    ]  # fmt: skip


def test_a_value_that_is_no_number_is_the_callers_fault_and_no_trackers(tmp_path: Path) -> None:
    other = Recorder()
    tracker = FallbackTracker(JsonlTracker(tmp_path), {"near": other})
    with pytest.raises(TypeError, match="metric 'loss'"):
        tracker.log_metrics({"loss": "low"}, 1)  # type: ignore[dict-item]
    assert list(tracker.others) == ["near"]
    assert other.calls == []


def test_threads_call_a_tracker_one_at_a_time(tmp_path: Path) -> None:
    class Alone(Recorder):
        inside = 0
        most = 0

        def log_metrics(self, metrics: Mapping[str, float], step: int) -> None:
            self.inside += 1
            self.most = max(self.most, self.inside)
            threading.Event().wait(0.001)
            super().log_metrics(metrics, step)
            self.inside -= 1

    alone = Alone()
    tracker = FallbackTracker(JsonlTracker(tmp_path), {"alone": alone})

    def log() -> None:
        for step in range(20):
            tracker.log_metrics({"loss": 1.0}, step)

    threads = [threading.Thread(target=log) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert alone.most == 1
    assert len(alone.calls) == 60
