"""Asking the signals of one file: its facts in, the lines where each signal holds out."""

from __future__ import annotations

import hashlib
import re
from functools import cached_property
from typing import TYPE_CHECKING

from codex_audit.capabilities.catalog import globs
from codex_audit.capabilities.model import COMBINATORS
from codex_audit.tree.facts import LONG_NAMES, NAME_LIMIT, Fact, Found
from codex_audit.tree.literals import needed_texts
from codex_audit.tree.outline import packed
from codex_audit.tree.patterns import Expression, NameIndex, Pattern, TextIndex, name_matcher
from codex_audit.tree.requirement_facts import lower_bound
from codex_audit.tree.roles import RANK

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from codex_audit.capabilities.model import Signal
    from codex_audit.tree.facts import FileFacts

    Test = Callable[[str, Fact], bool]

# Names come again and again; those of data files do not, and are forgotten together.
_KNOWN_NAMES = 100_000
# Fewer probes than these are tried one by one.
_WORTH_INDEX = 3
_ALL = frozenset(RANK)
_RUNNING = frozenset({"core", "script"})
# Where a signal names no roles: code counts where it runs, prose wherever a reader finds it.
_DEFAULT_ROLES = {
    "config": _ALL - {"test"}, "shell": _ALL - {"test"}, "docker": _ALL - {"test"},
    "file": _ALL - {"test"}, "heading": _ALL - {"test"}, "code": _ALL - {"test"},
    "prose": _ALL - {"test"}, "link": _ALL - {"test"}, "requirement": _ALL,
}  # fmt: skip


class Probe:
    """A signal that asks for facts, under its number."""

    def __init__(self, number: int, signal: Signal) -> None:
        self.number = number
        self.signal = signal
        self.roles = roles_of(signal)

    @cached_property
    def tests(self) -> tuple[Test, ...]:
        """What a fact must satisfy besides its name; made when a fact is first put to it."""
        return tuple(_tests(self.signal))

    @cached_property
    def needs(self) -> frozenset[str]:
        """Texts, in lower case, of which a fact's value must have one; empty where any will do."""
        try:
            return needed_texts(self.signal.value or "")
        except re.error:
            return frozenset()  # asking it says what is wrong


class Asking:
    """The probes that ask for the facts of one name: dozens, of which few fit a value."""

    def __init__(self, probes: Sequence[Probe]) -> None:
        self._probes = tuple(probes)
        self._always = tuple(probe for probe in probes if not probe.needs)
        self._needing = TextIndex((probe.needs, probe) for probe in probes)

    def __bool__(self) -> bool:
        return bool(self._probes)

    def fitting(self, lower: str) -> Iterable[Probe]:
        """Those that a fact may satisfy whose value, in lower case, is `lower`."""
        if len(self._probes) - len(self._always) < _WORTH_INDEX:
            return self._probes
        return (*self._always, *self._needing.find(lower))


class Probes:
    """All signals that ask for facts, each with its number."""

    def __init__(self, signals: Iterable[Signal]) -> None:
        """`signals` may hold combinations, which are left out, and repetitions."""
        self._numbers: dict[bytes, int] = {}
        self._probes: list[Probe] = []
        for signal in signals:
            kind = signal.kind
            if kind in COMBINATORS:
                continue
            key = signal.identity
            if key not in self._numbers:
                number = self._numbers[key] = len(self._probes)
                self._probes.append(Probe(number, signal))
        self._by_role: dict[str, RoleProbes] = {}
        self._asking: dict[tuple[tuple[int, ...], str], Asking] = {}

    @cached_property
    def _indexes(self) -> tuple[dict[str, NameIndex], dict[int, str]]:
        """The names asked for, by kind; and the signals whose names are no valid expressions."""
        patterns: dict[str, list[tuple[Pattern, int]]] = {}
        broken = {}
        for probe in self._probes:
            try:
                asked = [(Pattern(glob), probe.number) for glob in globs(probe.signal)]
            except re.error as error:
                broken[probe.number] = f"{type(error).__name__}: {error}"
            else:
                patterns.setdefault(probe.signal.kind, []).extend(asked)
        return {kind: NameIndex(asked) for kind, asked in patterns.items()}, broken

    def number(self, signal: Signal) -> int:
        """The number of a signal.

        Raises:
            KeyError: it is not among those that were given.
        """
        return self._numbers[signal.identity]

    def digest(self) -> bytes:
        """What tells these probes, with their numbers, from any others."""
        return hashlib.sha256(b"\0".join(self._numbers)).digest()

    @property
    def broken(self) -> dict[int, str]:
        """The signals whose names are no valid expressions, and why."""
        return self._indexes[1]

    def of(self, role: str) -> RoleProbes:
        """The signals that ask for facts of files with that role."""
        found = self._by_role.get(role)
        if found is None:
            found = self._by_role[role] = RoleProbes(self, role)
        return found

    def asking(self, kind: str, name: str, role: str) -> Asking:
        """The signals that ask for facts of that kind, name and role."""
        indexes, _ = self._indexes
        index = indexes.get(kind)
        if index is None or (len(name) > NAME_LIMIT and kind not in LONG_NAMES):
            return _NOBODY
        owners = index.owners(name)
        found = self._asking.get((owners, role))
        if found is None:
            probes = [self._probes[number] for number in owners]
            asking = Asking([probe for probe in probes if role in probe.roles])
            found = self._asking[owners, role] = asking
        return found


_NOBODY = Asking(())


class RoleProbes:
    """The signals that ask for facts of files with one role: a reader's `Interest`."""

    def __init__(self, probes: Probes, role: str) -> None:
        self._probes = probes
        self._role = role
        self._asking: dict[str, dict[str, Asking]] = {}

    def wants(self, kind: str, name: str) -> bool:
        """Whether a fact of this kind and name may be asked for."""
        return bool(self.asking(kind, name))

    def asking(self, kind: str, name: str) -> Asking:
        """The signals that ask for facts of this kind and name."""
        names = self._asking.get(kind)
        if names is None:
            names = self._asking[kind] = {}
        found = names.get(name)
        if found is None:
            if len(names) > _KNOWN_NAMES:
                names.clear()
            found = names[name] = self._probes.asking(kind, name, self._role)
        return found

    def find(self, file: FileFacts) -> Found:
        """Where the signals hold in a file of this role."""
        hits: dict[int, dict[tuple[int, str], None]] = {}
        broken = dict(self._probes.broken)
        path, asking_for = file.path, self.asking
        for fact in file.facts:
            lower = fact.value.lower()
            asking = asking_for(fact.kind, fact.name).fitting(lower)
            if fact.alt:
                asking = (*asking, *asking_for(fact.kind, fact.alt).fitting(lower))
            for probe in asking:
                try:
                    for test in probe.tests:
                        if not test(path, fact):
                            break
                    else:
                        hits.setdefault(probe.number, {})[fact.line, fact.scope] = None
                except Exception as error:  # noqa: BLE001 - a broken rule must not hide what others find; its criterion says so
                    broken[probe.number] = f"{type(error).__name__}: {error}"
        return Found(
            path, file.role, file.lines,
            {number: tuple(places) for number, places in hits.items()},
            tuple(fact for fact in file.facts if fact.kind == "requirement"),
            file.code_lines, file.stubs, file.markers, file.problem, broken,
            packed(file.outline),
        )  # fmt: skip


def roles_of(signal: Signal) -> frozenset[str]:
    """The roles of the files that a signal asks about."""
    if "*" in signal.roles:
        return _ALL
    return frozenset(signal.roles) or _DEFAULT_ROLES.get(signal.kind, _RUNNING)


def _tests(signal: Signal) -> Iterator[Test]:
    """What a fact must satisfy besides its name, cheapest first.

    A test is given the file's path and the fact.
    """
    if signal.path:
        path_fits = _fits(signal.path)
        yield lambda path, _fact: path_fits(path)
    if signal.not_path:
        path_denied = _fits(signal.not_path)
        yield lambda path, _fact: not path_denied(path)
    if signal.tag:
        tag_fits = _fits(signal.tag)
        yield lambda _path, fact: any(map(tag_fits, fact.tags))
    if signal.not_tag:
        tag_denied = _fits(signal.not_tag)
        yield lambda _path, fact: not any(map(tag_denied, fact.tags))
    if signal.no_kw:
        absent = frozenset(signal.no_kw)
        yield lambda _path, fact: not any(name in absent for name, _ in fact.keywords)
    for name, expression in signal.kw.items():
        yield _keyword(name, Expression(expression))
    if signal.value is not None:
        wanted = Expression(signal.value)
        yield lambda _path, fact: wanted.search(fact.value) is not None
    if signal.not_value is not None:
        unwanted = Expression(signal.not_value)
        yield lambda _path, fact: unwanted.search(fact.value) is None
    if signal.scope is not None:
        inside = Expression(signal.scope)
        yield lambda _path, fact: inside.search(fact.scope) is not None
    if signal.min is not None:
        lowest = tuple(int(part) for part in signal.min.split("."))
        yield lambda _path, fact: (lower_bound(fact.value) or ()) >= lowest


def _keyword(name: str, expression: Expression) -> Test:
    def test(_path: str, fact: Fact) -> bool:
        return any(word == name and expression.search(text) for word, text in fact.keywords)

    return test


def _fits(patterns: str | tuple[str, ...]) -> Callable[[str], bool]:
    return name_matcher((patterns,) if isinstance(patterns, str) else patterns)
