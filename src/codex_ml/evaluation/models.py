"""Trained models by the name of what loads them."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from codex_ml.errors import is_worded
from codex_ml.evaluation.tasks import EvaluationError

if TYPE_CHECKING:
    from pathlib import Path

    from codex_ml.evaluation.harness import Predict


def load_model(reference: str, checkpoint: Path | None) -> Predict:
    """Call `package.module:factory` with the checkpoint's path and return what it makes.

    Raises:
        EvaluationError: there is no such module or function, it makes nothing to call, or it
            cannot load the checkpoint.
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
    try:
        predict: Predict = factory(checkpoint)
    except Exception as error:
        if not is_worded(error):
            raise
        raise EvaluationError(f"--model {reference}: {error}") from error
    if not callable(predict):
        raise EvaluationError(f"--model {reference}: it must return a function of rows")
    return predict
