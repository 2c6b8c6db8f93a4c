"""The texts without which an expression cannot match: what is cheap to look for goes first.

The standard library's parser of expressions could tell them as well, but takes longer over the
catalog's thousand expressions than a small tree takes to be audited.
"""

from __future__ import annotations

import re
from functools import cache
from typing import NamedTuple

# More alternatives than these cost more to look for than the expression itself.
_MOST = 24
_TOKEN = re.compile(
    r"""
    (?P<flags>\(\?[aiLmsu]+\))
    | (?P<look>\(\?<?[=!])
    | (?P<open>\((?:\?(?::|>|P<\w+>|[aiLmsu]*(?:-[ims]+)?:)|(?!\?)))
    | (?P<close>\))
    | (?P<or>\|)
    | (?P<repeat>(?:[*+?]|\{(?:\d+(?:,\d*)?|,\d*)\})[?+]?)
    | (?P<anchor>[\^$]|\\[bBAZ])
    | (?P<any>\.|\\[dDsSwWntrfv1-9]|\(\?P=\w+\)|\[\^?\]?(?:[^\]\\]|\\.)*\])
    | (?P<hex>\\x[0-9a-fA-F]{2})
    | (?P<escaped>\\[^\w\s])
    # a character that is repeated stands alone
    | (?P<text>(?:[^\\()\[|*+?.^${](?![*+?{]))+|[^\\()\[|*+?.^$])
    """,
    re.VERBOSE | re.DOTALL,
)
_MAY_BE_ABSENT = ("*", "?", "{0", "{,")


class _Part(NamedTuple):
    """A sequence of an expression.

    `sets`: each has a member in every text that it matches; `start`: how each such text begins.
    """

    sets: list[frozenset[str]]
    start: str


@cache
def needed_texts(expression: str) -> frozenset[str]:
    """Texts, in lower case, one of which is in every text that the expression matches.

    Empty where none is needed, or none is known: then only the expression itself can tell.

    Raises:
        re.error: the expression is not valid, as far as looking for its texts shows.
    """
    reader = _Reader(expression)
    parts = reader.alternatives()
    if not reader.done:
        re.compile(expression)  # what it has that is not known here, or the error
        return frozenset()
    best = _best(_joined(parts, ""))
    return frozenset(text for text in best if not any(one in text for one in best - {text}))


class _Reader:
    """Reads an expression from its start to its end, or to what is not known."""

    def __init__(self, expression: str) -> None:
        self._tokens: list[tuple[str, str]] = []
        at = 0
        for found in _TOKEN.finditer(expression):
            if found.start() != at:
                break
            at = found.end()
            self._tokens.append((found.lastgroup or "", found.group()))
        self._at = 0
        self._whole = at == len(expression)

    @property
    def done(self) -> bool:
        """Whether all of it was read and understood."""
        return self._whole and self._at == len(self._tokens)

    def alternatives(self) -> list[_Part]:
        """What stands up to the end of this group."""
        parts = [self._sequence()]
        while self._take("or"):
            parts.append(self._sequence())
        return parts

    def _sequence(self) -> _Part:
        sets: list[frozenset[str]] = []
        run, start, first = "", "", True  # `first`: `run` is what it begins with
        while self._at < len(self._tokens):
            kind, token = self._tokens[self._at]
            if kind in {"or", "close"}:
                break
            self._at += 1
            text, inner = "", None
            if kind in {"text", "hex", "escaped"}:
                text = _character(kind, token)
            elif kind in {"open", "look"}:
                inner = self.alternatives()
                if not self._take("close"):
                    self._whole = False  # never closed
            if kind in {"anchor", "look", "flags"}:
                continue  # none of them is a character: the run goes on
            repeat = self._take("repeat")
            if not repeat.startswith(_MAY_BE_ABSENT):
                run += text
                if inner:
                    sets += _joined(inner, run)
            if repeat or not text:
                start, first = (run, False) if first else (start, first)
                sets += [frozenset({run})] if run else []
                run = ""
        return _Part([*sets, frozenset({run})] if run else sets, run if first else start)

    def _take(self, kind: str) -> str:
        """The next token where it is of that kind; empty where it is not."""
        if self._at == len(self._tokens) or self._tokens[self._at][0] != kind:
            return ""
        self._at += 1
        return self._tokens[self._at - 1][1]


def _character(kind: str, token: str) -> str:
    """What a token stands for, in lower case."""
    if kind == "hex":
        return bytes.fromhex(token[2:]).decode("latin-1").lower()
    return token.removeprefix("\\").lower()


def _joined(parts: list[_Part], run: str) -> list[frozenset[str]]:
    """The sets of alternatives, before which the characters `run` stand."""
    found = [] if len(parts) > 1 else [*parts[0].sets]
    if run and all(part.start for part in parts):
        found.append(frozenset(run + part.start for part in parts))
    best = [_best(part.sets) for part in parts]
    if len(parts) > 1 and all(best):
        found.append(frozenset[str]().union(*best))
    return found


def _best(sets: list[frozenset[str]]) -> frozenset[str]:
    """The set that fewest texts have a member of: the longest members, then the fewest."""
    usable = [one for one in sets if len(one) <= _MOST and min(map(len, one)) > 1]
    return max(usable, key=lambda one: (min(map(len, one)), -len(one)), default=frozenset())
