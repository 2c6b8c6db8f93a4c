"""The tokenizer of an audited repository, where its files leave no doubt which that is."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_FILES = frozenset({"tokenizer.json", "tokenizer.model"})
_CONFIG = "tokenizer_config.json"
# What lies here is there to be wrong, or to be shown.
_ASIDE = frozenset({"tests", "test", "testing", "fixtures", "examples", "docs"})


def discovered(paths: Iterable[str]) -> str | None:
    """The one tokenizer among the files of a repository; None where there is none or several.

    A directory with `tokenizer_config.json` is one tokenizer, whatever files it has.
    """
    found: set[str] = set()
    for path in map(PurePosixPath, paths):
        if _ASIDE.isdisjoint(path.parts[:-1]) and path.name in {*_FILES, _CONFIG}:
            found.add(path.parent.as_posix() if path.name == _CONFIG else path.as_posix())
    directories = {place for place in found if PurePosixPath(place).name not in _FILES}
    found = {
        place
        for place in found
        if place in directories or PurePosixPath(place).parent.as_posix() not in directories
    }
    return found.pop() if len(found) == 1 else None
