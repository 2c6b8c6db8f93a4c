"""From what a factory returns to a driver: the adapters are asked in turn.

An adapter is a module of this package with

    LIBRARY: the library whose objects it drives, several of a kind as a tuple, or "" for none;
    prepare(session): a context manager around the call of the factory;
    adapt(made, factory, session): a `Driver`, or None where `made` is not its kind.
"""

from __future__ import annotations

import importlib
import inspect
import math
import pkgutil
import re
import sys
from contextlib import ExitStack
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

    from codex_audit.proofs.trainer.session import Driver, Session

PACKAGE = "codex_audit.proofs.trainer.adapters"

# What None asks of a setting, as a number that a plain loop can count or compare with.
_NEVER = {"evaluate_every": 10**9, "save_every": 10**9, "clip_norm": math.inf}


def make_driver(factory: Callable[..., Any], name: str, session: Session) -> tuple[str, Driver]:
    """Call the factory and find who can drive what it made: the adapter's name, and the driver.

    Raises:
        TypeError: nobody can; the message says what a subject is.
    """
    adapters: dict[str, ModuleType] = {}
    made = None
    # The factory may import a library that its own module does not name: then it is called again.
    while (found := _adapters(factory)).keys() != adapters.keys():
        adapters = found
        with ExitStack() as around:
            for adapter in adapters.values():
                around.enter_context(adapter.prepare(session))
            made = call(factory, session, plain="lightning" not in adapters)
            for title, adapter in adapters.items():
                driver = adapter.adapt(made, factory, session)
                if driver is not None:
                    return title, driver
    from codex_audit.proofs.trainer.subject import METHODS  # noqa: PLC0415 - only for the message

    missing = [method for method in METHODS if not callable(getattr(made, method, None))]
    raise TypeError(
        f"{name} returned an object of type {type(made).__name__} without {missing[0]}(); "
        f"a subject has {', '.join(f'{method}()' for method in METHODS)}, or is a trainer of "
        "transformers or lightning"
    )


def call(factory: Callable[..., Any], session: Session, *, plain: bool = False) -> Any:
    """What the factory makes of seed, device, directory, and those settings that it takes.

    A plain loop asks `step % evaluate_every`: None is for those whose signature knows of it.
    (Lightning's own settings know None, and refuse intervals beyond an epoch.)
    """
    taken = knobs_of(factory)
    given = {name: value for name, value in session.knobs.items() if name in taken}
    if plain:
        for name in given.keys() & _NEVER.keys():
            if given[name] is None and not _knows_none(factory, name):
                given[name] = _NEVER[name]
    if "horizon" in taken:
        given["horizon"] = session.run.horizon
    if "ranks" in taken:
        given["ranks"] = session.run.ranks
    directory = session.directory / "work"
    directory.mkdir(parents=True, exist_ok=True)
    return factory(session.run.seed, session.run.device, directory, **given)


def knobs_of(factory: Callable[..., Any]) -> frozenset[str]:
    """The names of a factory's parameters beyond the first three."""
    try:
        parameters = list(inspect.signature(factory).parameters.values())
    except (TypeError, ValueError):  # a callable of C tells none
        return frozenset()
    variadic = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return frozenset(each.name for each in parameters[3:] if each.kind not in variadic)


def _knows_none(factory: Callable[..., Any], name: str) -> bool:
    parameter = inspect.signature(factory).parameters[name]
    told = re.search(r"\b(None|Optional)\b", str(parameter.annotation))
    return parameter.default is None or told is not None


def _adapters(factory: Callable[..., Any]) -> dict[str, ModuleType]:
    """The adapters whose library the factory's module uses, those of a library first."""
    text = _text_of(factory)
    package = importlib.import_module(PACKAGE)
    found = {}
    for info in pkgutil.iter_modules(package.__path__):
        if info.name == "choosing":
            continue
        module = importlib.import_module(f"{PACKAGE}.{info.name}")
        libraries = module.LIBRARY if isinstance(module.LIBRARY, tuple) else (module.LIBRARY,)
        if any(not library or _used(library, text) for library in libraries):
            found[info.name] = module
    return dict(sorted(found.items(), key=lambda item: not item[1].LIBRARY))


def _used(library: str, text: str) -> bool:
    top = library.partition(".")[0]
    if library in sys.modules:
        return True
    if not re.search(rf"^\s*(from|import) +{top}\b", text, re.MULTILINE) or not find_spec(top):
        return False
    importlib.import_module(library)
    return True


def _text_of(factory: Callable[..., Any]) -> str:
    """The source of the factory's module, which may import a library only when it is called."""
    try:
        return inspect.getsource(sys.modules[factory.__module__])
    except (AttributeError, KeyError, OSError, TypeError):  # it is of C, or made at run time
        return ""
