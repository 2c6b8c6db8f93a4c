"""Several projects in one repository: which they are, the settings of each, the audit of each."""

from __future__ import annotations

import os
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from codex_audit.capabilities.time_limit import time_limit
from codex_audit.scan import scan
from codex_audit.settings import (
    Settings,
    SettingsError,
    TokenizerSettings,
    TrainerSettings,
    has_settings,
    load_settings,
)
from codex_audit.tree.git import repository_of

if TYPE_CHECKING:
    from codex_audit.records import Scan


class Audited(msgspec.Struct, frozen=True):
    """A directory to audit: its settings, and the directory `home` that they were read in."""

    root: Path
    settings: Settings
    home: Path

    def scan(self, command: str, *, cached: bool = True) -> Scan:
        """The static audit of this directory, ended where added rules take for ever."""
        with time_limit(self.home, self.settings.catalog):
            return scan(self.root, self.settings, command, self.home, cached=cached)

    def projects(self, command: str, *, cached: bool = True) -> dict[str, Scan]:
        """The static audit of each project that the settings name, by its path."""
        paths = _checked(self.root, self.settings.projects)
        found = {path: audited(self.root / path) for path in paths}
        return {path: each.scan(command, cached=cached) for path, each in found.items()}


def audited(directory: Path) -> Audited:
    """What is to be audited at `directory`.

    Its own `[tool.codex-audit]` counts. Where it has none, that of the nearest directory above it
    in the same git repository does, but for what is about that one alone: its name, its kind, its
    projects, its trainer and its tokenizer.

    Raises:
        SettingsError: settings cannot be used.
    """
    own = load_settings(directory)
    if has_settings(directory):
        return Audited(directory, own, directory)
    place = directory.resolve()
    top = repository_of(place)
    above = [each for each in place.parents if top is not None and each.is_relative_to(top)]
    for home in above if place != top else []:
        if has_settings(home):
            return Audited(directory, _inherited(load_settings(home), own, home, place), home)
    return Audited(directory, own, directory)


def _inherited(above: Settings, own: Settings, home: Path, place: Path) -> Settings:
    parts = place.relative_to(home).parts
    exclude = (_below(pattern, parts) for pattern in above.exclude)
    return msgspec.structs.replace(
        above,
        project=own.project,
        kind=None,
        projects=(),
        exclude=tuple(pattern for pattern in exclude if pattern),
        trainer=TrainerSettings(),
        tokenizer=TokenizerSettings(),
    )


def _below(pattern: str, parts: tuple[str, ...]) -> str:
    """A git-style pattern as it reads in a directory below; empty where it says nothing of it."""
    mark = "!" if pattern.startswith("!") else ""
    body = pattern.removeprefix("!")
    if "/" not in body.rstrip("/"):
        return pattern  # it fits a name wherever that is
    segments = body.removeprefix("/").split("/")
    for index, part in enumerate(parts):
        if segments[index] == "**":
            return mark + "/".join(segments[index:])
        if index + 1 == len(segments) or not fnmatchcase(part, segments[index]):
            return ""
    rest = "/".join(segments[len(parts) :])
    return f"{mark}/{rest}" if rest else ""


def _checked(root: Path, projects: tuple[str, ...]) -> tuple[str, ...]:
    """The paths of the projects, POSIX and without detours.

    Raises:
        SettingsError: one does not exist, leads out of the repository, is all of it, or lies in
            another one.
    """
    home = Path(os.path.realpath(root))
    found: dict[Path, str] = {}
    for name in projects:
        place = Path(os.path.realpath(home / name))
        if Path(name).is_absolute() or not place.is_relative_to(home):
            raise _wrong(root, name, "leads out of the repository", "name a directory inside of it")
        if place == home:
            raise _wrong(root, name, "is the repository itself", "leave it out: it is audited")
        if not place.is_dir():
            what = "is no directory" if place.exists() else "does not exist"
            raise _wrong(root, name, what, "correct the path, or leave it out")
        for other, known in found.items():
            if place == other:
                raise _wrong(root, name, f"is {known!r} again", "name it once")
            if place.is_relative_to(other) or other.is_relative_to(place):
                inner, outer = (name, known) if place.is_relative_to(other) else (known, name)
                raise _wrong(root, inner, f"lies in {outer!r}", "name one of the two")
        found[place] = name
    return tuple(place.relative_to(home).as_posix() for place in found)


def _wrong(root: Path, name: str, what: str, remedy: str) -> SettingsError:
    return SettingsError(
        f"{root / 'pyproject.toml'}: [tool.codex-audit] projects: {name!r} {what}; {remedy}"
    )
