"""Arguments and names refused in the same words everywhere."""

from __future__ import annotations

import difflib
from collections.abc import Collection
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


def near(name: str, known: Collection[str]) -> str:
    """Those of `known` that `name` may have been meant for; empty if none is near."""
    found = [one for one in difflib.get_close_matches(name, known) if one != name]
    return " or ".join(map(repr, found))


def unknown(name: str, known: Collection[str]) -> str:
    """The remedy for a name that is not among `known`: the near ones, or all that there are."""
    meant = near(name, known)
    return f"did you mean {meant}?" if meant else f"known are {', '.join(known) or 'none'}"
