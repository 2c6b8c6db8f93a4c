"""Every line is on the disk, and a tracker that fails costs one warning and nothing else."""

from __future__ import annotations

import json
import sys
import warnings
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest

from codex_ml.tracking import (
    JsonlTracker,
    MlflowTracker,
    TrackingWarning,
    open_tracker,
    start_run,
)

if TYPE_CHECKING:
    from pathlib import Path


def lines(directory: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (directory / "metrics.jsonl").read_text().splitlines()]


class FakeMlflow(ModuleType):
    """MLflow's module-level functions, recorded; `log_metrics` fails from the second call on."""

    def __init__(self) -> None:
        super().__init__("mlflow")
        self.calls: list[tuple[str, Any]] = []

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)

        def call(*arguments: Any, **options: Any) -> None:
            self.calls.append((name, arguments or options))
            if [done for done, _ in self.calls].count("log_metrics") > 1:
                raise ConnectionError("refused")

        return call


def test_lines_are_json_even_when_a_loss_is_not_finite(tmp_path: Path) -> None:
    tracker = open_tracker("jsonl", tmp_path / "run")
    assert isinstance(tracker, JsonlTracker)
    tracker.log_metrics({"loss": 0.5, "nan": float("nan"), "inf": float("-inf")}, 3)
    (line,) = lines(tmp_path / "run")
    assert line["step"] == 3
    assert line["metrics"] == {"loss": 0.5, "nan": "NaN", "inf": "-Infinity"}
    JsonlTracker(tmp_path / "run").log_metrics({"loss": 0.4}, 4)
    tracker.close()
    assert [line["step"] for line in lines(tmp_path / "run")] == [3, 4]


def test_a_run_records_what_identifies_it(tmp_path: Path) -> None:
    tracker = JsonlTracker(tmp_path)
    record = start_run(tracker, {"lr": 0.1, "model": {"width": 8}}, seed=7)
    (line,) = lines(tmp_path)
    assert line["params"] == json.loads(json.dumps(record))
    assert line["params"]["seed"] == 7
    assert line["params"]["config"]["model"] == {"width": 8}
    assert len(line["params"]["config_hash"]) == 64
    assert "git_commit" in line["params"]
    assert any(package.startswith("torch==") for package in line["params"]["packages"])


def test_without_mlflow_there_is_one_warning_and_a_local_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "mlflow", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Absent("mlflow"), *sys.meta_path])
    with pytest.warns(TrackingWarning, match="No module named 'mlflow'") as caught:
        tracker = open_tracker("mlflow", tmp_path)
    assert len(caught) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tracker.log_metrics({"loss": 1.0}, 1)
    assert lines(tmp_path)[0]["metrics"] == {"loss": 1.0}


def test_a_package_that_mlflow_lacks_is_not_taken_for_mlflow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "mlflow", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Absent("mlflow", lacks="flask"), *sys.meta_path])
    with pytest.raises(ModuleNotFoundError, match="flask"):
        open_tracker("mlflow", tmp_path)


def test_mlflow_gets_everything_until_it_fails_and_the_file_all_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = FakeMlflow()
    monkeypatch.setitem(sys.modules, "mlflow", fake)
    tracker = open_tracker("mlflow", tmp_path, experiment="e")
    assert isinstance(tracker, MlflowTracker)
    assert fake.calls[0][1][0].startswith("sqlite:///")
    tracker.log_params({"lr": 0.1, "nested": {"a": 1}})
    tracker.log_metrics({"loss": 1.0}, 1)
    with pytest.warns(TrackingWarning, match="MLflow failed") as caught:
        tracker.log_metrics({"loss": 2.0}, 2)
    assert len(caught) == 1
    tracker.log_metrics({"loss": 3.0}, 3)
    tracker.close()
    names = [name for name, _ in fake.calls]
    assert names[:8] == [
        "set_tracking_uri", "get_experiment_by_name", "create_experiment", "set_experiment",
        "start_run", "log_params", "log_dict", "log_metrics",
    ]  # fmt: skip
    assert names.count("log_metrics") == 2
    assert fake.calls[5][1] == ({"lr": 0.1},)
    assert [line["step"] for line in lines(tmp_path) if line["kind"] == "metrics"] == [1, 2, 3]


class Absent:
    """An import hook under which a module, or one that it needs, is not installed."""

    def __init__(self, module: str, lacks: str | None = None) -> None:
        self.module = module
        self.lacks = lacks or module

    def find_spec(self, name: str, *_: object) -> None:
        if name == self.module:
            raise ModuleNotFoundError(f"No module named {self.lacks!r}", name=self.lacks)
