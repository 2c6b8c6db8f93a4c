"""What a run was and what it measured: a local file always, MLflow where it is asked for."""

from __future__ import annotations

import importlib
import json
import logging
import time
import warnings
from typing import TYPE_CHECKING, Any, Literal, Protocol

from codex_ml.environment import config_hash, manifest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

_log = logging.getLogger(__name__)


class TrackingWarning(UserWarning):
    """A tracker that could not be used; the local file has everything."""


class Tracker(Protocol):
    """What a run reports to."""

    def log_params(self, params: Mapping[str, Any]) -> None:
        """Record what the run was started with."""
        ...

    def log_metrics(self, metrics: Mapping[str, float], step: int) -> None:
        """Record what was measured at `step`."""
        ...

    def close(self) -> None:
        """End the run; nothing is lost without it."""
        ...


class JsonlTracker:
    """One JSON object a line in `<directory>/metrics.jsonl`, on the disk as soon as it is logged.

    NaN and infinities are written as the strings "NaN", "Infinity" and "-Infinity": a line
    stays JSON, and a loss that is not finite stays visible.
    """

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.path = directory / "metrics.jsonl"

    def log_params(self, params: Mapping[str, Any]) -> None:
        """Append a line with `params`."""
        self._write({"kind": "params", "time": time.time(), "params": dict(params)})

    def log_metrics(self, metrics: Mapping[str, float], step: int) -> None:
        """Append a line with `metrics` at `step`."""
        values = {name: _json_number(value) for name, value in metrics.items()}
        self._write({"kind": "metrics", "time": time.time(), "step": step, "metrics": values})

    def close(self) -> None:
        """Nothing to do: each line was closed when it was written."""

    def _write(self, record: dict[str, Any]) -> None:
        # One write of one line in append mode: a kill loses no earlier line and no half of one.
        with self.path.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(record, allow_nan=False) + "\n")


class MlflowTracker:
    """An MLflow run in a local SQLite file, beside the local lines that are written first.

    When MLflow fails in the middle of a run, it is warned of once and left alone from then on.

    Args:
        directory: holds `metrics.jsonl`, `mlflow.db` and MLflow's artifacts.
        experiment: the name of the experiment.
        uri: another tracking server than the local file.

    Raises:
        ModuleNotFoundError: MLflow is not installed.
    """

    def __init__(self, directory: Path, *, experiment: str, uri: str | None = None) -> None:
        self._mlflow = importlib.import_module("mlflow")
        self._local = JsonlTracker(directory)
        self._mlflow.set_tracking_uri(uri or f"sqlite:///{(directory / 'mlflow.db').resolve()}")
        if uri is None and self._mlflow.get_experiment_by_name(experiment) is None:
            # Otherwise its artifacts go to wherever the process was started.
            artifacts = (directory / "artifacts").resolve().as_uri()
            self._mlflow.create_experiment(experiment, artifact_location=artifacts)
        self._mlflow.set_experiment(experiment)
        self._mlflow.start_run()
        self._alive = True

    def log_params(self, params: Mapping[str, Any]) -> None:
        """Record `params` locally and in MLflow."""
        self._local.log_params(params)
        # A parameter of MLflow is a short string; the whole goes into an artifact.
        flat = {k: v for k, v in params.items() if isinstance(v, str | int | float | bool)}
        self._forward(lambda: self._mlflow.log_params(flat))
        self._forward(lambda: self._mlflow.log_dict(dict(params), "params.json"))

    def log_metrics(self, metrics: Mapping[str, float], step: int) -> None:
        """Record `metrics` locally and in MLflow."""
        self._local.log_metrics(metrics, step)
        self._forward(lambda: self._mlflow.log_metrics(dict(metrics), step=step))

    def close(self) -> None:
        """End MLflow's run."""
        self._forward(self._mlflow.end_run)
        self._alive = False

    def _forward(self, call: Callable[[], object]) -> None:
        if not self._alive:
            return
        try:
            call()
        except Exception as error:  # noqa: BLE001 - a tracker's fault must never end a run
            self._alive = False
            _warn(f"MLflow failed ({type(error).__name__}: {error}); {self._local.path} goes on")


def open_tracker(
    kind: Literal["jsonl", "mlflow"], directory: Path, *, experiment: str = "default"
) -> Tracker:
    """The tracker asked for; the local one, with one warning, where its package is missing."""
    if kind == "jsonl":
        return JsonlTracker(directory)
    try:
        return MlflowTracker(directory, experiment=experiment)
    except ModuleNotFoundError as error:
        if error.name != "mlflow":
            raise
        local = JsonlTracker(directory)
        _warn(
            f"No module named 'mlflow': the run is recorded in {local.path} instead; "
            "pip install 'codex-audit[tracking]' for MLflow"
        )
        return local


def start_run(
    tracker: Tracker, config: Mapping[str, Any], *, seed: int, directory: Path | None = None
) -> dict[str, Any]:
    """Record what identifies a run: its configuration and hash, seed, commit and environment.

    Args:
        tracker: where to.
        config: the configuration, as JSON values.
        seed: what was given to `seed_everything`.
        directory: whose git commit counts; the working directory otherwise.

    Returns:
        What was recorded.
    """
    where = manifest(directory)
    installed = [f"{name}=={version}" for name, version in where.pop("packages").items()]
    record = {
        **where,
        "seed": seed,
        "config": dict(config),
        "config_hash": config_hash(config),
        "packages": installed,
    }
    tracker.log_params(record)
    return record


def _warn(message: str) -> None:
    _log.warning(message)
    warnings.warn(message, TrackingWarning, stacklevel=3)


def _json_number(value: float) -> float | str:
    number = float(value)
    if number != number:  # noqa: PLR0124 - only NaN differs from itself
        return "NaN"
    if number in (float("inf"), float("-inf")):
        return "Infinity" if number > 0 else "-Infinity"
    return number
