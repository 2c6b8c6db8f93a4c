"""Components by name: registered by a decorator, by the path of an import, or by other packages.

A package adds a component without any import here, by an entry point in its `pyproject.toml`
(https://packaging.python.org/specifications/entry-points):

    [project.entry-points."codex_ml.optimizers"]
    lion = "their_package.optim:Lion"

Nothing is imported before it is asked for, so a plugin that is broken harms only those who
name it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Generic, TypeVar

from codex_ml import checks

T = TypeVar("T")
Found = tuple[str, Callable[[], Any]]
"""Where a component comes from, and what imports it."""


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
        self._own: dict[str, Found] = {
            name: (path, EntryPoint(name, path, kind).load)
            for name, path in (builtin or {}).items()
        }

    def register(self, name: str) -> Callable[[T], T]:
        """A decorator that adds a class or function as `name`, and leaves it as it is.

        Raises:
            RegistryError: another component has that name; what is installed is not looked at,
                which would cost every import.
        """

        def add(component: T) -> T:
            path = _path(component)
            if name in self._own:
                near = checks.near(name, self._own)
                raise RegistryError(
                    f"the {self._kind} {name!r} is already registered, as {self._own[name][0]}; "
                    f"choose another name for {path}{f'; near it there is {near}' if near else ''}"
                )
            self._own[name] = path, lambda: component
            return component

        return add

    def names(self) -> list[str]:
        """All names, sorted; those of other packages too, none of them imported."""
        return sorted({*self._own, *self._declared})

    def check(self, name: str, *, key: str = "") -> Found:
        """What `get` would import; nothing is imported here.

        Raises:
            RegistryError: there is no such component, or several have that name; the message
                begins with `key`, the setting that names it.
        """
        found = [*filter(None, [self._own.get(name)]), *self._declared.get(name, [])]
        if len(found) == 1:
            return found[0]
        setting = f"{key}={name}: " if key else ""
        if found:
            where = " and by ".join(origin for origin, _ in found)
            told = f"the {self._kind} {name!r} is declared by {where}"
            raise RegistryError(f"{setting}{told}; uninstall one or rename it")
        remedy = checks.unknown(name, self.names())
        raise RegistryError(f"{setting}unknown {self._kind} {name!r}; {remedy}")

    def get(self, name: str) -> T:
        """The component `name`, imported now if it was not yet.

        Raises:
            RegistryError: `check` refuses the name, or its import fails.
        """
        origin, load = self.check(name)
        try:
            component: T = load()
        except Exception as error:  # a module may raise anything when it is imported
            raise RegistryError(
                f"the {self._kind} {name!r} cannot be imported from {origin} "
                f"({type(error).__name__}: {error}); mend or remove that package"
            ) from error
        return component

    @cached_property
    def _declared(self) -> dict[str, list[Found]]:
        """What installed packages declare, read when the first name is looked up."""
        found: dict[str, list[Found]] = {}
        for entry in entry_points(group=self._group) if self._group else ():
            origin = f"{entry.value} of {entry.dist.name if entry.dist else '?'}"
            found.setdefault(entry.name, []).append((origin, entry.load))
        return found


def _path(component: object) -> str:
    module = getattr(component, "__module__", type(component).__module__)
    return f"{module}:{getattr(component, '__qualname__', repr(component))}"
