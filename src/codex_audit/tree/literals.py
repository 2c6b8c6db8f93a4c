"""The texts without which an expression cannot match: what is cheap to look for goes first."""

from __future__ import annotations

from re import _constants as constants  # type: ignore[attr-defined]
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any

_REPEATS = frozenset({constants.MAX_REPEAT, constants.MIN_REPEAT, constants.POSSESSIVE_REPEAT})
# More alternatives than these cost more to look for than the expression itself.
_MOST = 24


def needed_texts(expression: str) -> frozenset[str]:
    """Texts, in lower case, one of which is in every text that the expression matches.

    Empty where none is needed, or none is known: then only the expression itself can tell.

    Raises:
        re.error: the expression is not valid.
    """
    return _best(_sequence(parser.parse(expression)))


def _sequence(items: Any) -> list[frozenset[str]]:
    """Sets of which each has a member in every match of the sequence."""
    found: list[frozenset[str]] = []
    run = ""
    for code, argument in items:
        if code is constants.LITERAL:
            run += chr(argument).lower()
        elif code is not constants.AT:  # an anchor is no character: the run goes on
            found += _part(code, argument, run)
            if run:
                found.append(frozenset({run}))
            run = ""
    return [*found, frozenset({run})] if run else found


def _part(code: Any, argument: Any, run: str) -> list[frozenset[str]]:
    """The sets of one part of a sequence; `run` are the characters just before it."""
    if code is constants.BRANCH:
        found = []
        # `(save|store)` is parsed as `s` and the branch `ave|tore`
        starts = [_start(branch) for branch in argument[1]]
        if run and all(starts):
            found.append(frozenset(run + start for start in starts))
        parts = [_best(_sequence(branch)) for branch in argument[1]]
        if all(parts):
            found.append(frozenset[str]().union(*parts))
        return found
    if code is constants.SUBPATTERN:
        inner = list(argument[-1])
        if [one for one, _ in inner] == [constants.BRANCH]:
            return _part(constants.BRANCH, inner[0][1], run)
        return _sequence(inner)
    if code in _REPEATS:
        return _sequence(argument[2]) if argument[0] > 0 else []
    return _sequence(argument) if code is constants.ATOMIC_GROUP else []


def _start(items: Any) -> str:
    """The characters with which a branch begins."""
    start = ""
    for code, argument in items:
        if code is not constants.LITERAL:
            break
        start += chr(argument).lower()
    return start


def _best(sets: list[frozenset[str]]) -> frozenset[str]:
    """The set that fewest texts have a member of: the longest members, then the fewest."""
    usable = [one for one in sets if len(one) <= _MOST and min(map(len, one)) > 1]
    return max(usable, key=lambda one: (min(map(len, one)), -len(one)), default=frozenset())
