"""Where two runs of a trainer part, for the document: a table, and the distance over the steps."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping

_BARS = "▁▂▃▄▅▆▇█"


class Row(msgspec.Struct, frozen=True):
    """A step: both losses as they are written, and the parameter that differs first after it.

    `max_abs` is the parameter's greatest distance, `ulps` the same in units in the last place.
    """

    step: int
    loss: str
    other_loss: str
    parameter: str | None = None
    max_abs: float | None = None
    ulps: int | None = None


class Divergence(msgspec.Struct, frozen=True):
    """What a proof saw differ first, and each step from there on."""

    proof: str
    step: int
    cause: str
    rows: tuple[Row, ...]

    @property
    def plot(self) -> str:
        """A bar a step, by the logarithm of the distance; "" where none was measured."""
        distances = [row.max_abs for row in self.rows]
        known = [d for d in distances if d is not None and math.isfinite(d) and d > 0]
        if not known:
            return ""
        low, high = math.log10(min(known)), math.log10(max(known))
        bars = "".join(_bar(distance, low, high) for distance in distances)
        return f"{bars}  {min(known):.1e} to {max(known):.1e}, logarithmic"


def divergences(facts: Mapping[str, Any]) -> tuple[Divergence, ...]:
    """Those that an outcome's facts hold; none where another gate means something else by it."""
    told = facts.get("divergences")
    if not isinstance(told, dict):
        return ()
    found = []
    for proof, details in told.items():
        try:
            found.append(msgspec.convert({"proof": proof, **details}, Divergence))
        except (msgspec.ValidationError, TypeError):
            continue  # details of another form are the proof's own
    return tuple(each for each in found if each.rows)


def _bar(distance: float | None, low: float, high: float) -> str:
    if distance is None or math.isnan(distance):
        return "?"
    if distance == 0:
        return "·"
    if math.isinf(distance) or high == low:
        return _BARS[-1]
    return _BARS[round((math.log10(distance) - low) / (high - low) * (len(_BARS) - 1))]
