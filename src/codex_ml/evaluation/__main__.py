"""`python -m codex_ml.evaluation`: exit 0 if all thresholds hold, 1 if not, 2 for an error."""

from __future__ import annotations

import argparse
import hashlib
import sys
from collections.abc import Sequence
from pathlib import Path

from codex_ml.errors import exit_code
from codex_ml.evaluation.bootstrap import Resampling
from codex_ml.evaluation.harness import evaluate, predictions_of, save_evaluation, summary
from codex_ml.evaluation.models import load_model
from codex_ml.evaluation.tasks import Threshold, read_task
from codex_ml.shards import parse


def main(arguments: Sequence[str] | None = None) -> int:
    """Evaluate a model, or predictions that were made before, on a task of local files."""
    parser = argparse.ArgumentParser(prog="python -m codex_ml.evaluation", description=__doc__)
    add = parser.add_argument
    add("--task", type=Path, required=True, help="the task's TOML file")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--predictions", type=Path, help="a JSONL file of predictions")
    source.add_argument("--model", help="package.module:factory, called with the checkpoint's path")
    add("--checkpoint", type=Path, help="what the factory is given; None without it")
    add("--batch-size", type=int, default=32, help="rows that the model gets at a time")
    add("--out", type=Path, help="where the results go, as JSON")
    bound = "what has to hold for exit code 0, METRIC[.low|.high] >= NUMBER; may be repeated"
    add("--threshold", action="append", default=[], help=bound)
    add("--confidence", type=float, default=0.95)
    add("--resamples", type=int, default=1000)
    add("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    if options.batch_size < 1:
        parser.error(f"--batch-size {options.batch_size}: must be at least 1")
    try:
        thresholds = [Threshold.parse(text) for text in options.threshold]
        how = Resampling(
            confidence=options.confidence, resamples=options.resamples, seed=options.seed
        )
    except ValueError as error:
        parser.error(str(error))

    def run() -> int:
        task = read_task(options.task)
        if options.predictions:
            content = options.predictions.read_bytes()
            predictions = list(parse(content, options.predictions))
            digest = hashlib.sha256(content).hexdigest()
            given = {"predictions": options.predictions.name, "sha256": digest}
        else:
            model = load_model(options.model, options.checkpoint)
            predictions = predictions_of(task, model, batch_size=options.batch_size)
            checkpoint = str(options.checkpoint) if options.checkpoint else None
            given = {"model": options.model, "checkpoint": checkpoint}
        results = evaluate(task, predictions, thresholds=thresholds, resampling=how)
        if options.out:
            save_evaluation({**results, "source": given}, options.out)
        print(summary(results))
        return 0 if results["passed"] else 1

    return exit_code(run)


if __name__ == "__main__":
    sys.exit(main())
