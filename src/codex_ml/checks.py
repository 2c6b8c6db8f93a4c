"""Arguments refused in the same words everywhere: `name=value: what it must be`."""

from __future__ import annotations

from typing import Any, Literal, get_args

Mode = Literal["min", "max"]
"""Whether a smaller or a larger value of a metric is better."""


def at_least_one(**values: int | None) -> None:
    """Raise ValueError for a number below 1; None is none."""
    for name, value in values.items():
        if value is not None and value < 1:
            raise ValueError(f"{name}={value}: must be at least 1")


def one_of(choices: Any, **values: object) -> None:
    """Raise ValueError for a value that `choices`, a `Literal`, does not list."""
    for name, value in values.items():
        if value not in get_args(choices):
            raise ValueError(f"{name}={value!r}: must be one of {', '.join(get_args(choices))}")
