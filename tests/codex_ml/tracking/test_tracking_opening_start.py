"""What identifies a run is recorded with it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from codex_ml.environment import git_state
from codex_ml.tracking import JsonlTracker, records, start_run

if TYPE_CHECKING:
    from pathlib import Path


def test_a_run_records_what_identifies_it(tmp_path: Path) -> None:
    tracker = JsonlTracker(tmp_path / "run")
    record = start_run(tracker, {"lr": 0.1, "model": {"width": 8}}, seed=7)
    (line,) = records(tracker.path)
    found = line["params"]
    assert found == json.loads(json.dumps(record))
    assert found["seed"] == 7
    assert found["config"]["model"] == {"width": 8}
    assert len(found["config_hash"]) == 64
    assert (found["git_commit"], found["git_dirty"]) == git_state()
    assert any(package.startswith("torch==") for package in found["packages"])
    assert found["hardware"]["cpu_cores"] >= 1
    assert found["hardware"]["memory_bytes"] > 2**28


def test_a_configuration_that_has_no_hash_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TypeError):
        start_run(JsonlTracker(tmp_path), {"model": object()}, seed=1)
    assert not (tmp_path / "metrics.jsonl").exists()
