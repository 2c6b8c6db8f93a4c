"""What is known of one file: the facts that criteria ask about."""

from __future__ import annotations

import re
from fnmatch import translate
from functools import lru_cache
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

TEXT_LIMIT = 300


class Fact(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """One fact of one file.

    Attributes:
        kind: one of `capabilities.model.FACT_KINDS`.
        name: qualified name, key path, instruction… by kind; `alt` is another way to say it.
        line: 1-based line of the file.
        value: the text that belongs to it: arguments, right-hand side, a whole line.
        scope: the enclosing `Class.function`, `""` at the top level.
        tags: bases, decorators, flags.
        keywords: keyword arguments as (name, text).
    """

    kind: str
    name: str
    line: int
    value: str = ""
    scope: str = ""
    tags: tuple[str, ...] = ()
    alt: str = ""
    keywords: tuple[tuple[str, str], ...] = ()


class Problem(msgspec.Struct, frozen=True):
    """Why a file could not be parsed, and where."""

    line: int
    reason: str


class FileFacts(msgspec.Struct, frozen=True):
    """Everything extracted from one file. `lines`: physical lines; `code_lines`: a notebook's code."""

    path: str
    role: str
    lines: int
    facts: tuple[Fact, ...]
    code_lines: int = 0
    stubs: tuple[tuple[int, str], ...] = ()
    markers: tuple[tuple[int, str], ...] = ()
    problem: Problem | None = None


class Interest:
    """Which facts anybody asks for: the rest is not kept, so that large trees fit in memory."""

    def __init__(self, wanted: Iterable[tuple[str, str]]) -> None:
        """`wanted`: pairs of kind and name pattern (a glob, or `re:` and an expression)."""
        patterns: dict[str, set[str]] = {}
        for kind, pattern in wanted:
            patterns.setdefault(kind, set()).add(pattern)
        self._matchers = {kind: _union(names) for kind, names in patterns.items()}

    def wants(self, kind: str, name: str) -> bool:
        """Whether a fact of this kind and name is asked for."""
        matcher = self._matchers.get(kind)
        return matcher is not None and matcher(name)


def pattern_matcher(pattern: str) -> Callable[[str], bool]:
    """A predicate for a glob (`*` crosses everything), or for `re:` and an expression.

    Raises:
        re.error: the expression is not valid.
    """
    return _union(frozenset({pattern}))


def _union(patterns: Iterable[str]) -> Callable[[str], bool]:
    """A predicate for any of many patterns: literal tails by look-up, the rest by one expression."""
    exact: set[str] = set()
    tails: set[str] = set()
    rest: list[str] = []
    for pattern in patterns:
        if pattern == "*":
            return lambda _name: True
        if pattern.startswith("re:"):
            rest.append(_flags_inside(pattern[3:]))
        elif not _is_glob(pattern):
            exact.add(pattern)
        elif pattern.startswith("*.") and not _is_glob(pattern[2:]) and "." not in pattern[2:]:
            tails.add(pattern[2:])
        else:
            rest.append(translate(pattern))
    expression = re.compile("|".join(f"(?:{one})" for one in rest)) if rest else None

    @lru_cache(maxsize=65536)
    def matches(name: str) -> bool:
        if name in exact:
            return True
        head, dot, tail = name.rpartition(".")
        if dot and head and tail in tails:
            return True
        return expression is not None and expression.fullmatch(name) is not None

    return matches


def _is_glob(pattern: str) -> bool:
    return any(mark in pattern for mark in "*?[")


def _flags_inside(expression: str) -> str:
    """`(?i)x` as `(?i:x)`, so that it can be one alternative of many."""
    found = re.match(r"\(\?([aimsx]+)\)", expression)
    return f"(?{found.group(1)}:{expression[found.end():]})" if found else expression


def collapse(text: str, limit: int = TEXT_LIMIT) -> str:
    """Text on one line, whitespace collapsed, cut at `limit` characters."""
    if len(text) > 4 * limit:
        text = text[: 4 * limit]
    return " ".join(text.split())[:limit]
