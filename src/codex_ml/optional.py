"""Packages that only some parts of the kit need, imported when such a part is used."""

from __future__ import annotations

import importlib
from types import ModuleType


def load(name: str, *, extra: str) -> ModuleType:
    """The module `name`, imported now.

    Raises:
        ModuleNotFoundError: its package is not installed; `extra` of this distribution does that.
    """
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise
        raise ModuleNotFoundError(
            f"No module named {name!r}; install it with: pip install 'codex-audit[{extra}]'",
            name=name,
        ) from error
