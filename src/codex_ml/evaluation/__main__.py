"""`python -m codex_ml.evaluation`: exit 0 if all thresholds hold, 1 if not, 2 for bad input."""

from __future__ import annotations

import argparse
import hashlib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from codex_ml.errors import exit_code
from codex_ml.evaluation.bootstrap import Resampling
from codex_ml.evaluation.harness import (
    evaluate,
    predictions_of,
    read_predictions,
    save_evaluation,
    summary,
)
from codex_ml.evaluation.models import load_model
from codex_ml.evaluation.tasks import read_task
from codex_ml.evaluation.thresholds import Threshold


def main(arguments: Sequence[str] | None = None) -> int:
    """Evaluate a model, or predictions that were made before, on a task of local files."""
    parser = _parser()
    options = parser.parse_args(arguments)
    try:
        how = Resampling(
            confidence=options.confidence, resamples=options.resamples, seed=options.seed
        )
    except ValueError as error:
        parser.error(str(error))

    def run() -> int:
        results = _results(options, how)
        if options.out:
            save_evaluation(results, options.out)
        print(summary(results))
        return 0 if results["passed"] else 1

    return exit_code(run)


def _results(options: argparse.Namespace, how: Resampling) -> dict[str, Any]:
    task = read_task(options.task)
    if options.predictions:
        predictions = read_predictions(options.predictions)
        digest = hashlib.sha256(options.predictions.read_bytes()).hexdigest()
        source = {"predictions": options.predictions.name, "sha256": digest}
    else:
        model = load_model(options.model, options.checkpoint)
        predictions = predictions_of(task, model, batch_size=options.batch_size)
        checkpoint = str(options.checkpoint) if options.checkpoint else None
        source = {"model": options.model, "checkpoint": checkpoint}
    results = evaluate(task, predictions, thresholds=options.threshold, resampling=how)
    return {**results, "source": source}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m codex_ml.evaluation", description=__doc__)
    add = parser.add_argument
    add("--task", type=Path, required=True, help="the task's TOML file")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--predictions", type=Path, help="a JSONL file of predictions")
    source.add_argument("--model", help="package.module:factory, called with the checkpoint's path")
    add("--checkpoint", type=Path, help="what the factory is given; None without it")
    add("--batch-size", type=_positive, default=32, help="rows that the model gets at a time")
    add("--out", type=Path, help="where the results go, as JSON")
    add(
        "--threshold",
        type=_threshold,
        action="append",
        default=[],
        metavar="'METRIC[.low|.high] >= NUMBER'",
        help="what has to hold for exit code 0; may be repeated",
    )
    add("--confidence", type=float, default=0.95)
    add("--resamples", type=int, default=1000)
    add("--seed", type=int, default=0)
    return parser


def _threshold(text: str) -> Threshold:
    try:
        return Threshold.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
