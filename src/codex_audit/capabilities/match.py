"""Finding signals among facts: each signal gives the places where it holds."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

import msgspec

from codex_audit.capabilities.catalog import globs
from codex_audit.tree.patterns import name_matcher, union
from codex_audit.tree.requirement_facts import lower_bound
from codex_audit.tree.roles import RANK

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from codex_audit.capabilities.model import Signal
    from codex_audit.tree.facts import Fact, FileFacts

_ALL = frozenset(RANK)
_SUPERSEDED = re.compile(r"(?i)(^|[/_.-])(legacy|deprecated|old|archived?)([/_.-])")
_RUNNING = frozenset({"core", "script"})
# Where a signal names no roles: code counts where it runs, prose wherever a reader finds it.
_DEFAULT_ROLES = {
    "config": _ALL - {"test"}, "shell": _ALL - {"test"}, "docker": _ALL - {"test"},
    "file": _ALL - {"test"}, "heading": _ALL - {"test"}, "code": _ALL - {"test"},
    "prose": _ALL - {"test"}, "link": _ALL - {"test"}, "requirement": _ALL,
}  # fmt: skip


class Hit(msgspec.Struct, frozen=True):
    """A place where a signal holds."""

    path: str
    line: int
    role: str
    scope: str = ""


class Facts:
    """The facts of a whole tree, by kind and name."""

    def __init__(self, files: Sequence[FileFacts]) -> None:
        self._index: dict[str, dict[str, list[tuple[FileFacts, Fact]]]] = {}
        self._weights: dict[str, int] = {}
        for file in files:
            package = _package(file.path)
            self._weights[package] = self._weights.get(package, 0) + file.lines
            for fact in file.facts:
                names = self._index.setdefault(fact.kind, {})
                names.setdefault(fact.name, []).append((file, fact))
                if fact.alt:
                    names.setdefault(fact.alt, []).append((file, fact))

    def weight(self, path: str) -> int:
        """How much of the tree's text lies in the package of `path`: its main one has the most."""
        return self._weights.get(_package(path), 0)

    def named(self, kind: str, patterns: tuple[str, ...]) -> Iterator[tuple[FileFacts, Fact]]:
        """Facts of `kind` whose name fits one of the patterns, each once."""
        names = self._index.get(kind, {})
        if all(not any(mark in pattern for mark in "*?[:") for pattern in patterns):
            groups: Iterable[list[tuple[FileFacts, Fact]]] = [
                names.get(name, []) for name in patterns
            ]
        else:
            matches = _matcher(patterns)
            groups = [facts for name, facts in names.items() if matches(name)]
        seen: set[int] = set()
        for facts in groups:
            for file, fact in facts:
                # a fact that has two names is found by both
                if not fact.alt or id(fact) not in seen:
                    seen.add(id(fact))
                    yield file, fact


class Matcher:
    """Finds signals in facts; `criterion_met` answers signals that refer to other criteria."""

    def __init__(self, facts: Facts, criterion_met: Callable[[str], Sequence[Hit] | None]) -> None:
        self._facts = facts
        self._criterion_met = criterion_met
        self._seen: dict[int, tuple[Signal, list[Hit]]] = {}

    def first(self, signals: Iterable[Signal]) -> list[Hit]:
        """The places of all signals, best first.

        Core code before scripts before the rest, what is current before what calls itself old,
        then in the signals' order, the tree's main package first.
        """
        ranked = [
            (
                RANK.get(hit.role, len(RANK)),
                bool(_SUPERSEDED.search(hit.path)),
                order,
                -self._facts.weight(hit.path),
                hit.path,
                hit.line,
                hit,
            )
            for order, signal in enumerate(signals)
            for hit in self.hits(signal)
        ]
        ranked.sort(key=lambda item: item[:-1])
        return list(dict.fromkeys(item[-1] for item in ranked))

    def hits(self, signal: Signal) -> list[Hit]:
        """The places where `signal` holds; none when it does not."""
        cached = self._seen.get(id(signal))
        if cached is None:
            # the signal is kept, so that its id is not given to another one
            cached = self._seen[id(signal)] = (signal, self._find(signal))
        return cached[1]

    def _find(self, signal: Signal) -> list[Hit]:
        kind = signal.kind
        if kind == "criterion":
            return list(self._criterion_met(signal.criterion or "") or ())
        if kind == "any":
            found = [hit for part in signal.any_ or () for hit in self.hits(part)]
        elif kind == "all":
            found = self._all(signal)
        elif kind == "none":
            raise ValueError("`none` holds nowhere by itself: put it inside `all`")
        else:
            found = self._leaf(signal, kind)
        if len({hit.path for hit in found}) < signal.at_least:
            return []
        return found

    def _all(self, signal: Signal) -> list[Hit]:
        parts = signal.all_ or ()
        positive = [part for part in parts if part.none_ is None]
        negative = [inner for part in parts for inner in part.none_ or ()]
        if not positive:
            raise ValueError("`all` needs a signal besides `none`")
        # Another criterion and what the repository requires hold for the tree as a whole.
        local = [
            part for part in positive if part.kind not in {"criterion", "requirement"}
        ] or positive
        if any(not self.hits(part) for part in positive):
            return []
        key = _KEYS[signal.within]
        places = set.intersection(*({key(hit) for hit in self.hits(part)} for part in local))
        for inner in negative:
            found = self.hits(inner)
            if inner.kind in {"criterion", "requirement"} and found:
                return []
            places -= {key(hit) for hit in found}
        if signal.within == "repo":
            return self.hits(positive[0]) if places else []
        return [hit for hit in self.hits(local[0]) if key(hit) in places]

    def _leaf(self, signal: Signal, kind: str) -> list[Hit]:
        roles = (
            _ALL
            if "*" in signal.roles
            else frozenset(signal.roles) or _DEFAULT_ROLES.get(kind, _RUNNING)
        )
        tests = _tests(signal)
        return [
            Hit(file.path, fact.line, file.role, fact.scope)
            for file, fact in self._facts.named(kind, globs(signal))
            if file.role in roles and all(test(file, fact) for test in tests)
        ]


def _package(path: str) -> str:
    parts = path.removeprefix("src/").split("/")
    return parts[0] if len(parts) > 1 else ""


def _everywhere(_hit: Hit) -> object:
    return None


_KEYS: dict[str, Callable[[Hit], object]] = {
    "repo": _everywhere,
    "file": lambda hit: hit.path,
    "class": lambda hit: (hit.path, hit.scope.split(".")[0]),
    "scope": lambda hit: (hit.path, hit.scope),
}


@lru_cache(maxsize=4096)
def _matcher(patterns: tuple[str, ...]) -> Callable[[str], bool]:
    return name_matcher(patterns)


def _tuple(patterns: str | tuple[str, ...]) -> tuple[str, ...]:
    return (patterns,) if isinstance(patterns, str) else patterns


def _fits(patterns: str | tuple[str, ...]) -> Callable[[str], bool]:
    return _matcher(_tuple(patterns))


def _tests(signal: Signal) -> list[Callable[[FileFacts, Fact], bool]]:
    """What a fact must satisfy besides its name, cheapest first."""
    tests: list[Callable[[FileFacts, Fact], bool]] = []
    if signal.path:
        path_fits = _fits(signal.path)
        tests.append(lambda file, _fact: path_fits(file.path))
    if signal.not_path:
        path_denied = _fits(signal.not_path)
        tests.append(lambda file, _fact: not path_denied(file.path))
    if signal.tag:
        tag_fits = _fits(signal.tag)
        tests.append(lambda _file, fact: any(map(tag_fits, fact.tags)))
    if signal.not_tag:
        tag_denied = _fits(signal.not_tag)
        tests.append(lambda _file, fact: not any(map(tag_denied, fact.tags)))
    if signal.no_kw:
        absent = frozenset(signal.no_kw)
        tests.append(lambda _file, fact: not any(name in absent for name, _ in fact.keywords))
    for name, expression in signal.kw.items():
        tests.append(_keyword(name, union([expression])))
    if signal.scope is not None:
        inside = union([signal.scope])
        tests.append(lambda _file, fact: inside.search(fact.scope) is not None)
    if signal.value is not None:
        wanted = union([signal.value])
        tests.append(lambda _file, fact: wanted.search(fact.value) is not None)
    if signal.not_value is not None:
        unwanted = union([signal.not_value])
        tests.append(lambda _file, fact: unwanted.search(fact.value) is None)
    if signal.min is not None:
        lowest = tuple(int(part) for part in signal.min.split("."))
        tests.append(lambda _file, fact: (lower_bound(fact.value) or ()) >= lowest)
    return tests


def _keyword(name: str, expression: re.Pattern[str]) -> Callable[[FileFacts, Fact], bool]:
    def test(_file: FileFacts, fact: Fact) -> bool:
        return any(word == name and expression.search(text) for word, text in fact.keywords)

    return test
