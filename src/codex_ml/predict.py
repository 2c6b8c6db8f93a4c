"""`python -m codex_ml.predict`: a trained model's answers to rows of a file or to texts."""

from __future__ import annotations

import argparse
import json
import sys
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from codex_ml.errors import exit_code
from codex_ml.evaluation.models import load_model
from codex_ml.evaluation.tasks import EvaluationError
from codex_ml.shards import parse

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from codex_ml.evaluation.harness import Predict


def main(arguments: Sequence[str] | None = None) -> int:
    """Load a model and print a line of JSON a row: its id, and what the model says of it."""
    parser = argparse.ArgumentParser(prog="python -m codex_ml.predict", description=main.__doc__)
    add = parser.add_argument
    add("--model", required=True, help="package.module:factory, called with the checkpoint's path")
    add("--checkpoint", type=Path, help="what the factory is given; None without it")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--rows", type=Path, help="a JSONL or CSV file")
    source.add_argument("--text", action="append", help="a row with this text; may be repeated")
    add("--batch-size", type=int, default=32, help="rows that the model gets at a time")
    options = parser.parse_args(arguments)
    if options.batch_size < 1:
        parser.error(f"--batch-size {options.batch_size}: must be at least 1")

    def run() -> int:
        if options.text:
            rows: list[dict[str, Any]] = [{"text": text} for text in options.text]
        else:
            rows = [row.values for row in parse(options.rows.read_bytes(), options.rows)]
        model = load_model(options.model, options.checkpoint)
        for answer in answers(model, rows, batch_size=options.batch_size):
            print(json.dumps(answer, ensure_ascii=False))
        return 0

    return exit_code(run)


def answers(
    model: Predict, rows: Sequence[Mapping[str, Any]], *, batch_size: int
) -> Iterator[dict[str, Any]]:
    """What `model` says of each row, with the row's `id`, or its number from 1 if it has none.

    Raises:
        EvaluationError: it gives another number of answers than it was given rows.
    """
    numbered = enumerate(rows, start=1)
    while batch := list(islice(numbered, batch_size)):
        given = model([row for _, row in batch])
        if len(given) != len(batch):
            raise EvaluationError(f"the model gave {len(given)} answers to {len(batch)} rows")
        for (number, row), answer in zip(batch, given, strict=True):
            yield {"id": row.get("id", number), **answer}


if __name__ == "__main__":
    sys.exit(main())
