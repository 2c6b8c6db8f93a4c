"""Rows and predictions are matched by id; what does not fit is named with its place."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from evaluation_tasks import make_task, write_rows, write_task

from codex_ml.evaluation import (
    EvaluationError,
    Resampling,
    Threshold,
    evaluate,
    predictions_of,
    read_task,
)
from codex_ml.shards import ManifestError, Row, parse

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

ROWS = [
    {"id": number, "label": "odd" if number % 2 else "even", "book": number // 10}
    for number in range(100)
]
BODY = 'target = "label"\nmetrics = ["accuracy"]\nthresholds = ["accuracy > 0.5"]\n'


def right_but(wrong: int) -> list[dict[str, Any]]:
    """Predictions in reverse order, the first `wrong` ids wrongly."""
    return [
        {"id": row["id"], "prediction": "?" if int(str(row["id"])) < wrong else row["label"]}
        for row in reversed(ROWS)
    ]


def read_predictions(path: Path) -> list[Row]:
    return list(parse(path.read_bytes(), path))


def test_results_say_what_was_judged_and_how(tmp_path: Path) -> None:
    task = make_task(tmp_path, ROWS, BODY + 'cluster = "book"\n')
    predictions = read_predictions(write_rows(tmp_path / "p.jsonl", right_but(20)))
    threshold = Threshold.parse("accuracy.low>=0.79")
    found = evaluate(task, predictions, thresholds=[threshold], resampling=Resampling(seed=3))
    assert found["metrics"]["accuracy"]["value"] == pytest.approx(0.8)
    assert found["metrics"]["accuracy"]["low"] < 0.7  # books are right or wrong as a whole
    assert [entry["passed"] for entry in found["thresholds"]] == [True, False]
    assert found["thresholds"][1]["threshold"] == "accuracy.low >= 0.79"
    assert not found["passed"]
    assert (found["examples"], found["clusters"]) == (100, 10)
    assert found["data"]["sha256"] == task.manifest.sha256
    assert found["resampling"]["seed"] == 3
    assert {"scikit-learn", "numpy"} <= set(found["packages"])
    again = evaluate(task, predictions, thresholds=[threshold], resampling=Resampling(seed=3))
    assert json.dumps(again) == json.dumps(found)


def test_a_model_is_given_batches_and_judged_like_a_file(tmp_path: Path) -> None:
    task = make_task(tmp_path, ROWS, BODY)
    sizes = []

    def predict(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        sizes.append(len(rows))
        return [{"prediction": row["label"] if row["id"] >= 20 else "?"} for row in rows]

    made = predictions_of(task, predict, batch_size=30)
    assert sizes == [30, 30, 30, 10]
    file = read_predictions(write_rows(tmp_path / "p.jsonl", right_but(20)))
    assert evaluate(task, made) == evaluate(task, file)
    with pytest.raises(EvaluationError, match=r"a.jsonl:1: the model gave 0 answers to 32"):
        predictions_of(task, lambda _: [])


def test_nothing_undefined_passes() -> None:
    interval = evaluate.__globals__["interval"](lambda _: float("nan"), 3, Resampling())
    assert not Threshold.parse("accuracy < 5").passes(interval)
    assert not Threshold.parse("accuracy.low > -5").passes(interval)


def changed(rows: list[dict[str, Any]], at: int, **values: Any) -> list[dict[str, Any]]:
    return [{**row, **values} if number == at else row for number, row in enumerate(rows)]


@pytest.mark.parametrize(
    ("rows", "predictions", "named"),
    [
        (ROWS, right_but(0)[:-1], "a.jsonl:1: id: no prediction for '0'"),
        (ROWS, changed(right_but(0), 1, id=99), "p.jsonl:2: id: also that of .*p.jsonl:1"),
        (ROWS, [*right_but(0), {"id": 100}], "p.jsonl:101: id: the task has no such row"),
        (changed(ROWS, 60, id=1), right_but(0), "b.jsonl:11: id: also that of .*a.jsonl:2"),
        (changed(ROWS, 1, label=None), right_but(0), "a.jsonl:2: label: missing"),
        ([], [], "manifest.json: shards: no rows"),
    ],
)
def test_what_does_not_fit_is_named(
    tmp_path: Path, rows: list[dict[str, Any]], predictions: list[dict[str, Any]], named: str
) -> None:
    task = make_task(tmp_path, rows, BODY)
    given = read_predictions(write_rows(tmp_path / "p.jsonl", predictions))
    with pytest.raises(EvaluationError, match=named):
        evaluate(task, given)


def test_data_that_changed_is_not_evaluated(tmp_path: Path) -> None:
    task = make_task(tmp_path, ROWS, BODY)
    write_rows(tmp_path / "b.jsonl", changed(ROWS[50:], 0, label="odd!"))
    with pytest.raises(ManifestError, match=r"b.jsonl: (bytes|sha256) is"):
        evaluate(task, read_predictions(write_rows(tmp_path / "p.jsonl", right_but(0))))


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ('metric = ["accuracy"]', "Object contains unknown field `metric`"),
        ('metrics = "accuracy"', r"Expected `array`, got `str` - at `\$\.metrics`"),
        ("metrics = []", r"Expected `array` of length >= 1 - at `\$\.metrics`"),
        ('target = "label"', "Object missing required field `metrics`"),
        ('metrics = ["accuracy"]\nthresholds = ["high"]', "'high' is no threshold"),
        ("metrics = [", "Invalid value"),
        ("metrics = " + "[" * 5000, "maximum recursion depth exceeded"),
    ],
)
def test_a_task_that_is_none_is_refused_with_its_key(tmp_path: Path, body: str, named: str) -> None:
    path = write_task(tmp_path, ROWS, body)
    with pytest.raises(EvaluationError, match=f"task.toml: {named}"):
        read_task(path)


def test_unknown_metrics_and_thresholds_of_others_are_refused(tmp_path: Path) -> None:
    task = make_task(tmp_path, ROWS, 'metrics = ["acuracy"]')
    with pytest.raises(EvaluationError, match=r"metrics: no metric 'acuracy'; there are accuracy"):
        evaluate(task, [])
    task = make_task(tmp_path, ROWS, BODY)
    with pytest.raises(EvaluationError, match=r"threshold bleu >= 3: the task .* accuracy"):
        evaluate(task, [], thresholds=[Threshold.parse("bleu >= 3")])


@pytest.mark.parametrize(
    "text", ["accuracy", "accuracy >= high", "a.mean > 1", "a => 1", "a > nan"]
)
def test_what_is_no_threshold_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no threshold; write METRIC"):
        Threshold.parse(text)


def test_thresholds_read_as_they_are_written() -> None:
    assert Threshold.parse(" perplexity.high<20 ") == Threshold("perplexity", "high", "<", 20)
    assert str(Threshold.parse("accuracy.value>=9e-1")) == "accuracy >= 0.9"
