"""Trained models by the name of what loads them, and what they say to rows."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from codex_ml.evaluation.tasks import EvaluationError
from codex_ml.shards import Row

Predict = Callable[[Sequence[Mapping[str, Any]]], Sequence[Mapping[str, Any]]]
"""rows -> for each, in order, what the metrics need: "prediction", "score", "nll", "tokens"."""


def load_model(reference: str, checkpoint: Path | None) -> Predict:
    """Call `package.module:factory` with the checkpoint's path and return what it makes.

    Raises:
        EvaluationError: there is no such module or function, or it makes nothing to call; what
            it raises itself is left as it is.
    """
    where, _, name = reference.partition(":")
    if not where or not name:
        raise EvaluationError(f"--model {reference}: write it as package.module:factory")
    try:
        factory = getattr(importlib.import_module(where), name, None)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{where}.".startswith(f"{error.name}."):
            raise
        raise EvaluationError(f"--model {reference}: there is no module {error.name!r}") from error
    if not callable(factory):
        raise EvaluationError(f"--model {reference}: {where} has no function {name!r}")
    predict: Predict = factory(checkpoint)
    if not callable(predict):
        raise EvaluationError(f"--model {reference}: it must return a function of rows")
    return predict


def answers(
    predict: Predict, rows: Iterable[Row], *, batch_size: int
) -> Iterator[tuple[Row, Mapping[str, Any]]]:
    """Each row with what a model says to it; the model is given `batch_size` rows at a time.

    Raises:
        EvaluationError: it gives another number of answers than it was given rows.
    """
    rows = iter(rows)
    while batch := list(islice(rows, batch_size)):
        given = predict([row.values for row in batch])
        if len(given) != len(batch):
            counts = f"{len(given)} answers to {len(batch)} rows"
            raise EvaluationError(f"{batch[0].place}: the model gave {counts}")
        yield from zip(batch, given, strict=True)
