"""MLflow, in a local SQLite file unless `MLFLOW_TRACKING_URI` names a server."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from codex_ml.documents import as_json, numbers
from codex_ml.environment import flattened
from codex_ml.tracking.base import Tracker

_LONGEST_PARAMETER = 500
_WAITING_METRICS = 1000
_FLUSH_SECONDS = 5.0


class MlflowTracker(Tracker):
    """A run of MLflow's, by a client of its own: the process's active run is not touched.

    Each commit to SQLite costs some 20 ms, so metrics go there together, every five seconds; a
    kill loses the last of them. A run that is resumed becomes a second one of the same name.
    Its arguments are those of `open_tracker`.
    """

    def __init__(self, directory: Path, *, experiment: str) -> None:
        # A server that is gone would otherwise hold up a step for minutes of retries.
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
        # An optional package, and a slow import, for those who ask for it.
        import mlflow  # noqa: PLC0415

        self._entities: Any = mlflow.entities
        uri = os.environ.get("MLFLOW_TRACKING_URI")
        artifacts = None
        if uri is None:
            directory.mkdir(parents=True, exist_ok=True)
            uri = f"sqlite:///{(directory / 'mlflow.db').resolve()}"
            # Otherwise artifacts go to wherever the process was started.
            artifacts = (directory / "artifacts").resolve().as_uri()
        self._client: Any = mlflow.MlflowClient(tracking_uri=uri)
        if found := self._client.get_experiment_by_name(experiment):
            number = found.experiment_id
        else:
            number = self._client.create_experiment(experiment, artifact_location=artifacts)
        self._run = self._client.create_run(number, run_name=directory.name).info.run_id
        self._metrics: list[Any] = []
        self._flushed = time.monotonic()
        self._closed = False

    def log_params(self, params: Mapping[str, Any]) -> None:
        """Record the short ones of `params` as parameters and all of them as `params.json`."""
        values = as_json(params)
        # All of them first: what is a parameter already may not change, and would raise.
        self._client.log_dict(self._run, values, "params.json")
        if commit := values.get("git_commit"):
            self._client.set_tag(self._run, "mlflow.source.git.commit", commit)
        short = []
        for name, value in flattened(values).items():
            text = value if isinstance(value, str) else json.dumps(value)
            if len(text) <= _LONGEST_PARAMETER:
                short.append(self._entities.Param(name, text))
        self._client.log_batch(self._run, params=short)

    def log_metrics(self, metrics: Mapping[str, float], step: int) -> None:
        now = int(time.time() * 1000)
        given = numbers(metrics).items()
        self._metrics += [self._entities.Metric(name, value, now, step) for name, value in given]
        full = len(self._metrics) >= _WAITING_METRICS
        if full or time.monotonic() - self._flushed > _FLUSH_SECONDS:
            self._flush()

    def close(self, *, failed: bool = False) -> None:
        if self._closed:
            return
        self._closed = True
        self._flush()
        self._client.set_terminated(self._run, "FAILED" if failed else "FINISHED")

    def _flush(self) -> None:
        self._client.log_batch(self._run, metrics=self._metrics)
        self._metrics = []
        self._flushed = time.monotonic()
