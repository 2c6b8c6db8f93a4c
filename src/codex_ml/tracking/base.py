"""The protocol of a tracker, and the values that one takes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Protocol, Self


class TrackingWarning(UserWarning):
    """Something could not be recorded where it was to be; the message says where it is."""


class Tracker(Protocol):
    """What a run reports to; leaving its `with` block ends the run, as failed on an exception."""

    def log_params(self, params: Mapping[str, Any]) -> None:
        """Record what the run was started with."""
        ...

    def log_metrics(self, metrics: Mapping[str, float], step: int) -> None:
        """Record what was measured at `step`, an optimizer step; steps may come in any order.

        Raises:
            TypeError: a value is no number.
        """
        ...

    def close(self, *, failed: bool = False) -> None:
        """End the run; a second time does nothing."""
        ...

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.close(failed=kind is not None)


def plain(value: Any) -> Any:
    """`value` as JSON can hold it: numbers that are not finite and unknown types as strings."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value if isinstance(value, str | int | float | None) else str(value)


def numbers(metrics: Mapping[str, Any]) -> dict[str, float]:
    """`metrics` as floats, also those that are 0-dimensional tensors or text of `plain`.

    Raises:
        TypeError: one is no number; the message names it.
    """
    found = {}
    for name, value in metrics.items():
        try:
            found[name] = float(value)
        except (TypeError, ValueError, RuntimeError) as error:
            raise TypeError(f"metric {name!r} is {value!r}, which is no number") from error
    return found
