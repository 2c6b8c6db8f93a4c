"""The metrics: each a function of how much every example counts, so that it can be resampled.

scikit-learn computes those of classes and numbers (it has weights, and loads in a third of
torchmetrics' time), sacrebleu BLEU (Post, "A Call for Clarity in Reporting BLEU Scores",
WMT 2018; its tokenisation 13a). Neither is imported before one of its metrics is asked for.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codex_ml import optional
from codex_ml.evaluation.tasks import EvaluationError, Pair, field, number
from codex_ml.shards import Row

Weights = NDArray[np.float64]
Statistic = Callable[[Weights], float]
Pairs = Sequence[Pair]
Columns = Callable[[Pairs, str], tuple[Any, Any]]
Metric = Callable[[Pairs, str | None], Statistic]


def bleu(pairs: Pairs, target: str | None) -> Statistic:
    """Corpus BLEU, 0 to 100, against one reference or a list of them."""
    library = optional.load("sacrebleu.metrics", extra="evaluation").BLEU
    scorer = library(effective_order=True)  # as sacrebleu asks for single sentences
    key = _named(target)
    counts = []
    for pair in pairs:
        reference, said = field(pair.example, key), field(pair.prediction, "prediction")
        references = reference if isinstance(reference, list) else [reference]
        for text in references:
            _demand_text(text, pair.example.place, key)
        _demand_text(said, pair.prediction.place, "prediction")
        one = scorer.sentence_score(said, references)
        counts.append([*one.counts, *one.totals, one.sys_len, one.ref_len])
    table = np.asarray(counts, dtype=np.float64)
    order = scorer.max_ngram_order

    def statistic(weights: Weights) -> float:
        # Corpus BLEU is a function of the sums of the sentences' counts.
        sums = _weighted(weights, table)
        score = library.compute_bleu(
            correct=list(sums[:order]),
            total=list(sums[order : 2 * order]),
            sys_len=int(sums[-2]),
            ref_len=int(sums[-1]),
            smooth_method="exp",
        )
        return float(score.score)

    return statistic


def _scikit(
    score: str, of: Columns, pairs: Pairs, target: str | None, *, classes: int = 1, **options: Any
) -> Statistic:
    """A metric of scikit-learn's of what `of` makes of the targets and predictions.

    It is undefined where fewer than `classes` different targets are drawn.
    """
    true, predicted = of(pairs, _named(target))
    function = getattr(optional.load("sklearn.metrics", extra="evaluation"), score)

    def statistic(weights: Weights) -> float:
        kept = weights > 0  # a class that was not drawn is not one with an F1 of 0
        if classes > 1 and len(np.unique(true[kept])) < classes:
            return math.nan
        weighted = {"sample_weight": weights[kept], **options}
        return float(function(true[kept], predicted[kept], **weighted))

    return statistic


def _rate(per: str, scale: Callable[[float], float], pairs: Pairs, _: str | None) -> Statistic:
    """A metric of the mean negative log-likelihood a unit: of `nll` in nats."""
    rows = [pair.prediction for pair in pairs]
    nats, units = _numbers(rows, "nll"), _numbers(rows, per)
    # An end token is predicted, and has no bytes.
    wrong = np.flatnonzero((units < 0) | (units == 0) & (nats != 0) & (per == "tokens"))
    if wrong.size:
        row = rows[int(wrong[0])]
        raise EvaluationError(f"{row.place}: {per}: {row.values[per]} {per} for an nll")

    def statistic(weights: Weights) -> float:
        size = _weighted(weights, units)
        return scale(float(_weighted(weights, nats) / size)) if size else math.nan

    return statistic


def _weighted(weights: Weights, values: Weights) -> Any:
    """The weighted sum over examples; not by BLAS, whose sums vary with its threads."""
    return (weights * values.T).sum(axis=-1)


def _classes(pairs: Pairs, key: str) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Targets and predictions as numbers of classes."""
    numbers: dict[Any, int] = {}
    rows = []
    for pair in pairs:
        true, predicted = _class(pair.example, key), _class(pair.prediction, "prediction")
        if isinstance(true, str) is not isinstance(predicted, str):
            raise EvaluationError(
                f"{pair.prediction.place}: prediction: {predicted!r} and the target {true!r} "
                f"({pair.example.place}) are of different types and never equal"
            )
        rows.append([numbers.setdefault(value, len(numbers)) for value in (true, predicted)])
    table = np.asarray(rows, dtype=np.int64)
    return table[:, 0], table[:, 1]


def _class(row: Row, key: str) -> Any:
    if not isinstance(value := field(row, key), str | Integral):
        raise EvaluationError(f"{row.place}: {key}: a class is text or a whole number")
    return value


def _quantities(pairs: Pairs, key: str) -> tuple[Weights, Weights]:
    true = _numbers([pair.example for pair in pairs], key)
    return true, _numbers([pair.prediction for pair in pairs], "prediction")


def _scores(pairs: Pairs, key: str) -> tuple[Weights, Weights]:
    true = _numbers([pair.example for pair in pairs], key)
    if (other := np.flatnonzero(~np.isin(true, (0, 1)))).size:
        place = pairs[int(other[0])].example.place
        raise EvaluationError(f"{place}: {key}: roc_auc takes targets 0 and 1")
    return true, _numbers([pair.prediction for pair in pairs], "score")


def _numbers(rows: Sequence[Row], key: str) -> Weights:
    return np.asarray([number(row, key) for row in rows], dtype=np.float64)


def _named(target: str | None) -> str:
    if target is None:
        raise EvaluationError("target: the metric needs one; name its key in the task")
    return target


def _demand_text(value: object, place: str, key: str) -> None:
    if not isinstance(value, str):
        raise EvaluationError(f"{place}: {key}: must be text, not {value!r}")


METRICS: dict[str, Metric] = {
    # The share of predictions that equal the target; for text the exact match.
    "accuracy": partial(_scikit, "accuracy_score", _classes),
    # The unweighted mean of the F1 of all classes that occur; 0 for one never rightly predicted.
    "f1_macro": partial(_scikit, "f1_score", _classes, average="macro", zero_division=0),
    # The area under the ROC curve of `score`, for targets 0 and 1.
    "roc_auc": partial(_scikit, "roc_auc_score", _scores, classes=2),
    "mae": partial(_scikit, "mean_absolute_error", _quantities),
    "rmse": partial(_scikit, "root_mean_squared_error", _quantities),
    "bleu": bleu,
    # Exp of the mean a token.
    "perplexity": partial(_rate, "tokens", math.exp),
    # Bits a byte of text: comparable between tokenizers.
    "bits_per_byte": partial(_rate, "bytes", lambda nats: nats / math.log(2)),
}
