"""Whether a series of numbers goes down beyond chance."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_CERTAIN = 3.0
_NEARLY_ALL = 0.9
_ODDS = 700  # as three deviations


def mann_kendall(values: Sequence[float]) -> tuple[float, float]:
    """The trend of a series in standard deviations, and how many show one beyond chance.

    Mann, "Nonparametric tests against trend", Econometrica 13 (1945): counts which of each
    pair is larger, so neither scale nor shape of a loss curve matters. Three deviations come
    about by chance in one run of 700; a series too short for three must fall nearly all the way.
    """
    n = len(values)
    deviation = math.sqrt(n * (n - 1) * (2 * n + 5) / 18) or 1.0
    balance = sum(
        (later > earlier) - (later < earlier)
        for index, earlier in enumerate(values)
        for later in values[index + 1 :]
    )
    most = n * (n - 1) / 2 / deviation
    return balance / deviation, min(_CERTAIN, _NEARLY_ALL * most)


def falls_at_once(values: Sequence[float]) -> bool:
    """Whether each of the first few is above all of the last quarter, beyond chance.

    A loss that falls in a few steps and stays there has no trend over the whole series. By
    chance, k values are above q others once in `comb(k + q, k)` times.
    """
    quarter = len(values) // 4
    few = next((k for k in range(1, len(values)) if math.comb(k + quarter, k) >= _ODDS), None)
    if not quarter or few is None or few + quarter > len(values):
        return False
    return min(values[:few]) > max(values[-quarter:])
