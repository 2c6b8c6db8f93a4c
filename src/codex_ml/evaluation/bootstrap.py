"""Confidence intervals by the bootstrap, over examples or over clusters of them.

Percentile: Efron & Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 13. BCa:
Efron, "Better Bootstrap Confidence Intervals", JASA 82, 1987. Whole clusters are drawn where
examples depend on each other: Field & Welsh, "Bootstrapping clustered data", JRSS B 69, 2007.
The intervals are computed by `scipy.stats.bootstrap`.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from codex_ml import optional

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

_CELLS = 10_000_000  # of indices drawn at a time: 80 MB


@dataclass(frozen=True, slots=True, kw_only=True)
class Resampling:
    """How intervals are made; the same seed gives the same ones.

    BCa corrects bias and skewness, and computes the metric once more without each example.
    """

    method: Literal["percentile", "bca"] = "percentile"
    confidence: float = 0.95
    resamples: int = 1000
    seed: int = 0

    def __post_init__(self) -> None:
        if self.method not in ("percentile", "bca"):
            raise ValueError(f"method={self.method!r}: must be 'percentile' or 'bca'")
        if not 0 < self.confidence < 1:
            raise ValueError(f"confidence={self.confidence}: must lie between 0 and 1")
        if self.resamples < 1:
            raise ValueError(f"resamples={self.resamples}: must be at least 1")


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
        clusters: each example's cluster, or how many examples there are if each is its own.
        how: how to resample.
    """
    if isinstance(clusters, int):
        units = np.arange(clusters)
    else:
        units = np.unique(np.asarray(clusters, dtype=str), return_inverse=True)[1]
    drawn = int(units.max()) + 1
    value = statistic(np.ones(len(units)))
    if np.isnan(value):
        return Interval(None, None, None, "undefined on these examples")
    if drawn == 1:
        return Interval(value, None, None, "a single unit cannot be resampled")

    def resampled(indices: NDArray[np.int64]) -> float:
        counts = np.bincount(indices, minlength=drawn)
        return statistic(counts[units].astype(np.float64))

    stats = optional.load("scipy.stats", extra="evaluation")
    with warnings.catch_warnings(), np.errstate(divide="ignore", invalid="ignore"):
        # Degenerate resamples are judged below, and said in the results.
        warnings.simplefilter("ignore", stats.DegenerateDataWarning)
        found = stats.bootstrap(
            (np.arange(drawn),),
            resampled,
            vectorized=False,
            n_resamples=how.resamples,
            confidence_level=how.confidence,
            method="BCa" if how.method == "bca" else "percentile",
            batch=max(1, _CELLS // drawn),
            rng=np.random.default_rng(how.seed),
        )
    values = found.bootstrap_distribution
    undefined = int(np.isnan(values).sum())
    if undefined:
        note = f"undefined in {undefined} of {how.resamples} resamples"
        return Interval(value, None, None, note)
    if np.ptp(values) == 0:
        note = "all resamples give the same value; the bootstrap says nothing of its spread"
        return Interval(value, None, None, note)
    low, high = map(float, found.confidence_interval)
    return Interval(value, low, high)
