"""What is known of one file: the facts that criteria ask about."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from codex_audit.tree.patterns import name_matcher, union

if TYPE_CHECKING:
    import re
    from collections.abc import Iterable, Mapping

TEXT_LIMIT = 300
_LONG = frozenset({"file", "string"})  # whose names are texts of their own
# The parameters of a command can be many, and their defaults are settings.
SIGNATURE_LIMIT = 2000
# A longer name is data: criteria match names with expressions whose time grows faster than they.
NAME_LIMIT = 120


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
    """All that one file says. `lines`: physical lines; `code_lines`: a notebook's code."""

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

    def __init__(self, wanted: Iterable[tuple[str, str, str | None]]) -> None:
        """`wanted`: kind, name pattern (a glob, or `re:` and an expression), value expression."""
        by_kind: dict[str, dict[str, set[str | None]]] = {}
        for kind, pattern, value in wanted:
            by_kind.setdefault(kind, {}).setdefault(pattern, set()).add(value)
        self._names = {kind: _Names(patterns) for kind, patterns in by_kind.items()}

    def wants(self, kind: str, name: str) -> bool:
        """Whether a fact of this kind and name may be asked for."""
        names = self._names.get(kind)
        if names is None or (len(name) > NAME_LIMIT and kind not in _LONG):
            return False
        return names.checks(name) is not None

    def keeps(self, kind: str, name: str, value: str) -> bool:
        """Whether a fact of this kind, name and value is asked for."""
        names = self._names.get(kind)
        if names is None or (len(name) > NAME_LIMIT and kind not in _LONG):
            return False
        checks = names.checks(name)
        return checks is not None and (not checks or any(check.search(value) for check in checks))


class _Names:
    """The name patterns of one kind, each with the expressions that a value must fit."""

    def __init__(self, patterns: Mapping[str, set[str | None]]) -> None:
        grouped: dict[frozenset[str | None], set[str]] = {}
        for pattern, values in patterns.items():
            grouped.setdefault(frozenset(values), set()).add(pattern)
        self._groups = [
            (
                name_matcher(names),
                None if None in values else union([str(value) for value in values]),
            )
            for values, names in grouped.items()
        ]
        self._known: dict[str, tuple[re.Pattern[str], ...] | None] = {}

    def checks(self, name: str) -> tuple[re.Pattern[str], ...] | None:
        """The expressions of which a value must fit one; empty for any value, none for no fact."""
        if name not in self._known:
            fitting = [value for matches, value in self._groups if matches(name)]
            everything = any(value is None for value in fitting)
            expressions = (
                () if everything else tuple(value for value in fitting if value is not None)
            )
            self._known[name] = expressions if fitting else None
        return self._known[name]


def collapse(text: str, limit: int = TEXT_LIMIT) -> str:
    """Text on one line, whitespace collapsed, cut at `limit` characters."""
    if len(text) > 4 * limit:
        text = text[: 4 * limit]
    return " ".join(text.split())[:limit]
