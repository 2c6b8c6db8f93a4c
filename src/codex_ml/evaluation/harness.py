"""Rows and predictions matched, metrics computed, thresholds judged, all as one JSON value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from codex_ml.documents import header, to_json, write_text
from codex_ml.environment import git_state, packages
from codex_ml.evaluation.bootstrap import Resampling, interval
from codex_ml.evaluation.metrics import METRICS
from codex_ml.evaluation.models import Predict, answers
from codex_ml.evaluation.tasks import EvaluationError, Pair, Task, Threshold, field
from codex_ml.shards import Row

FORMAT = "codex-ml-evaluation"

_LIBRARIES = {"numpy", "scikit-learn", "sacrebleu", "torch"}


def evaluate(
    task: Task,
    predictions: Sequence[Row],
    *,
    thresholds: Sequence[Threshold] = (),
    resampling: Resampling | None = None,
) -> dict[str, Any]:
    """Judge predictions on a task.

    Args:
        task: from `read_task`.
        predictions: rows with an id, from `predictions_of` or `codex_ml.shards.parse`, in any
            order.
        thresholds: besides those of the task.
        resampling: how intervals are made.

    Returns:
        The results as JSON values. `passed` says whether all thresholds hold; the same input
        and seed give the same results.

    Raises:
        EvaluationError: a row or prediction is missing or wrong; the message says where.
        ManifestError: the data is not what its manifest says.
        ModuleNotFoundError: a metric's library is not installed.
    """
    how = resampling or Resampling()
    wanted = (*task.thresholds, *thresholds)
    _check_names(task, wanted)
    rows = list(task.manifest.rows())
    if not rows:
        raise EvaluationError(f"{task.manifest.path}: shards: no rows to evaluate on")
    pairs = _paired(task, rows, predictions)
    clusters = [str(field(row, task.cluster)) for row in rows] if task.cluster else None
    units = len(pairs) if clusters is None else clusters
    found = {name: interval(METRICS[name](pairs, task.target), units, how) for name in task.metrics}
    judged = [
        {
            "threshold": str(threshold),
            "found": getattr(found[threshold.metric], threshold.part),
            "passed": threshold.passes(found[threshold.metric]),
        }
        for threshold in wanted
    ]
    commit, dirty = git_state()
    return {
        **header(FORMAT),
        "task": {"name": task.name, "file": task.path.name, "sha256": task.sha256},
        "data": {"manifest": task.manifest.path.name, "sha256": task.manifest.sha256},
        "examples": len(pairs),
        "clusters": len(set(clusters)) if clusters is not None else None,
        "resampling": asdict(how),
        "metrics": {name: asdict(one) for name, one in found.items()},
        "thresholds": judged,
        "passed": all(entry["passed"] for entry in judged),
        "git_commit": commit,
        "git_dirty": dirty,
        "packages": {name: v for name, v in packages().items() if name in _LIBRARIES},
    }


def save_evaluation(results: Mapping[str, Any], path: Path) -> None:
    """Write the results of `evaluate` as JSON.

    Raises:
        OSError: the file cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, to_json(results))


def summary(results: Mapping[str, Any]) -> str:
    """The results of `evaluate` for people: a line a metric and a threshold."""
    lines = [f"{results['task']['name']}: {results['examples']} examples"]
    share = f"{results['resampling']['confidence']:.0%}"
    for name, found in results["metrics"].items():
        ends = found["note"] or f"{share} {found['low']:.6g} to {found['high']:.6g}"
        value = "undefined" if found["value"] is None else f"{found['value']:.6g}"
        lines.append(f"  {name} {value} ({ends})")
    lines += [
        f"  {'holds' if entry['passed'] else 'FAILS'}: {entry['threshold']}"
        for entry in results["thresholds"]
    ]
    return "\n".join(lines)


def predictions_of(task: Task, predict: Predict, *, batch_size: int = 32) -> list[Row]:
    """What a model says to each row of a task.

    Args:
        task: from `read_task`.
        predict: rows -> for each, in order, the keys that the task's metrics need.
        batch_size: rows that it is given at a time.

    Raises:
        EvaluationError: it gives another number of predictions than it was given rows.
        ManifestError: the data is not what its manifest says.
    """
    said = answers(predict, task.manifest.rows(), batch_size=batch_size)
    return [
        Row({task.id: field(row, task.id), **answer}, Path("<model>"), number)
        for number, (row, answer) in enumerate(said, start=1)
    ]


def _check_names(task: Task, thresholds: Sequence[Threshold]) -> None:
    for name in task.metrics:
        if name not in METRICS:
            known = ", ".join(METRICS)
            raise EvaluationError(f"{task.path}: metrics: no metric {name!r}; there are {known}")
    for threshold in thresholds:
        if threshold.metric not in task.metrics:
            known = ", ".join(task.metrics)
            raise EvaluationError(f"threshold {threshold}: the task {task.path} computes {known}")


def _paired(task: Task, rows: Sequence[Row], predictions: Sequence[Row]) -> list[Pair]:
    asked, said = _by_id(task, rows), _by_id(task, predictions)
    for name, row in asked.items():
        if name not in said:
            raise EvaluationError(f"{row.place}: {task.id}: no prediction for {name!r}")
    for name, row in said.items():
        if name not in asked:
            raise EvaluationError(f"{row.place}: {task.id}: the task has no such row")
    return [Pair(row, said[name]) for name, row in asked.items()]


def _by_id(task: Task, rows: Sequence[Row]) -> dict[str, Row]:
    found: dict[str, Row] = {}
    for row in rows:
        earlier = found.setdefault(str(field(row, task.id)), row)  # 7 and "7" are one id
        if earlier is not row:
            raise EvaluationError(f"{row.place}: {task.id}: also that of {earlier.place}")
    return found
