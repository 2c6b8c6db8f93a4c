"""Confidence intervals by the percentile bootstrap, over examples or over clusters of them.

Efron & Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 13. Whole clusters are
drawn where examples depend on each other: Field & Welsh, "Bootstrapping clustered data", JRSS B
69, 2007.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from codex_ml.checks import at_least_one


@dataclass(frozen=True, slots=True, kw_only=True)
class Resampling:
    """How intervals are made; the same seed gives the same ones."""

    confidence: float = 0.95
    resamples: int = 1000
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.confidence < 1:
            raise ValueError(f"confidence={self.confidence}: must lie between 0 and 1")
        at_least_one(resamples=self.resamples)
        if self.seed < 0:
            raise ValueError(f"seed={self.seed}: must be at least 0")


@dataclass(frozen=True, slots=True)
class Interval:
    """A metric's value and the ends of its interval; None where undefined, and `note` why."""

    value: float | None
    low: float | None
    high: float | None
    note: str = ""


def interval(
    statistic: Callable[[NDArray[np.float64]], float],
    clusters: Sequence[str] | int,
    how: Resampling,
) -> Interval:
    """The value of a metric and its interval.

    Args:
        statistic: a weight for each example, how often it was drawn -> the metric.
        clusters: each example's, or how many examples there are if each is its own.
        how: how to resample.
    """
    if isinstance(clusters, int):
        units = np.arange(clusters)
    else:
        units = np.unique(np.asarray(clusters, dtype=str), return_inverse=True)[1]
    size = int(units.max()) + 1
    value = statistic(np.ones(len(units)))
    if np.isnan(value):
        return Interval(None, None, None, "undefined on these examples")
    if size == 1:
        return Interval(value, None, None, "a single unit cannot be resampled")
    random = np.random.default_rng(how.seed)
    drawn = (random.multinomial(size, np.full(size, 1 / size)) for _ in range(how.resamples))
    values = np.array([statistic(counts[units].astype(np.float64)) for counts in drawn])
    if undefined := int(np.isnan(values).sum()):
        note = f"undefined in {undefined} of {how.resamples} resamples"
        return Interval(value, None, None, note)
    if np.ptp(values) == 0:
        note = "all resamples give the same value; the bootstrap says nothing of its spread"
        return Interval(value, None, None, note)
    tail = (1 - how.confidence) / 2
    low, high = np.quantile(values, (tail, 1 - tail))
    return Interval(value, float(low), float(high))
