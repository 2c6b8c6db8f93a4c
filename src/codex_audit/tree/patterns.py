"""Patterns of names, matched fast: most are a whole name, a head, a tail or a part of one."""

from __future__ import annotations

import re
from fnmatch import translate
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence


def name_matcher(patterns: Iterable[str]) -> Callable[[str], bool]:
    """A predicate for names that fit any of the patterns: globs, or `re:` and an expression.

    `*` crosses everything. Only what is no plain text between stars costs an expression.

    Raises:
        re.error: an expression is not valid.
    """
    exact: set[str] = set()
    heads: list[str] = []
    tails: list[str] = []
    parts: list[str] = []
    rest: list[str] = []
    for pattern in patterns:
        text = pattern.strip("*")
        if pattern.startswith("re:"):
            rest.append(pattern[3:])
        elif any(mark in text for mark in "*?["):
            rest.append(translate(pattern))
        elif not text and pattern:
            return lambda _name: True
        else:
            first, last = pattern.startswith("*"), pattern.endswith("*")
            kind = parts if first and last else tails if first else heads if last else None
            exact.add(text) if kind is None else kind.append(text)
    starts, ends = tuple(heads), tuple(tails)
    whole = union(rest).fullmatch if rest else None

    def matches(name: str) -> bool:  # asked millions of times: no generator, no look-up
        if name in exact or name.endswith(ends) or name.startswith(starts):
            return True
        for part in parts:
            if part in name:
                return True
        return whole is not None and whole(name) is not None

    return matches


def union(expressions: Sequence[str]) -> re.Pattern[str]:
    """One expression for any of several, each with flags of its own."""
    return re.compile("|".join(_flags_inside(expression) for expression in expressions))


def _flags_inside(expression: str) -> str:
    """`(?i)x` as `(?i:x)`, so that it can be one alternative of many."""
    found = re.match(r"\(\?([aimsx]+)\)", expression)
    return f"(?{found.group(1)}:{expression[found.end() :]})" if found else f"(?:{expression})"
