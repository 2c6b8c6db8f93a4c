"""From a path or an object to a subject, through the adapter that knows it."""

from __future__ import annotations

import functools
import importlib
import pkgutil
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from codex_audit.proofs.tokenizer.subject import MalformedError, Subject

PACKAGE = "codex_audit.proofs.tokenizer.adapters"
_FACTORY = re.compile(r"^[A-Za-z_][\w.]*:[A-Za-z_][\w.]*$")


class Adapter(msgspec.Struct, frozen=True, kw_only=True):
    """What one library's tokenizers look like and how they become subjects.

    Attributes:
        kind: its name.
        order: adapters with lower numbers are asked first.
        form: what its files look like, for messages; empty where it reads none.
        reads: whether a file or directory is one of its own.
        load: the subject in that file; it may raise whatever its library raises.
        wraps: whether an object is one of its own, without importing its library.
        wrap: the subject around that object.
    """

    kind: str
    order: int
    form: str = ""
    reads: Callable[[Path], bool] = lambda _: False
    load: Callable[[Path], Subject] | None = None
    wraps: Callable[[object], bool]
    wrap: Callable[[Any], Subject]


@functools.cache
def adapters() -> tuple[Adapter, ...]:
    """Every adapter, in the order in which they are asked."""
    home = importlib.import_module(PACKAGE)
    names = [info.name for info in pkgutil.iter_modules(home.__path__)]
    modules = [importlib.import_module(f"{PACKAGE}.{name}") for name in names]
    found = [module.ADAPTER for module in modules if hasattr(module, "ADAPTER")]
    return tuple(sorted(found, key=lambda adapter: (adapter.order, adapter.kind)))


def is_factory(name: str) -> bool:
    """Whether `name` has the form `package.module:function`."""
    return _FACTORY.match(name) is not None


def from_path(path: Path) -> Subject:
    """The subject in a file or directory.

    Raises:
        MalformedError: no adapter knows it, or its library cannot read it.
        ModuleNotFoundError: its library is not installed.
    """
    adapter = next((each for each in adapters() if each.load and each.reads(path)), None)
    if adapter is None or adapter.load is None:
        forms = ", ".join(each.form for each in adapters() if each.form)
        what = "directory" if path.is_dir() else "file"
        raise MalformedError(f"{path.name}: a {what} that no adapter knows; name {forms}")
    try:
        return adapter.load(path)
    except ImportError:
        raise
    except MalformedError:
        raise
    # Libraries raise what they like, bare `Exception` and panics among it.
    except BaseException as error:
        if isinstance(error, (KeyboardInterrupt, SystemExit)):
            raise
        message = " ".join(str(error).split())[:200]
        raise MalformedError(
            f"{path.name}: not read as {adapter.kind} ({type(error).__name__}: {message}); "
            "write it again with its library"
        ) from error


def from_object(thing: object, name: str) -> Subject:
    """The subject around an object that a factory made.

    Raises:
        MalformedError: it has no `encode` and `decode`, and no adapter knows its type.
    """
    for adapter in adapters():
        if adapter.wraps(thing):
            return adapter.wrap(thing)
    missing = [m for m in ("encode", "decode") if not callable(getattr(thing, m, None))]
    raise MalformedError(
        f"{name} returned an object of type {type(thing).__name__} without {missing[0]}(); "
        "a tokenizer has encode(text) and decode(ids)"
    )


def from_factory(name: str) -> Subject:
    """The subject around what the function `package.module:function` returns.

    Raises:
        MalformedError: there is no such function, or it returns no tokenizer.
    """
    module, _, attribute = name.partition(":")
    try:
        found: Any = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module}.".startswith(f"{error.name}."):
            raise  # of a library that the module imports, which has a diagnosis of its own
        raise MalformedError(f"{name}: there is no module {error.name!r}; correct it") from error
    for part in attribute.split("."):
        if not hasattr(found, part):
            raise MalformedError(f"{name}: {module} has no {part!r}; correct the function's name")
        found = getattr(found, part)
    if not callable(found):
        raise MalformedError(f"{name}: it is no function; name one that returns the tokenizer")
    return from_object(found(), name)


def of_module(thing: object, *names: str) -> bool:
    """Whether a class of `thing`, or one it derives from, is called one of `module.Class`.

    `module` is the first part of the class's own; no library is imported for the answer.
    """
    known = {f"{cls.__module__.partition('.')[0]}.{cls.__name__}" for cls in type(thing).__mro__}
    return not known.isdisjoint(names)
