"""Every line is kept: after a kill, on a full disk, without a directory."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import tempfile
import threading
from typing import TYPE_CHECKING, Any

import pytest

from codex_ml.tracking import JsonlTracker, TrackingWarning, records, replay

if TYPE_CHECKING:
    from pathlib import Path


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def steps(path: Path) -> list[int]:
    return [line["step"] for line in records(path) if line["kind"] == "metrics"]


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty directory for temporary files."""
    path = tmp_path / "temporary"
    path.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(path))
    return path


def test_lines_are_json_whatever_they_hold(tmp_path: Path) -> None:
    with JsonlTracker(tmp_path / "run") as tracker:
        tracker.log_params({"lr": 0.1, "path": tmp_path, "limit": float("inf"), "sizes": (1, 2)})
        tracker.log_metrics({"loss": 0.5, "nan": float("nan"), "inf": float("-inf")}, 3)
    params, metrics, end = lines(tracker.path)
    assert params["params"] == {
        "lr": 0.1, "path": str(tmp_path), "limit": "Infinity", "sizes": [1, 2],
    }  # fmt: skip
    assert metrics["step"] == 3
    assert metrics["metrics"] == {"loss": 0.5, "nan": "NaN", "inf": "-Infinity"}
    assert (end["kind"], end["failed"]) == ("end", False)


def test_a_metric_that_is_no_number_is_named(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="metric 'loss' is None"):
        JsonlTracker(tmp_path).log_metrics({"loss": None}, 1)  # type: ignore[dict-item]
    assert not (tmp_path / "metrics.jsonl").exists()


def test_a_run_that_raises_has_failed(tmp_path: Path) -> None:
    tracker = JsonlTracker(tmp_path)
    with pytest.raises(ZeroDivisionError), tracker:
        tracker.log_metrics({"loss": 1 / 0}, 1)
    tracker.close()
    (end,) = lines(tracker.path)
    assert end["failed"] is True


KILLED = """
import os, signal, sys
from pathlib import Path
from codex_ml.tracking import JsonlTracker
tracker = JsonlTracker(Path(sys.argv[1]))
for step in range(50):
    tracker.log_metrics({"loss": 1.0}, step)
with tracker.path.open("a") as stream:
    stream.write('{"kind": "metr')
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_kill_loses_no_line_and_the_resumed_run_goes_on_below(tmp_path: Path) -> None:
    killed = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], check=False)
    assert killed.returncode == -signal.SIGKILL
    tracker = JsonlTracker(tmp_path)
    tracker.log_metrics({"loss": 0.5}, 50)
    tracker.log_metrics({"loss": 0.5}, 51)
    with pytest.warns(TrackingWarning, match=r"metrics\.jsonl:51 is cut off") as caught:
        assert steps(tracker.path) == list(range(52))
    assert len(caught) == 1


def test_a_directory_that_cannot_be_made_costs_one_warning(tmp_path: Path, elsewhere: Path) -> None:
    (tmp_path / "file").write_text("")
    tracker = JsonlTracker(tmp_path / "file" / "run")
    with pytest.warns(TrackingWarning, match="the run goes on in") as caught:
        tracker.log_metrics({"loss": 1.0}, 1)
    tracker.log_metrics({"loss": 1.0}, 2)
    assert len(caught) == 1
    assert tracker.path.is_relative_to(elsewhere)
    assert str(tracker.path) in str(caught[0].message)
    assert steps(tracker.path) == [1, 2]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full on this system")  # noqa: PTH110 - evaluated at import
def test_on_a_full_disk_the_run_goes_on_on_another(tmp_path: Path, elsewhere: Path) -> None:
    (tmp_path / "metrics.jsonl").symlink_to("/dev/full")
    tracker = JsonlTracker(tmp_path)
    with pytest.warns(TrackingWarning, match="No space left on device") as caught:
        tracker.log_metrics({"loss": 1.0}, 1)
    tracker.log_metrics({"loss": 1.0}, 2)
    assert len(caught) == 1
    assert tracker.path.is_relative_to(elsewhere)
    assert steps(tracker.path) == [1, 2]


LIMITED = """
import resource, sys, warnings
from pathlib import Path
from codex_ml.tracking import JsonlTracker
tracker = JsonlTracker(Path(sys.argv[1]))
resource.setrlimit(resource.RLIMIT_FSIZE, (2000, resource.RLIM_INFINITY))
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    for step in range(100):
        tracker.log_metrics({"loss": 1.0}, step)
print(len(caught))
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
tracker.close()
print(tracker.path)
"""


def test_a_disk_that_fills_up_twice_and_has_room_again_holds_each_line_once(
    tmp_path: Path,
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, str(tmp_path)],
        env={**os.environ, "TMPDIR": str(tmp_path)}, check=True, capture_output=True, text=True,
    )  # fmt: skip
    warned, second = done.stdout.splitlines()
    assert warned == "2"  # moved; then in memory
    first = tmp_path / "metrics.jsonl"
    assert 1900 < first.stat().st_size <= 2000
    found = [*steps(first), *steps(type(tmp_path)(second))]
    assert found == list(range(100))


def test_what_no_file_takes_is_in_the_log_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "file"))
    tracker = JsonlTracker(tmp_path / "file")
    with pytest.warns(TrackingWarning, match="in memory alone") as caught:
        tracker.log_metrics({"loss": 0.25}, 1)
    tracker.log_metrics({"loss": 0.125}, 2)
    tracker.close()
    assert len(caught) == 1
    (record,) = [entry for entry in caplog.records if entry.levelno == logging.ERROR]
    assert "0.25" in record.getMessage()
    assert "0.125" in record.getMessage()


def test_threads_share_a_file(tmp_path: Path) -> None:
    tracker = JsonlTracker(tmp_path)

    def log(first: int) -> None:
        for step in range(first, first + 100):
            tracker.log_metrics({"loss": 1.0}, step)

    threads = [threading.Thread(target=log, args=(first,)) for first in (0, 100, 200)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(steps(tracker.path)) == list(range(300))


def test_a_file_can_be_replayed(tmp_path: Path) -> None:
    tracker = JsonlTracker(tmp_path / "one")
    tracker.log_params({"lr": 0.1})
    tracker.log_metrics({"loss": 0.5, "inf": float("-inf"), "nan": float("nan")}, 3)
    other = JsonlTracker(tmp_path / "other")
    assert replay(tracker.path, other) == 2
    kept = [{**line, "time": None} for line in lines(tracker.path)]
    assert [{**line, "time": None} for line in lines(other.path)] == kept
