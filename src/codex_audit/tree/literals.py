"""The texts without which an expression cannot match: what is cheap to look for goes first.

The standard library's parser of expressions could tell them as well, but takes longer over the
catalog's thousand expressions than a small tree takes to be audited.
"""

from __future__ import annotations

import re
from typing import NamedTuple

# More alternatives than these cost more to look for than the expression itself.
_MOST = 24
# What is most frequent comes first; each kind begins with characters of its own, or says what
# must not follow.
_TOKEN = re.compile(
    r"""
    # a character that is repeated stands alone
    (?P<text>[^\\()\[|*+?.^${]+(?![*+?{])|[^\\()\[|*+?.^${]|\{(?![\d,]))
    | (?P<any>\.|\\[dDsSwWntrfv1-9]|\[\^?\]?(?:[^\]\\]|\\.)*\]|\(\?P=\w+\))
    | (?P<repeat>(?:[*+?]|\{(?:\d+(?:,\d*)?|,\d*)\})[?+]?)
    | (?P<or>\|)
    | (?P<close>\))
    | (?P<open>\((?:(?!\?)|\?(?::|>|P<\w+>|[aiLmsu]*(?:-[ims]+)?:)))
    | (?P<anchor>[\^$]|\\[bBAZ])
    | (?P<escaped>\\[^\w\s])
    | (?P<flags>\(\?[aiLmsu]+\))
    | (?P<look>\(\?<?[=!])
    | (?P<hex>\\x[0-9a-fA-F]{2})
    """,
    re.VERBOSE | re.DOTALL,
)
_ENDS = frozenset({"or", "close"})
_GROUPS = frozenset({"open", "look"})
_CHARACTERS = frozenset({"escaped", "hex"})
_NO_CHARACTER = frozenset({"anchor", "look", "flags"})
_MAY_BE_ABSENT = ("*", "?", "{0", "{,")


class _Part(NamedTuple):
    """A sequence of an expression.

    `sets`: each has a member in every text that it matches; `start`: how each such text begins.
    """

    sets: list[frozenset[str]]
    start: str


# What `needed_texts` found, which is the same whatever tree is audited.
KNOWN: dict[str, frozenset[str]] = {}


def needed_texts(expression: str) -> frozenset[str]:
    """Texts, in lower case, one of which is in every text that the expression matches.

    Empty where none is needed, or none is known: then only the expression itself can tell.

    Raises:
        re.error: the expression is not valid, as far as looking for its texts shows.
    """
    known = KNOWN.get(expression)
    if known is None:
        known = KNOWN[expression] = _needed(expression)
    return known


def _needed(expression: str) -> frozenset[str]:
    reader = _Reader(expression)
    parts = reader.alternatives()
    if not reader.done:
        re.compile(expression)  # what it has that is not known here, or the error
        return frozenset()
    best = _best(_joined(parts, ""))
    if len(best) == 1:
        return best
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
        tokens = self._tokens
        sets: list[frozenset[str]] = []
        run, start, first = "", "", True  # `first`: `run` is what it begins with
        while self._at < len(tokens):
            kind, token = tokens[self._at]
            if kind in _ENDS:
                break
            self._at += 1
            text, inner = "", None
            if kind == "text":
                text = token.lower()
            elif kind in _GROUPS:
                inner = self.alternatives()
                if not self._take("close"):
                    self._whole = False  # never closed
            elif kind in _CHARACTERS:
                text = _character(kind, token)
            if kind in _NO_CHARACTER:
                continue  # none of them is a character: the run goes on
            repeat = self._take("repeat")
            if not repeat.startswith(_MAY_BE_ABSENT):
                run += text
                if inner:
                    sets += _joined(inner, run)
            if repeat or not text:
                start, first = (run, False) if first else (start, first)
                sets += [frozenset((run,))] if run else []
                run = ""
        return _Part([*sets, frozenset((run,))] if run else sets, run if first else start)

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
    found = []
    if run and all(part.start for part in parts):
        found.append(frozenset([run + part.start for part in parts]))
    if len(parts) == 1:
        return [*parts[0].sets, *found]
    best = [_best(part.sets) for part in parts]
    if all(best):
        found.append(frozenset().union(*best))
    return found


def _best(sets: list[frozenset[str]]) -> frozenset[str]:
    """The set that fewest texts have a member of: the longest members, then the fewest."""
    usable = [one for one in sets if len(one) <= _MOST and min(map(len, one)) > 1]
    return max(usable, key=lambda one: (min(map(len, one)), -len(one)), default=frozenset())
