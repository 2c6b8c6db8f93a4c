"""What is known of one file: the facts that criteria ask about."""

from __future__ import annotations

from typing import Protocol

import msgspec

from codex_audit.tree.outline import Outline

TEXT_LIMIT = 300
LONG_NAMES = frozenset({"file", "string"})  # whose names are texts of their own
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
    """Why a file could not be parsed, and where; `passing`: next time it may be otherwise."""

    line: int
    reason: str
    passing: bool = False


class Noted(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A line to show: a stub's name or a marker's word, and the line's text."""

    line: int
    name: str
    text: str


class FileFacts(msgspec.Struct, frozen=True):
    """All that one file says. `lines`: physical lines; `code_lines`: a notebook's code."""

    path: str
    role: str
    lines: int
    facts: tuple[Fact, ...]
    code_lines: int = 0
    stubs: tuple[Noted, ...] = ()
    markers: tuple[Noted, ...] = ()
    problem: Problem | None = None
    outline: Outline = Outline()


class Found(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What is kept of one file: where signals hold in it, and what the repository map shows.

    Attributes:
        hits: number of a signal -> lines and their scopes.
        requirements: its facts of that kind, which versions are read from.
        broken: number of a signal that could not be asked -> why.
        lines, code_lines, stubs, markers, problem: as in `FileFacts`.
        outline: that of a Python file, packed: few of them are ever asked.
    """

    path: str
    role: str
    lines: int
    hits: dict[int, tuple[tuple[int, str], ...]] = {}
    requirements: tuple[Fact, ...] = ()
    code_lines: int = 0
    stubs: tuple[Noted, ...] = ()
    markers: tuple[Noted, ...] = ()
    problem: Problem | None = None
    broken: dict[int, str] = {}
    outline: bytes = b""


class Interest(Protocol):
    """Which facts anybody asks for: the rest is not kept, so that large trees fit in memory."""

    def wants(self, kind: str, name: str) -> bool:
        """Whether a fact of this kind and name may be asked for."""


def collapse(text: str, limit: int = TEXT_LIMIT) -> str:
    """Text on one line, whitespace collapsed, cut at `limit` characters."""
    if len(text) > 4 * limit:
        text = text[: 4 * limit]
    return " ".join(text.split())[:limit]
