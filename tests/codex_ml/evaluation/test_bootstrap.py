"""Intervals that cover as often as they say, wider where examples hang together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from codex_ml.evaluation.bootstrap import Interval, Resampling, interval

if TYPE_CHECKING:
    from collections.abc import Callable


def mean_of(values: Any) -> Callable[[Any], float]:
    return lambda weights: float(weights @ values / weights.sum())


def test_the_interval_is_that_of_the_mean_and_the_same_again() -> None:
    values = np.random.default_rng(1).normal(5, 2, 400)
    found = interval(mean_of(values), 400, Resampling())
    assert found.low is not None
    assert found.high is not None
    half = 1.96 * values.std() / 20
    assert found.value == pytest.approx(values.mean())
    assert found.low == pytest.approx(values.mean() - half, abs=0.1 * half)
    assert found.high == pytest.approx(values.mean() + half, abs=0.1 * half)
    assert interval(mean_of(values), 400, Resampling()) == found
    assert interval(mean_of(values), 400, Resampling(seed=1)) != found


def test_it_covers_the_truth_as_often_as_it_says() -> None:
    covered = 0
    for seed in range(200):
        values = np.random.default_rng(seed).normal(0, 1, 60)
        found = interval(mean_of(values), 60, Resampling(resamples=200, confidence=0.8))
        assert found.low is not None
        assert found.high is not None
        covered += found.low <= 0 <= found.high
    assert 0.7 < covered / 200 < 0.88


def test_clusters_are_drawn_whole() -> None:
    values = np.repeat(np.random.default_rng(2).normal(0, 1, 40), 10)
    clusters = [f"document {number // 10}" for number in range(400)]
    alone = interval(mean_of(values), 400, Resampling())
    together = interval(mean_of(values), clusters, Resampling())
    assert alone.value == together.value
    widths = [one.high - one.low for one in (alone, together) if one.high and one.low]
    # The square root of ten equal examples a cluster.
    assert widths[1] / widths[0] == pytest.approx(10**0.5, rel=0.15)


def test_what_no_interval_can_be_made_of_says_so() -> None:
    same = interval(mean_of(np.ones(9)), 9, Resampling())
    assert (same.value, same.low, same.high) == (1, None, None)
    assert "same value" in same.note
    one = interval(mean_of(np.arange(5)), ["a"] * 5, Resampling())
    assert one == Interval(2, None, None, "a single unit cannot be resampled")
    nan = interval(lambda _: float("nan"), 5, Resampling())
    assert nan == Interval(None, None, None, "undefined on these examples")
    sometimes = interval(
        lambda weights: float("nan") if weights[0] == 0 else weights[0], 3, Resampling(resamples=50)
    )
    assert sometimes.low is None
    assert sometimes.note.startswith("undefined in ")


@pytest.mark.parametrize(
    "wrong", [{"confidence": 1}, {"confidence": 0}, {"resamples": 0}, {"seed": -1}]
)
def test_a_resampling_that_cannot_be_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Resampling(**wrong)
