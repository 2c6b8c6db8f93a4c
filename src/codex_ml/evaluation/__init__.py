"""Models and predictions judged offline: tasks, metrics with intervals, thresholds.

    python -m codex_ml.evaluation --task task.toml --predictions predictions.jsonl \
        --out results.json --threshold "accuracy >= 0.9"

A task is a TOML file beside its data; the keys are those of `Task`:

    name = "sentiment"
    manifest = "manifest.json"            # by codex_ml.data.write_manifest
    metrics = ["accuracy", "f1_macro"]
    target = "label"
    cluster = "document"                  # optional: rows of one document hang together
    thresholds = ["accuracy.low >= 0.8"]  # optional: the lower end of the interval

A prediction is a row with the example's `id` and what the metrics need: `prediction`, `score`
(roc_auc), `nll` with `tokens` (perplexity) or `bytes` (bits_per_byte).

Nothing is fetched; data, predictions and results are local files. torch is imported only by
`codex_ml.evaluation.likelihood`, which gives `perplexity` what it needs.
"""

from __future__ import annotations

from codex_ml.evaluation.bootstrap import Interval, Resampling
from codex_ml.evaluation.harness import evaluate, predictions_of, save_evaluation, summary
from codex_ml.evaluation.metrics import METRICS
from codex_ml.evaluation.models import Predict
from codex_ml.evaluation.tasks import EvaluationError, Task, Threshold, read_task, write_task

__all__ = [
    "METRICS",
    "EvaluationError",
    "Interval",
    "Predict",
    "Resampling",
    "Task",
    "Threshold",
    "evaluate",
    "predictions_of",
    "read_task",
    "save_evaluation",
    "summary",
    "write_task",
]
