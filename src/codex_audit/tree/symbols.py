"""Where the names of a tree's Python files lead: modules, re-exports, methods of base classes."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from codex_audit.tree.names import module_name
from codex_audit.tree.outline import Outline, unpacked

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from codex_audit.tree.facts import Found
    from codex_audit.tree.outline import Unit

    # A unit of the tree: path of its file, name in it.
    Place = tuple[str, str]

# Re-exports and bases are followed so often: what goes round in circles ends.
_DEEP = 8
_OWN = frozenset({"self", "cls", "super"})
_CALLED = ("__call__", "forward", "call")


class Symbols:
    """The units of all Python files, found by the names that other files give them."""

    def __init__(self, files: Iterable[Found]) -> None:
        self.files = {file.path: file for file in files if file.outline and file.role != "fixture"}
        self._outlines: dict[str, Outline] = {}
        self._units: dict[str, dict[str, list[Unit]]] = {}
        self._known: dict[Place, Place | None] = {}
        self._methods: dict[tuple[str, str, str], Place | None] = {}
        self._starred: dict[str, dict[str, str]] = {}

    @cached_property
    def _modules(self) -> dict[str, str | None]:
        """Module -> its path; none where several files could be meant."""
        found: dict[str, str | None] = {}
        for path in self.files:
            if path.endswith(".py"):
                for name in {module_name(path), path[:-3].replace("/", ".")}:
                    found[name.removesuffix(".__init__")] = path
        inner: dict[str, set[str]] = {}
        for path in self.files:
            if path.endswith(".py"):
                inner.setdefault(self._importable(path), set()).add(path)
        for name, paths in inner.items():
            found.setdefault(name, next(iter(paths)) if len(paths) == 1 else None)
        return found

    def _importable(self, path: str) -> str:
        """The module as its outermost package names it, wherever that lies."""
        folder = path.rpartition("/")[0]
        while folder and f"{folder}/__init__.py" in self.files:
            folder = folder.rpartition("/")[0]
        inside = path[len(folder) + 1 :] if folder else path
        return inside.removesuffix(".py").replace("/", ".").removesuffix(".__init__")

    def outline(self, path: str) -> Outline:
        """The outline of a file; an empty one where it is no Python."""
        if path not in self._outlines:
            file = self.files.get(path)
            self._outlines[path] = unpacked(file.outline) if file else Outline()
        return self._outlines[path]

    def units(self, path: str) -> dict[str, list[Unit]]:
        """The units of a file by their names, which alternatives share."""
        if path not in self._units:
            units: dict[str, list[Unit]] = {}
            for unit in self.outline(path).units:
                units.setdefault(unit.name, []).append(unit)
            self._units[path] = units
        return self._units[path]

    def module(self, name: str) -> str | None:
        """The file of a module, by its dotted name."""
        return self._modules.get(name)

    def find(self, path: str, name: str, inside: str = "") -> Iterator[Place]:
        """The units that a call of `name` enters, made in the unit `inside` of the file `path`.

        A class is entered together with its `__init__`.
        """
        place = self._find(path, name, inside)
        if place is None:
            return
        yield place
        if self._is_class(place):
            for method in ("__init__", "__post_init__"):
                made = self._method(*place, method, _DEEP)
                if made is not None:
                    yield made

    def _find(self, path: str, name: str, inside: str) -> Place | None:
        head, _, rest = name.partition(".")
        owner = inside.rpartition(".")[0]
        if head in _OWN:
            if not owner:
                return None
            own = self._inherited if head == "super" else self._method
            return own(path, owner, rest, _DEEP)
        return self._named(path, name, _DEEP)

    def _named(self, path: str, name: str, depth: int) -> Place | None:
        """What a name means in a file: its own unit, or one of another file."""
        if name.partition(".")[0] in self.units(path):
            return self._attribute(path, name, depth)
        return self._dotted(name, depth)

    def _dotted(self, name: str, depth: int) -> Place | None:
        parts = name.split(".")
        for cut in range(len(parts) - 1, 0, -1):
            path = self.module(".".join(parts[:cut]))
            if path is not None:
                return self._in_module(path, ".".join(parts[cut:]), depth)
        return None

    def _in_module(self, path: str, name: str, depth: int) -> Place | None:
        if (path, name) not in self._known:
            self._known[path, name] = None  # modules that import each other's names end here
            self._known[path, name] = self._attribute(path, name, depth)
        return self._known[path, name]

    def _attribute(self, path: str, name: str, depth: int) -> Place | None:
        """What `name`, which may be that of a method, is in the file `path`."""
        head, _, rest = name.partition(".")
        if depth == 0:
            return None
        if head in self.units(path):
            if not rest:
                return path, head
            return self._method(path, head, rest, depth) if self._is_class((path, head)) else None
        outline = self.outline(path)
        if head in outline.imports:
            target = outline.imports[head]
            return self._dotted(f"{target}.{rest}" if rest else target, depth - 1)
        source = self._names(path).get(head, path) if outline.stars else path
        return self._in_module(source, name, depth - 1) if source != path else None

    def _names(self, path: str) -> dict[str, str]:
        """Every name that a file has, and the file which has it without a `*`."""
        if path not in self._starred:
            self._starred[path] = {}  # files that import each other's names end here
            outline = self.outline(path)
            names: dict[str, str] = {}
            for star in reversed(outline.stars):
                source = self.module(star)
                if source is not None:
                    names |= self._names(source)
            own = [*outline.imports, *self.units(path)]
            self._starred[path] = names | dict.fromkeys(own, path)
        return self._starred[path]

    def _is_class(self, place: Place) -> bool:
        return "class" in self.units(place[0])[place[1]][0].tags

    def _method(self, path: str, owner: str, name: str, depth: int) -> Place | None:
        key = (path, owner, name)
        if key not in self._methods:
            self._methods[key] = None  # classes that are each other's bases end here
            self._methods[key] = self._own_method(path, owner, name, depth)
        return self._methods[key]

    def _own_method(self, path: str, owner: str, name: str, depth: int) -> Place | None:
        for one in _CALLED if name == "__call__" else (name,):
            if f"{owner}.{one}" in self.units(path):
                return path, f"{owner}.{one}"
        return self._inherited(path, owner, name, depth)

    def _inherited(self, path: str, owner: str, name: str, depth: int) -> Place | None:
        if depth == 0:
            return None
        for unit in self.units(path).get(owner, ()):
            for base in unit.bases:
                place = self._named(path, base, depth - 1)
                if place is not None and self._is_class(place):
                    found = self._method(*place, name, depth - 1)
                    if found is not None:
                        return found
        return None
