"""Each metric equals what its library computes on the resampled examples themselves."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sacrebleu
from sklearn import metrics as reference

from codex_ml.evaluation.metrics import METRICS
from codex_ml.evaluation.tasks import EvaluationError, Pair
from codex_ml.shards import Row

DRAWN = np.array([1, 0, 1, 3, 0, 1, 1, 1])
LABELS = ["a", "b", "c", "a", "b", "c", "a", "a"]
GUESSES = ["a", "b", "a", "b", "c", "c", "a", "b"]
TRUE = [1.0, 2.5, -3.0, 0.0, 4.0, 2.0, 8.0, 1.0]
SAID = [1.5, 2.0, -3.0, 1.0, 4.5, 0.0, 9.0, 7.0]
TEXTS = [
    "the cat sat on the mat", "a dog ran in the park today", "it rains all day long", "yes",
    "she reads a good book", "they went home", "we sing loud songs at night", "no rain today here",
]  # fmt: skip
OUTPUTS = [
    "the cat sat on a mat", "a dog ran in a park", "it rains long", "yes it is",
    "she reads a good book", "they all went home", "we sing loud songs", "no sun",
]  # fmt: skip


def pairs(true: list[Any], said: list[Any], key: str = "prediction") -> list[Pair]:
    return [
        Pair(Row({"y": left}, Path("data.jsonl"), line), Row({key: right}, Path("p.jsonl"), line))
        for line, (left, right) in enumerate(zip(true, said, strict=True), start=1)
    ]


def drawn(values: list[Any]) -> list[Any]:
    return [value for value, times in zip(values, DRAWN, strict=True) for _ in range(times)]


def compare(name: str, subject: list[Pair], whole: float, resampled: float) -> None:
    statistic = METRICS[name](subject, "y")
    assert statistic(np.ones(len(subject))) == pytest.approx(whole, rel=1e-12)
    assert statistic(DRAWN.astype(float)) == pytest.approx(resampled, rel=1e-12)
    assert whole != resampled


def test_classes_and_numbers_as_scikit_learn() -> None:
    compare(
        "accuracy", pairs(LABELS, GUESSES), 0.5,
        reference.accuracy_score(drawn(LABELS), drawn(GUESSES)),
    )  # fmt: skip
    compare(
        "f1_macro", pairs(LABELS, GUESSES),
        reference.f1_score(LABELS, GUESSES, average="macro"),
        reference.f1_score(drawn(LABELS), drawn(GUESSES), average="macro"),
    )  # fmt: skip
    compare(
        "mae", pairs(TRUE, SAID), reference.mean_absolute_error(TRUE, SAID),
        reference.mean_absolute_error(drawn(TRUE), drawn(SAID)),
    )  # fmt: skip
    compare(
        "rmse", pairs(TRUE, SAID), reference.root_mean_squared_error(TRUE, SAID),
        reference.root_mean_squared_error(drawn(TRUE), drawn(SAID)),
    )  # fmt: skip
    binary = [int(value > 1) for value in TRUE]
    compare(
        "roc_auc", pairs(binary, SAID, "score"), reference.roc_auc_score(binary, SAID),
        reference.roc_auc_score(drawn(binary), drawn(SAID)),
    )  # fmt: skip


def test_numbers_of_numpy_are_numbers() -> None:
    said = [np.int64(1), np.int64(0)]
    assert METRICS["accuracy"](pairs([1, 1], said), "y")(np.ones(2)) == 0.5
    assert METRICS["mae"](pairs([1, 1], [np.float32(0.5), said[0]]), "y")(np.ones(2)) == 0.25


def test_a_class_that_was_not_drawn_does_not_count() -> None:
    statistic = METRICS["f1_macro"](pairs(["a", "b"], ["a", "a"]), "y")
    assert statistic(np.array([3.0, 0.0])) == 1
    assert statistic(np.array([1.0, 1.0])) == pytest.approx(1 / 3)
    area = METRICS["roc_auc"](pairs([0, 1], [0.2, 0.4], "score"), "y")
    assert math.isnan(area(np.array([2.0, 0.0])))


def test_bleu_as_sacrebleu() -> None:
    compare(
        "bleu", pairs(TEXTS, OUTPUTS), sacrebleu.corpus_bleu(OUTPUTS, [TEXTS]).score,
        sacrebleu.corpus_bleu(drawn(OUTPUTS), [drawn(TEXTS)]).score,
    )  # fmt: skip
    second = [text.replace("the", "a") for text in TEXTS]
    compare(
        "bleu", pairs([list(both) for both in zip(TEXTS, second, strict=True)], OUTPUTS),
        sacrebleu.corpus_bleu(OUTPUTS, [TEXTS, second]).score,
        sacrebleu.corpus_bleu(drawn(OUTPUTS), [drawn(TEXTS), drawn(second)]).score,
    )  # fmt: skip


def likelihoods(*rows: tuple[float, float]) -> list[Pair]:
    return [
        Pair(
            Row({}, Path("data.jsonl"), line),
            Row({"nll": nll, "tokens": units, "bytes": units}, Path("p.jsonl"), line),
        )
        for line, (nll, units) in enumerate(rows, start=1)
    ]


def test_likelihoods_are_weighted_by_tokens() -> None:
    subject = likelihoods((math.log(2) * 9, 9), (math.log(8), 1), (0, 0))
    value = METRICS["perplexity"](subject, None)(np.ones(3))
    assert value == pytest.approx(2 ** (12 / 10))
    assert METRICS["bits_per_byte"](subject, None)(np.ones(3)) == pytest.approx(1.2)
    assert math.isnan(METRICS["perplexity"](subject, None)(np.array([0.0, 0.0, 2.0])))


@pytest.mark.parametrize(
    ("name", "subject", "named"),
    [
        ("accuracy", pairs(["1"], [1]), "p.jsonl:1: prediction: 1 and the target '1'"),
        ("accuracy", pairs(["a"], [0.5]), "p.jsonl:1: prediction: a class is text"),
        ("accuracy", pairs([None], ["a"]), "data.jsonl:1: y: missing"),
        ("mae", pairs([1, "x"], [1, 1]), "data.jsonl:2: y: 'x' is not a finite number"),
        ("mae", pairs([1], [math.nan]), "p.jsonl:1: prediction: nan is not"),
        ("mae", pairs([1], [True]), "p.jsonl:1: prediction: True is not"),
        ("roc_auc", pairs([0, 2], [1, 1], "score"), "data.jsonl:2: y: roc_auc takes"),
        ("roc_auc", pairs([0, 1], [1, 1]), "p.jsonl:1: score: missing"),
        ("bleu", pairs(["a"], [1]), "p.jsonl:1: prediction: must be text"),
        ("bleu", pairs([["a", 2]], ["a"]), "data.jsonl:1: y: must be text"),
        ("perplexity", likelihoods((1, 1), (1, 0)), "p.jsonl:2: tokens: 0 tokens for an nll"),
    ],
)
def test_what_cannot_be_judged_is_named(name: str, subject: list[Pair], named: str) -> None:
    with pytest.raises(EvaluationError) as caught:
        METRICS[name](subject, "y")
    assert str(caught.value).startswith(named)


def test_a_metric_of_targets_needs_one() -> None:
    for name in ("accuracy", "f1_macro", "roc_auc", "mae", "rmse", "bleu"):
        with pytest.raises(EvaluationError, match="needs one; name its key in the task"):
            METRICS[name](pairs([1], [1]), None)
