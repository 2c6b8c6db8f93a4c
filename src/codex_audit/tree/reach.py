"""Which code a tree's tests reach, as far as reading tells: nothing is run."""

from __future__ import annotations

import re
from collections import deque
from typing import TYPE_CHECKING

import msgspec

from codex_audit.tree.roles import is_test_module

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from codex_audit.tree.facts import Found
    from codex_audit.tree.outline import Unit
    from codex_audit.tree.symbols import Place, Symbols

# A test reaches what it calls, and what that calls whatever its conditions, so many calls far: on a
# longer way, nobody would call it a test of what is at its end.
MOST_CALLS = 4
# Helpers of tests may call helpers.
_MOST_HELPERS = 5
_TEST = re.compile(r"(test|Test|setUp|setup_|tearDown|teardown_)")


class Reached(msgspec.Struct, frozen=True):
    """A line of a test from which a piece of code is reached; `through`: the calls between."""

    path: str
    line: int
    through: tuple[str, ...] = ()


class Reach:
    """What the tests of a tree reach."""

    def __init__(self, files: Sequence[Found], symbols: Symbols) -> None:
        self._files = files
        self._symbols = symbols
        self._roles = {file.path: file.role for file in files}
        self._units: dict[Place, Reached] = {}
        self._named: dict[str, Reached] = {}
        self._walk()

    def test_of(self, path: str, line: int) -> Reached | None:
        """The test that reaches that line: the unit around it, or the file where it is no code."""
        if self._roles.get(path) == "test":
            return None  # a test is no test of itself
        units = self._symbols.units(path)
        if not units:
            return self._named.get(path)
        around = [
            unit for each in units.values() for unit in each if unit.first <= line <= unit.last
        ]
        if not around:
            return None
        innermost = max(around, key=lambda unit: (unit.first, -unit.last))
        return self._units.get((path, innermost.name)) if innermost.surely(line) else None

    def _walk(self) -> None:
        """From every test, breadth first, so that the shortest way is the one that is shown."""
        queue: deque[tuple[Place, Reached, int, int]] = deque()
        for path, name, unit in self._roots():
            most = 1 if "patch" in unit.tags else MOST_CALLS
            for place, line, patched in self._from_test(path, name, unit):
                reached = Reached(path, line)
                queue.append((place, reached, 1, 1 if patched else most))
            for script, line in self._scripts(path, name, unit):
                queue.append(((script, ""), Reached(path, line), 0, most))
            for file, line in self._files_of(unit):
                self._named.setdefault(file, Reached(path, line))
        # Of equal length, the first by path and line.
        queue = deque(sorted(queue, key=lambda item: (item[2], item[1].path, item[1].line)))
        left: dict[Place, int] = {}
        while queue:
            place, reached, calls, most = queue.popleft()
            if left.get(place, -1) >= most - calls:
                continue
            left[place] = most - calls
            self._units.setdefault(place, reached)
            if calls >= most:
                continue
            path, name = place
            shown = name or path
            deeper = msgspec.structs.replace(reached, through=(*reached.through, shown))
            for unit in self._symbols.units(path)[name]:
                for target, line in self._calls(path, unit):
                    if self._roles[target[0]] != "test" and unit.surely(line):
                        queue.append((target, deeper, calls + 1, most))

    def _roots(self) -> Iterator[tuple[str, str, Unit]]:
        """The units that a test runner runs, less those that it is told to skip."""
        for path, file in sorted(self._symbols.files.items()):
            if file.role != "test":
                continue
            units = self._symbols.units(path)
            for unit in self._symbols.outline(path).units:
                owner, _, last = unit.name.rpartition(".")
                if "skip" in unit.tags or any("skip" in one.tags for one in units.get(owner, ())):
                    continue
                if (
                    "fixture" in unit.tags
                    or (unit.name and _TEST.match(last))
                    or (not unit.name and is_test_module(path))
                ):
                    yield path, unit.name, unit

    def _from_test(self, path: str, name: str, unit: Unit) -> Iterator[tuple[Place, int, bool]]:
        """What a test calls of the code that is no test, itself or through helpers of tests."""
        seen = {(path, name)}
        level = [(path, unit, 0)]
        for _ in range(_MOST_HELPERS):
            following = []
            for at, each, line in level:
                for target, own_line in self._calls(at, each):
                    shown = line or own_line
                    if self._roles[target[0]] != "test":
                        yield target, shown, "patch" in each.tags
                    elif target not in seen:
                        seen.add(target)
                        following += [
                            (target[0], one, shown)
                            for one in self._symbols.units(target[0])[target[1]]
                        ]
            level = following

    def _calls(self, path: str, unit: Unit) -> Iterator[tuple[Place, int]]:
        for use, line in unit.uses.items():
            if ":" in use:
                continue
            handed = use[0] == "&"
            for target in self._symbols.find(path, use[handed:], unit.name):
                tags = self._symbols.units(target[0])[target[1]][0].tags
                # A class that is only named is not made.
                if not handed or ("class" not in tags and not target[1].endswith("__init__")):
                    yield target, line

    def _scripts(self, path: str, name: str, unit: Unit) -> Iterator[tuple[str, int]]:
        """The scripts that a test runs in a process of their own."""
        if not self._starts(path, unit):
            return
        others = self._symbols.units(path).get("", []) if name else []
        for each in (unit, *others):
            for use, line in each.uses.items():
                if use.startswith("run:"):
                    script = self._script(use[4:])
                    if script is not None:
                        yield script, line

    def _starts(self, path: str, unit: Unit) -> bool:
        """Whether a test starts a program, itself or through helpers of tests."""
        seen: set[Place] = {(path, unit.name)}
        stack = [(path, unit)]
        while stack:
            at, each = stack.pop()
            if "starts" in each.tags:
                return True
            for target, _ in self._calls(at, each):
                if self._roles[target[0]] == "test" and target not in seen:
                    seen.add(target)
                    stack += [(target[0], one) for one in self._symbols.units(target[0])[target[1]]]
        return False

    def _script(self, named: str) -> str | None:
        """The file of a script or, after `-m`, of a module."""
        if named.endswith(".py"):
            return self._only(named, self._symbols.files)
        return self._symbols.module(f"{named}.__main__") or self._symbols.module(named)

    def _files_of(self, unit: Unit) -> Iterator[tuple[str, int]]:
        """The files of the tree that a test names: by their path, or as what it opens."""
        for use, line in unit.uses.items():
            kind, _, named = use.partition(":")
            if kind == "file":
                found = named.removeprefix("./")
                while found.startswith("../"):
                    found = found[3:]
                if found in self._roles and self._roles[found] != "test":
                    yield found, line
            elif kind == "config":
                found_config = self._only(re.sub(r"\.ya?ml$", "", named) + ".yaml", self._roles)
                if found_config is not None:
                    yield found_config, line

    def _only(self, named: str, paths: Iterable[str]) -> str | None:
        """The one path that ends so; the root's own comes first."""
        named = re.sub(r"^(\.{1,2}/)+", "", named)
        if named in self._roles:
            return named
        fitting = [path for path in paths if path.endswith(f"/{named}")]
        return fitting[0] if len(fitting) == 1 else None
