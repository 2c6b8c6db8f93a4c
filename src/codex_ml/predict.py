"""`python -m codex_ml.predict`: a trained model's answers to rows of a file or to texts."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from codex_ml.errors import exit_code
from codex_ml.evaluation.models import answers, load_model
from codex_ml.shards import Row, parse


def main(arguments: Sequence[str] | None = None) -> int:
    """Load a model and print a line of JSON a row: its id, and what the model says of it."""
    parser = argparse.ArgumentParser(prog="python -m codex_ml.predict", description=main.__doc__)
    add = parser.add_argument
    add("--model", required=True, help="package.module:factory, called with the checkpoint's path")
    add("--checkpoint", type=Path, help="what the factory is given; None without it")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--rows", type=Path, help="a JSONL file")
    source.add_argument("--text", action="append", help="a row with this text; may be repeated")
    add("--batch-size", type=int, default=32, help="rows that the model gets at a time")
    options = parser.parse_args(arguments)
    if options.batch_size < 1:
        parser.error(f"--batch-size {options.batch_size}: must be at least 1")

    def run() -> int:
        if options.text:
            texts = enumerate(options.text, start=1)
            rows = [Row({"text": text}, Path("--text"), number) for number, text in texts]
        else:
            rows = list(parse(options.rows.read_bytes(), options.rows))
        model = load_model(options.model, options.checkpoint)
        said = answers(model, rows, batch_size=options.batch_size)
        for number, (row, answer) in enumerate(said, start=1):
            print(json.dumps({"id": row.values.get("id", number), **answer}, ensure_ascii=False))
        return 0

    return exit_code(run)


if __name__ == "__main__":
    sys.exit(main())
