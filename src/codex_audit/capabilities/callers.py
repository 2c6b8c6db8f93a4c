"""What runs when, as far as reading tells: who calls a function, what is in no branch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from codex_audit.capabilities.match import Hit

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from codex_audit.tree.symbols import Place, Symbols

_RUNNING = frozenset({"core", "script"})
_INSTANCE = frozenset({"__call__", "forward", "call"})


class _Call(msgspec.Struct, frozen=True, gc=False):
    """A name that is called in a unit, and the line that is kept of its calls."""

    path: str
    role: str
    unit: str
    name: str
    line: int


class Callers:
    """The calls of a tree's own functions and methods in code that runs."""

    def __init__(self, symbols: Symbols) -> None:
        self._symbols = symbols
        self._made: dict[str, dict[str, list[_Call]]] = {}
        self._known: dict[str, list[Place]] = {}

    def of(self, hits: Iterable[Hit], deep: int) -> list[Hit]:
        """Where the functions around `hits` are called, through `deep` calls at most.

        A function inside another one is called by that, in the line of the hit. A method of
        nobody knows what is called where every method of that name that calls anything is one of
        the functions.
        """
        found: dict[Hit, None] = {}
        level: dict[Place, None] = {}
        for hit in hits:
            unit = self._unit(hit)
            if unit:
                level[hit.path, unit] = None
            if unit != hit.scope:
                found[Hit(hit.path, hit.line, hit.role, unit)] = None
        seen = set(level)
        for _ in range(deep):
            following: dict[Place, None] = {}
            for call in self._calls_of(level):
                found[Hit(call.path, call.line, call.role, call.unit)] = None
                place = (call.path, call.unit)
                if call.unit and place not in seen:
                    seen.add(place)
                    following[place] = None
            level = following
        return list(found)

    def surely(self, hit: Hit) -> bool:
        """Whether that line runs whenever its function does, or its module: it is in no branch."""
        units = self._symbols.units(hit.path).get(self._unit(hit), [])
        around = [unit for unit in units if unit.first <= hit.line <= unit.last]
        return bool(around) and around[0].surely(hit.line)

    def _unit(self, hit: Hit) -> str:
        """The function or method that a hit lies in; `""` where it lies in none."""
        units, name = self._symbols.units(hit.path), hit.scope
        while name and name not in units:
            name = name.rpartition(".")[0]
        return name

    def _calls_of(self, places: dict[Place, None]) -> Iterator[_Call]:
        names: dict[str, None] = {}
        for _, unit in places:
            owner, _, last = unit.rpartition(".")
            names[last] = None
            if last == "__init__":
                names[owner.rpartition(".")[2]] = None
            elif last in _INSTANCE:
                names["__call__"] = None
        for path in self._naming(names):
            calls = self._calls(path)
            for name in names:
                for call in calls.get(name, ()):
                    if self._enters(call, name, places):
                        yield call

    def _enters(self, call: _Call, name: str, places: dict[Place, None]) -> bool:
        if call.name[0] == "?":
            methods = self._methods(name)
            return bool(methods) and all(method in places for method in methods)
        return any(place in places for place in self._symbols.find(call.path, call.name, call.unit))

    def _naming(self, names: Iterable[str]) -> Iterator[str]:
        """The files that run and have one of the names in their outline: others stay packed."""
        sought = [name.encode() for name in names]
        for path, file in self._symbols.files.items():
            if file.role in _RUNNING and any(name in file.outline for name in sought):
                yield path

    def _calls(self, path: str) -> dict[str, list[_Call]]:
        """The calls in a file by the last part of their names."""
        if path not in self._made:
            role = self._symbols.files[path].role
            calls: dict[str, list[_Call]] = {}
            for unit in self._symbols.outline(path).units:
                for name, line in unit.uses.items():
                    call = _Call(path, role, unit.name, name, line)
                    calls.setdefault(name.rpartition(".")[2], []).append(call)
            self._made[path] = calls
        return self._made[path]

    def _methods(self, name: str) -> list[Place]:
        """The methods of that name of all classes that run; what calls nothing is a stub."""
        if name not in self._known:
            self._known[name] = [
                (path, unit.name)
                for path in self._naming([name])
                for unit in self._symbols.outline(path).units
                if unit.uses
                and unit.name.rpartition(".")[2] == name
                and self._in_class(path, unit.name)
            ]
        return self._known[name]

    def _in_class(self, path: str, name: str) -> bool:
        owner = self._symbols.units(path).get(name.rpartition(".")[0], [])
        return bool(owner) and "class" in owner[0].tags
