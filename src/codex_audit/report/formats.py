"""The formats a status document can be rendered in: one module of this package each."""

from __future__ import annotations

import importlib
import pkgutil
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

    from codex_audit.report.document import StatusDocument


class UnknownFormatError(LookupError):
    """No format of that name; the message lists those there are."""


class Format(NamedTuple):
    """A format: `render` gives the text that is written as `filename`."""

    name: str
    filename: str
    render: Callable[[StatusDocument], str]


def all_formats() -> dict[str, Format]:
    """Every format by name: each module of this package that has a `FORMAT`."""
    package = importlib.import_module("codex_audit.report")
    modules = [
        importlib.import_module(f"{package.__name__}.{info.name}")
        for info in pkgutil.iter_modules(package.__path__)
    ]
    found: list[Format] = [module.FORMAT for module in modules if hasattr(module, "FORMAT")]
    return {each.name: each for each in sorted(found, key=lambda each: each.name)}


def find_format(name: str) -> Format:
    """The format called `name`.

    Raises:
        UnknownFormatError: there is none.
    """
    formats = all_formats()
    if name not in formats:
        raise UnknownFormatError(f"no format {name!r}; there are: {', '.join(formats)}")
    return formats[name]
