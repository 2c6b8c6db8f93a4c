"""Patterns of names, matched fast: most are a whole name, a head, a tail or a part of one."""

from __future__ import annotations

import re
from fnmatch import translate
from functools import cached_property
from itertools import chain
from typing import TYPE_CHECKING, Generic, TypeVar

from ahocorasick import Automaton

from codex_audit.tree.literals import needed_texts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

T = TypeVar("T")


class Pattern:
    """One pattern of names: a glob whose `*` crosses everything, or `re:` and an expression."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._expression = (
            text[3:]
            if text.startswith("re:")
            else translate(text)
            if "?" in text or "[" in text
            else None
        )
        self._parts = text.split("*")
        # A name that it fits has one of these in it, in lower case; empty where any name may.
        self.needs: frozenset[str] = (
            frozenset(filter(None, [max(self._parts, key=len).lower()]))
            if self._expression is None
            else needed_texts(self._expression)
        )

    @property
    def exact(self) -> bool:
        """Whether it is a whole name."""
        return self._expression is None and len(self._parts) == 1

    @cached_property
    def fits(self) -> Callable[[str], bool]:
        """Whether a name fits."""
        if self._expression is not None:
            whole = union([self._expression]).fullmatch
            return lambda name: whole(name) is not None
        if self.exact:
            return lambda name: name == self.text
        head, *middle, tail = self._parts
        if len(middle) == 1 and not head and not tail:
            return lambda name: middle[0] in name
        if middle:
            return lambda name: _in_order(name, head, middle, tail)
        if head and tail:
            least = len(head) + len(tail)
            return lambda name: len(name) >= least and name.startswith(head) and name.endswith(tail)
        if tail:
            return lambda name: name.endswith(tail)
        return lambda name: name.startswith(head)


def _in_order(name: str, head: str, middle: Iterable[str], tail: str) -> bool:
    """Whether a name begins and ends so, with the rest between them, one after the other."""
    at, end = len(head), len(name) - len(tail)
    if not (at <= end and name.startswith(head) and name.endswith(tail)):
        return False
    for part in middle:
        at = name.find(part, at, end)
        if at < 0:
            return False
        at += len(part)
    return True


class TextIndex(Generic[T]):
    """Who needs one of some texts, all of which are sought at once (Aho and Corasick, 1975)."""

    def __init__(self, needs: Iterable[tuple[Iterable[str], T]]) -> None:
        """`needs`: texts, none of which is empty, and who needs one of them."""
        owners: dict[str, list[T]] = {}
        for texts, owner in needs:
            for text in texts:
                owners.setdefault(text, []).append(owner)
        self._texts = Automaton()
        for text, needing in owners.items():
            self._texts.add_word(text, needing)
        self._texts.make_automaton()
        self._empty = not owners

    def find(self, text: str) -> list[T]:
        """The owners of whom `text` has what they need, each once."""
        if self._empty:
            return []
        found = [owners for _, owners in self._texts.iter(text)]
        return list(dict.fromkeys(chain.from_iterable(found)))


class NameIndex:
    """Which of many patterns a name fits, by the texts that the patterns need."""

    def __init__(self, patterns: Iterable[tuple[Pattern, int]]) -> None:
        """`patterns`: each with the number of who asks for it."""
        owners: dict[str, tuple[Pattern, list[int]]] = {}
        for pattern, owner in patterns:
            owners.setdefault(pattern.text, (pattern, []))[1].append(owner)
        self._exact: dict[str, list[int]] = {}
        self._any: list[tuple[Pattern, list[int]]] = []
        needing: list[tuple[frozenset[str], tuple[Pattern, tuple[int, ...]]]] = []
        for text, (pattern, asking) in owners.items():
            if pattern.exact:
                self._exact[text] = asking
            elif pattern.needs:
                needing.append((pattern.needs, (pattern, tuple(asking))))
            else:
                self._any.append((pattern, asking))
        self._needing = TextIndex(needing)

    def owners(self, name: str) -> tuple[int, ...]:
        """Who asks for `name`, in ascending order, each once."""
        found = set(self._exact.get(name, ()))
        for pattern, asking in (*self._any, *self._needing.find(name.lower())):
            if pattern.fits(name):
                found.update(asking)
        return tuple(sorted(found))


def name_matcher(patterns: Iterable[str]) -> Callable[[str], bool]:
    """A predicate for names that fit any of the patterns.

    Raises:
        re.error: an expression is not valid.
    """
    fits = [Pattern(text).fits for text in patterns]
    if len(fits) == 1:
        return fits[0]
    return lambda name: any(one(name) for one in fits)


class Expression:
    """One expression, compiled when a text is first put to it: most are never asked."""

    def __init__(self, text: str) -> None:
        self._text = text

    @cached_property
    def search(self) -> Callable[[str], re.Match[str] | None]:
        """Where it is found in a text.

        Raises:
            re.error: it is not valid.
        """
        return union([self._text]).search


def union(expressions: Sequence[str]) -> re.Pattern[str]:
    """One expression for any of several, each with flags of its own."""
    return re.compile("|".join(_flags_inside(expression) for expression in expressions))


def _flags_inside(expression: str) -> str:
    """`(?i)x` as `(?i:x)`, so that it can be one alternative of many."""
    found = re.match(r"\(\?([aimsx]+)\)", expression)
    return f"(?{found.group(1)}:{expression[found.end() :]})" if found else f"(?:{expression})"
