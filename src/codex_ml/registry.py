"""Components by name: registered by a decorator, by the path of an import, or by other packages.

A package adds a component without any import here, by an entry point in its `pyproject.toml`
(https://packaging.python.org/specifications/entry-points):

    [project.entry-points."codex_ml.optimizers"]
    lion = "their_package.optim:Lion"

Nothing is imported before it is asked for, so a plugin that is broken harms only those who
name it.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from functools import cached_property
from importlib.metadata import EntryPoint, entry_points
from typing import Generic, TypeVar, cast

T = TypeVar("T")


class RegistryError(ValueError):
    """A name that is unknown, taken or ambiguous, or a component that cannot be imported."""


class Registry(Generic[T]):
    """The components of one kind.

    Args:
        kind: what they are, in the singular, for messages.
        group: the entry point group in which other packages declare theirs; None for none.
        builtin: name -> "module:attribute" of components that are imported on first use.
    """

    def __init__(
        self, kind: str, *, group: str | None = None, builtin: Mapping[str, str] | None = None
    ) -> None:
        self._kind = kind
        self._group = group
        self._added: dict[str, T] = {}
        self._builtin = {
            name: EntryPoint(name, path, kind) for name, path in (builtin or {}).items()
        }

    def register(self, name: str) -> Callable[[T], T]:
        """A decorator that adds a class or function as `name`, and leaves it as it is.

        Raises:
            RegistryError: another component has that name.
        """

        def add(component: T) -> T:
            if name in self._added or name in self._builtin:
                # What is installed is not read for this: it would cost every import.
                holder = self._builtin.get(name)
                near = self._near(name, [*self._added, *self._builtin])
                raise RegistryError(
                    f"the {self._kind} {name!r} is already registered, as "
                    f"{holder.value if holder else _path(self._added[name])}; choose another name "
                    f"for {_path(component)}{f'; near it there is {near}' if near else ''}"
                )
            self._added[name] = component
            return component

        return add

    def names(self) -> list[str]:
        """All names, sorted; those of other packages too, none of them imported."""
        return sorted({*self._added, *self._builtin, *self._declared})

    def check(self, name: str, *, key: str = "") -> None:
        """Refuse a name that `get` cannot resolve, without importing anything.

        Args:
            name: of a component.
            key: the setting that has it, with which the message then begins.

        Raises:
            RegistryError: there is no such component, or several have that name.
        """
        origins = self._origins(name)
        if len(origins) == 1:
            return
        setting = f"{key}={name}: " if key else ""
        if origins:
            raise RegistryError(
                f"{setting}the {self._kind} {name!r} is declared by {' and by '.join(origins)}; "
                "uninstall one of them or rename its component"
            )
        known = self.names()
        near = self._near(name, known)
        remedy = f"did you mean {near}?" if near else f"known are {', '.join(known) or 'none'}"
        raise RegistryError(f"{setting}unknown {self._kind} {name!r}; {remedy}")

    def get(self, name: str) -> T:
        """The component `name`, imported now if it was not yet.

        Raises:
            RegistryError: `check` refuses the name, or its import fails.
        """
        self.check(name)
        if name in self._added:
            return self._added[name]
        declared = self._builtin.get(name) or self._declared[name][0]
        try:
            return cast("T", declared.load())
        except Exception as error:  # a module may raise anything when it is imported
            raise RegistryError(
                f"the {self._kind} {name!r} cannot be imported from {self._origins(name)[0]} "
                f"({type(error).__name__}: {error}); mend or remove that package"
            ) from error

    @cached_property
    def _declared(self) -> dict[str, list[EntryPoint]]:
        """What installed packages declare, read when the first name is looked up."""
        found: dict[str, list[EntryPoint]] = {}
        for entry in entry_points(group=self._group) if self._group else ():
            found.setdefault(entry.name, []).append(entry)
        return found

    def _origins(self, name: str) -> list[str]:
        own = [_path(self._added[name])] if name in self._added else []
        own += [self._builtin[name].value] if name in self._builtin else []
        declared = self._declared.get(name, [])
        return own + [f"{one.value} of {one.dist.name if one.dist else '?'}" for one in declared]

    @staticmethod
    def _near(name: str, known: list[str]) -> str:
        near = [repr(one) for one in difflib.get_close_matches(name, known) if one != name]
        return " or ".join(near)


def _path(component: object) -> str:
    module = getattr(component, "__module__", type(component).__module__)
    return f"{module}:{getattr(component, '__qualname__', repr(component))}"
