"""Typed settings: defaults from YAML files, then the environment, then the command line.

A schema is a dataclass, whose fields may be dataclasses in turn (sections). Files, environment
and command line are layers: a later one overrides single keys of an earlier one, so sections
merge, and everything else (lists, tables, optional sections) is replaced whole. msgspec then
checks the result against the annotations, ranges (`Annotated[int, Meta(ge=1)]`) and what
`__post_init__` refuses included. An error names the key, where its value came from, and a
remedy.

Why msgspec: it is imported four times as fast as OmegaConf, jsonargparse or pydantic-settings,
never turns a 5 into "5", knows ranges, and keeps the key of what `__post_init__` raises.
"""

from __future__ import annotations

import argparse
import contextlib
import difflib
import os
import re
import reprlib
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path, PurePath
from typing import Annotated, Any, Generic, Literal, TypeVar, get_args, get_origin, get_type_hints

import msgspec
import yaml

from codex_ml.environment import config_hash

T = TypeVar("T")
Migration = Callable[[dict[str, Any]], dict[str, Any]]
"""The values of a file of one schema version -> those of the next."""

VERSION_KEY = "schema_version"


class ConfigError(ValueError):
    """Settings that are not valid: where, which key, what is wrong, and what to do."""


@dataclass(frozen=True, slots=True)
class Config(Generic[T]):
    """Validated settings.

    Attributes:
        settings: the schema's instance.
        values: the same as plain values, with the schema's version: what is hashed and saved.
        sources: dotted key -> where its value came from.
    """

    settings: T
    values: dict[str, Any]
    sources: dict[str, str]

    @property
    def hash(self) -> str:
        """SHA-256 of all values: the same for the same settings, however they were given."""
        return config_hash(self.values)

    def to_yaml(self) -> str:
        """All values as a file that `Schema.load` reads."""
        return yaml.safe_dump(self.values, sort_keys=False, allow_unicode=True)

    def save(self, directory: Path) -> Path:
        """Write `config.yaml` into the directory of the run, whole or not at all."""
        directory.mkdir(parents=True, exist_ok=True)
        path = directory / "config.yaml"
        temporary = directory / f".config.yaml.{os.getpid()}"
        temporary.write_text(f"# SHA-256 {self.hash}\n{self.to_yaml()}", encoding="utf-8")
        return temporary.replace(path)


class Schema(Generic[T]):
    """What settings a program has, and how they are read.

    Args:
        settings: the dataclass of all settings.
        version: of the schema; each file states the version that it was written for.
        migrations: version -> what makes the values of a file of that version those of the
            next one; see `moved`.
        prefix: of environment variables: `CONFIG__TRAINER__CLIP_NORM` is `trainer.clip_norm`.

    Raises:
        ValueError: a migration is missing, or the schema has no room for `schema_version`.
    """

    def __init__(
        self,
        settings: type[T],
        *,
        version: int = 1,
        migrations: Mapping[int, Migration] | None = None,
        prefix: str = "CONFIG__",
    ) -> None:
        self._settings = settings
        self._version = version
        self._migrations = dict(migrations or {})
        self._prefix = prefix
        self.keys: dict[str, Any] = dict(_leaves(settings))
        """Dotted key -> annotation."""
        if VERSION_KEY in self.keys:
            raise ValueError(f"{settings.__name__}: {VERSION_KEY} is no setting; rename the field")
        missing = [old for old in range(1, version) if old not in self._migrations]
        if missing:
            raise ValueError(f"{settings.__name__}: no migration from version {missing[0]}")

    def load(
        self,
        *files: Path,
        environ: Mapping[str, str] | None = None,
        overrides: Mapping[str, str] | None = None,
    ) -> Config[T]:
        """Read all layers and validate what they give together.

        Args:
            files: YAML files, a later one over an earlier one.
            environ: the environment; that of this process by default.
            overrides: dotted key -> text, over all others.

        Raises:
            ConfigError: a file cannot be read, a key is unknown or missing, or a value invalid.
        """
        values: dict[str, Any] = {}
        sources: dict[str, str] = {}
        for path in files:
            layer = dict(self._flatten(self._migrated(path), str(path)))
            values |= layer
            sources |= dict.fromkeys(layer, str(path))
        environ = os.environ if environ is None else environ
        known = {key.lower(): key for key in self.keys}
        for name in sorted(name for name in environ if name.startswith(self._prefix)):
            asked = name.removeprefix(self._prefix).lower().replace("__", ".")
            key, where = known.get(asked, asked), f"environment variable {name}"
            values[key] = self._from_text(key, environ[name], where)
            sources[key] = where
        for key, text in (overrides or {}).items():
            values[key] = self._from_text(key, text, "command line")
            sources[key] = "command line"
        return self._validated(values, sources, ", ".join(map(str, files)) or "no file")

    def from_command_line(
        self,
        *files: Path,
        arguments: list[str] | None = None,
        environ: Mapping[str, str] | None = None,
    ) -> Config[T]:
        """Read `--KEY VALUE` for every key, `--config FILE` for further files, `--print-config`.

        Bad input ends the process with one line on stderr and exit code 2, as `--help` ends it.

        Args:
            files: the defaults, below those of `--config`.
            arguments: those of this process by default.
            environ: as in `load`.
        """
        parser = argparse.ArgumentParser(
            usage="%(prog)s [--config FILE] [--print-config] [--KEY VALUE ...]",
            description=(self._settings.__doc__ or "").partition("\n")[0],
            epilog=f"Environment: {self._prefix}SECTION__KEY=VALUE.",
            allow_abbrev=False,
        )
        parser.add_argument("--config", metavar="FILE", type=Path, action="append", default=[])
        parser.add_argument("--print-config", action="store_true", help="show settings and exit")
        for key, kind in self.keys.items():
            bare: dict[str, Any] = {"nargs": "?", "const": "true"} if kind is bool else {}
            shown = _shown(kind)
            parser.add_argument(f"--{key}", metavar=shown, default=argparse.SUPPRESS, **bare)
        given, rest = parser.parse_known_args(sys.argv[1:] if arguments is None else arguments)
        overrides = {key: value for key, value in vars(given).items() if key in self.keys}
        try:
            if rest:
                raise self._unknown(rest[0].partition("=")[0].lstrip("-"), "command line")
            found = self.load(*files, *given.config, environ=environ, overrides=overrides)
        except ConfigError as error:
            parser.error(str(error))
        if given.print_config:
            print(f"# SHA-256 {found.hash}", found.to_yaml(), sep="\n", end="")
            parser.exit()
        return found

    def _migrated(self, path: Path) -> dict[str, Any]:
        """The values of a file, as those of this version of the schema."""
        values = _read_config(path)
        version = values.pop(VERSION_KEY, None)
        if type(version) is not int or version < 1:
            raise ConfigError(
                f"{path}: {VERSION_KEY}: {'missing' if version is None else repr(version)}; "
                f"write `{VERSION_KEY}: {self._version}`, the version of these settings"
            )
        if version > self._version:
            raise ConfigError(
                f"{path}: {VERSION_KEY}: {version} is newer than {self._version}, the newest that "
                "this program reads; update the program"
            )
        for old in range(version, self._version):
            try:
                values = self._migrations[old](values)
            except ConfigError as error:
                raise ConfigError(f"{path}: schema_version {old}: {error}") from error
        return values

    def _flatten(self, values: Any, where: str, section: str = "") -> Iterator[tuple[str, Any]]:
        """Dotted keys and values of a nested layer; unknown ones are refused."""
        if not isinstance(values, dict):
            key = section.rstrip(".")
            raise ConfigError(f"{where}: {key}: expected a section, got {reprlib.repr(values)}")
        for name, value in values.items():
            key = f"{section}{name}"
            if key in self.keys:
                yield key, value
            elif any(known.startswith(f"{key}.") for known in self.keys):
                yield from self._flatten(value, where, f"{key}.")
            else:
                raise self._unknown(key, where)

    def _from_text(self, key: str, text: str, where: str) -> Any:
        """A value of the environment or command line: YAML, or the text itself, as the key asks."""
        if key not in self.keys:
            raise self._unknown(key, where)
        candidates: list[Any] = [text]
        with contextlib.suppress(yaml.YAMLError):  # not YAML, so it can only be meant as text
            candidates.insert(0, _Loader(text).get_single_data())
        kind = self.keys[key]
        return next((value for value in candidates if _accepts(kind, value)), candidates[0])

    def _validated(self, values: dict[str, Any], sources: dict[str, str], files: str) -> Config[T]:
        try:
            settings = msgspec.convert(_nested(values), self._settings, dec_hook=_decode)
        except msgspec.ValidationError as error:
            raise self._located(str(error), values, sources, files) from error
        plain = msgspec.to_builtins(settings, enc_hook=str, order="deterministic")
        kept = dict(self._flatten(plain, "settings"))
        for key, value in values.items():
            # A dataclass inside a list or table: msgspec passes over keys that it does not know.
            for ignored in _ignored(value, kept[key], key):
                raise ConfigError(f"{sources[key]}: {ignored}: unknown key; correct or remove it")
        everything = {VERSION_KEY: self._version, **plain}
        return Config(settings, everything, {key: sources.get(key, "default") for key in self.keys})

    def _located(
        self, text: str, values: dict[str, Any], sources: dict[str, str], files: str
    ) -> ConfigError:
        """What msgspec says, with the dotted key and with where its value came from."""
        message, _, place = text.partition(" - at `$")
        place = place.rstrip("`").lstrip(".")
        absent = re.fullmatch(r"Object missing required field `(\w+)`", message)
        if absent:
            key = f"{place}.{absent[1]}".lstrip(".")
            return ConfigError(f"{files}: {key}: missing; give it a value")
        # What __post_init__ raises is located at its section, and begins with the field.
        field = re.match(r"\w*", message)
        inner = f"{place}.{field[0] if field else ''}".lstrip(".")
        key = inner if inner in self.keys else place
        leaf = next((k for k in self.keys if f"{key}.".startswith((f"{k}.", f"{k}["))), None)
        if leaf in sources:
            if inner == key:
                return ConfigError(f"{sources[leaf]}: {key}: {message}")
            got = f"{message} ({reprlib.repr(values[leaf])})"
            return ConfigError(f"{sources[leaf]}: {key}: {got}; give {_shown(self.keys[leaf])}")
        below = [where for name, where in sources.items() if name.startswith(key)]
        where = ", ".join(dict.fromkeys(below)) or files
        return ConfigError(f"{where}: {key or 'settings'}: {message}; correct the value")

    def _unknown(self, key: str, where: str) -> ConfigError:
        elsewhere = [known for known in self.keys if known.endswith(f".{key.rpartition('.')[2]}")]
        near = elsewhere or difflib.get_close_matches(key, self.keys)
        if not near:
            return ConfigError(f"{where}: {key}: unknown key; known are {', '.join(self.keys)}")
        choice = " or ".join(map(repr, near))
        return ConfigError(f"{where}: {key}: unknown key; did you mean {choice}?")


def moved(old: str, new: str) -> Migration:
    """A migration that moves the value of the dotted key `old`, where there is one, to `new`."""

    def migrate(values: dict[str, Any]) -> dict[str, Any]:
        source: Any = values
        *sections, name = old.split(".")
        for section in sections:
            source = source.get(section) if isinstance(source, dict) else None
        if not isinstance(source, dict) or name not in source:
            return values
        value = source.pop(name)
        target: Any = values
        *sections, name = new.split(".")
        for section in sections:
            target = target.setdefault(section, {})
            if not isinstance(target, dict):
                raise ConfigError(f"{section}: expected a section, got {reprlib.repr(target)}")
        target[name] = value
        return values

    return migrate


class _Loader(yaml.SafeLoader):
    """The safe loader, which refuses a key given twice and reads 1e-3 as the number it is."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:  # noqa: FBT001, FBT002 - PyYAML's signature
        seen: list[Any] = []
        for key, _ in node.value:
            if key.value in seen and key.value != "<<":
                problem = f"the key {key.value!r} is given twice"
                raise yaml.constructor.ConstructorError(None, None, problem, key.start_mark)
            seen.append(key.value)
        return super().construct_mapping(node, deep)


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)[eE][-+]?\d+$"),
    list("-+.0123456789"),
)


def _read_config(path: Path) -> dict[str, Any]:
    try:
        values = _Loader(path.read_text(encoding="utf-8")).get_single_data()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read ({error}); name a UTF-8 file") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or str(error)
        raise ConfigError(f"{path}{line}: not valid YAML ({problem}); mend that line") from error
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: expected keys and values, got {reprlib.repr(values)}")
    return values


def _leaves(kind: Any, section: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted keys of a dataclass and their annotations, sections opened."""
    hints = get_type_hints(kind, include_extras=True)
    for field in fields(kind):
        hint, key = hints[field.name], f"{section}{field.name}"
        if is_dataclass(hint):
            yield from _leaves(hint, f"{key}.")
        else:
            yield key, hint


def _nested(flat: Mapping[str, Any]) -> dict[str, Any]:
    whole: dict[str, Any] = {}
    for key, value in flat.items():
        *sections, name = key.split(".")
        target = whole
        for section in sections:
            target = target.setdefault(section, {})
        target[name] = value
    return whole


def _accepts(kind: Any, value: Any) -> bool:
    try:
        msgspec.convert(value, kind, dec_hook=_decode)
    except msgspec.ValidationError:
        return False
    return True


def _ignored(given: Any, kept: Any, key: str) -> Iterator[str]:
    """Keys of `given` that validation did not keep."""
    if isinstance(given, dict) and isinstance(kept, dict):
        for name, value in given.items():
            if name in kept:
                yield from _ignored(value, kept[name], f"{key}.{name}")
            else:
                yield f"{key}.{name}"
    elif isinstance(given, list) and isinstance(kept, list | tuple):
        for number, (value, one) in enumerate(zip(given, kept, strict=False)):
            yield from _ignored(value, one, f"{key}[{number}]")


def _decode(kind: type[Any], value: Any) -> Any:
    """Paths, which msgspec leaves to its user."""
    if issubclass(kind, PurePath) and isinstance(value, str):
        return kind(value)
    raise TypeError(f"Expected `{kind.__name__}`, got `{type(value).__name__}`")


def _shown(kind: Any) -> str:
    if get_origin(kind) is Annotated:
        return _shown(get_args(kind)[0])
    if get_origin(kind) is Literal:
        return "|".join(map(str, get_args(kind)))
    return kind.__name__ if isinstance(kind, type) else str(kind)
