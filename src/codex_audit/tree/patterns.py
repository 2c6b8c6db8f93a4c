"""Patterns of names, matched fast: most are a whole name, a head, a tail or a part of one."""

from __future__ import annotations

import re
from fnmatch import translate
from functools import cached_property
from typing import TYPE_CHECKING, Generic, TypeVar

from codex_audit.tree.literals import needed_texts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

T = TypeVar("T")
# Characters of the pieces that long texts are found by.
_PIECE = 3


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


class PieceIndex(Generic[T]):
    """Who needs one of some texts, found among the pieces of a longer text."""

    def __init__(self) -> None:
        self._pieces: dict[str, list[tuple[str, T]]] = {}
        self._sizes: set[int] = set()

    def add(self, texts: Iterable[str], owner: T) -> None:
        """`owner` needs one of `texts`, none of which is empty."""
        for text in texts:
            size = min(len(text), _PIECE)
            self._sizes.add(size)
            pieces = [text[at : at + size] for at in range(len(text) - size + 1)]
            shared = self._pieces
            # that which fewest others share
            piece = next((piece for piece in pieces if piece not in shared), "") or min(
                pieces, key=lambda piece: len(shared[piece])
            )
            shared.setdefault(piece, []).append((text, owner))

    def find(self, text: str) -> list[T]:
        """The owners of whom `text` has what they need, each once."""
        pieces = self._pieces
        held = {
            text[at : at + size] for size in self._sizes for at in range(len(text) - size + 1)
        } & pieces.keys()
        if not held:
            return []
        return list(
            dict.fromkeys(
                owner for piece in held for needed, owner in pieces[piece] if needed in text
            )
        )


class NameIndex:
    """Which of many patterns a name fits, by the pieces of text that the patterns need."""

    def __init__(self, patterns: Iterable[tuple[Pattern, int]]) -> None:
        """`patterns`: each with the number of who asks for it."""
        owners: dict[str, tuple[Pattern, list[int]]] = {}
        for pattern, owner in patterns:
            owners.setdefault(pattern.text, (pattern, []))[1].append(owner)
        self._exact: dict[str, list[int]] = {}
        self._any: list[tuple[Pattern, list[int]]] = []
        self._pieces = PieceIndex[tuple[Pattern, tuple[int, ...]]]()
        for text, (pattern, asking) in owners.items():
            if pattern.exact:
                self._exact[text] = asking
            elif pattern.needs:
                self._pieces.add(pattern.needs, (pattern, tuple(asking)))
            else:
                self._any.append((pattern, asking))

    def owners(self, name: str) -> tuple[int, ...]:
        """Who asks for `name`, in ascending order, each once."""
        found = set(self._exact.get(name, ()))
        for pattern, asking in (*self._any, *self._pieces.find(name.lower())):
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
