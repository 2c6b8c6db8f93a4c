"""Typed settings: defaults from YAML files, then the environment, then the command line.

A schema is a dataclass, whose fields may be dataclasses in turn (sections). Files, environment
and command line are layers: a later one overrides single keys of an earlier one, so sections
merge, and everything else (lists, tables) is replaced whole. msgspec checks each value against
its annotation, ranges (`Annotated[int, Meta(ge=1)]`) included, and the result against what
`__post_init__` refuses. An error names the key, where its value came from, and a remedy.

Why msgspec: it is imported four times as fast as OmegaConf, jsonargparse or pydantic-settings,
never turns a 5 into "5", knows ranges, and keeps the key of what `__post_init__` raises.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import reprlib
import sys
import typing
from collections.abc import Callable, Iterator, Mapping
from dataclasses import KW_ONLY, dataclass, field, fields, is_dataclass
from pathlib import Path, PurePath
from types import UnionType
from typing import Annotated, Any, Generic, Literal, TypeVar, Union, get_args

import msgspec
import yaml

from codex_ml import checks, documents
from codex_ml.environment import config_hash

T = TypeVar("T")
Migration = Callable[[dict[str, Any]], dict[str, Any]]
"""The values of a file of one schema version -> those of the next."""

VERSION_KEY = "schema_version"
PREFIX = "CONFIG__"
"""Of environment variables: `CONFIG__TRAINER__CLIP_NORM` is `trainer.clip_norm`."""


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
        return documents.write_text(path, f"# SHA-256 {self.hash}\n{self.to_yaml()}")


@dataclass(eq=False)
class Schema(Generic[T]):
    """What settings a program has, and how they are read.

    Args:
        settings: the dataclass of all settings.
        version: of the schema; each file states the version that it was written for.
        migrations: version -> what makes the values of a file of that version those of the
            next one.

    Raises:
        ValueError: a migration is missing, a list holds dataclasses, or the schema has no room
            for `schema_version`.
    """

    settings: type[T]
    _: KW_ONLY
    version: int = 1
    migrations: Mapping[int, Migration] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.keys: dict[str, Any] = dict(_leaves(self.settings))
        """Dotted key -> annotation."""
        name = self.settings.__name__
        if VERSION_KEY in self.keys:
            raise ValueError(f"{name}: {VERSION_KEY} is no setting; rename the field")
        if missing := set(range(1, self.version)) - set(self.migrations):
            raise ValueError(f"{name}: no migration from version {min(missing)}")

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

        def take(key: str, value: Any, where: str) -> None:
            values[key] = self._checked(key, value, where)
            sources[key] = where

        for path in files:
            for key, value in self._flatten(self._migrated(path), str(path)):
                take(key, value, str(path))
        environ = os.environ if environ is None else environ
        known = {key.lower(): key for key in self.keys}
        for name in sorted(name for name in environ if name.startswith(PREFIX)):
            asked = name.removeprefix(PREFIX).lower().replace("__", ".")
            key, where = known.get(asked, asked), f"environment variable {name}"
            take(key, self._from_text(key, environ[name], where), where)
        for key, text in (overrides or {}).items():
            take(key, self._from_text(key, text, "command line"), "command line")
        try:
            settings = msgspec.convert(_nested(values), self.settings, dec_hook=_decode)
        except msgspec.ValidationError as error:
            raise _refused(str(error), sources, ", ".join(map(str, files)) or "no file") from error
        plain = msgspec.to_builtins(settings, enc_hook=str, order="deterministic")
        everything = {VERSION_KEY: self.version, **plain}
        return Config(settings, everything, {key: sources.get(key, "default") for key in self.keys})

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
            description=(self.settings.__doc__ or "").partition("\n")[0],
            epilog=f"Environment: {PREFIX}SECTION__KEY=VALUE.",
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
        values = read_config(path)
        version = values.pop(VERSION_KEY, None)
        if type(version) is not int or version < 1:
            found = "missing" if version is None else repr(version)
            remedy = f"write `{VERSION_KEY}: {self.version}`, that of these settings"
            raise ConfigError(f"{path}: {VERSION_KEY}: {found}; {remedy}")
        if version > self.version:
            told = f"{version} is newer than {self.version}; update the program"
            raise ConfigError(f"{path}: {VERSION_KEY}: {told}")
        for old in range(version, self.version):
            values = self.migrations[old](values)
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
        try:
            value = _Loader(text).get_single_data()
            self._checked(key, value, where)
        except (yaml.YAMLError, RecursionError):  # so it can only be meant as text
            return text
        except ConfigError:
            with contextlib.suppress(ConfigError):
                return self._checked(key, text, where)
        return value

    def _checked(self, key: str, value: Any, where: str) -> Any:
        try:
            msgspec.convert(value, self.keys[key], dec_hook=_decode)
        except msgspec.ValidationError as error:
            message, _, place = str(error).partition(" - at `$")
            wanted = f"({reprlib.repr(value)}); give {_shown(self.keys[key])}"
            raise ConfigError(f"{where}: {key}{place.rstrip('`')}: {message} {wanted}") from error
        return value

    def _unknown(self, key: str, where: str) -> ConfigError:
        elsewhere = [known for known in self.keys if known.endswith(f".{key.rpartition('.')[2]}")]
        meant = " or ".join(map(repr, elsewhere))
        remedy = f"did you mean {meant}?" if meant else checks.unknown(key, self.keys)
        return ConfigError(f"{where}: {key}: unknown key; {remedy}")


def _refused(text: str, sources: dict[str, str], files: str) -> ConfigError:
    """What msgspec says of the whole, with the dotted key and with where its value came from."""
    message, _, place = text.partition(" - at `$")
    section = place.rstrip("`").lstrip(".")
    if absent := re.fullmatch(r"Object missing required field `(\w+)`", message):
        key = f"{section}.{absent[1]}".lstrip(".")
        return ConfigError(f"{files}: {key}: missing; give it a value")
    # What __post_init__ raises is located at its section, and begins with the field.
    field = re.split(r"\W", message, maxsplit=1)[0]
    key = f"{section}.{field}".lstrip(".")
    if key in sources:
        return ConfigError(f"{sources[key]}: {key}: {message}")
    below = [where for name, where in sources.items() if name.startswith(section)]
    where = ", ".join(dict.fromkeys(below)) or files
    return ConfigError(f"{where}: {section or 'settings'}: {message}; correct the value")


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


def read_config(path: Path) -> dict[str, Any]:
    """The keys and values of a YAML file, none of them checked.

    Raises:
        ConfigError: it cannot be read, is no YAML, or holds something else.
    """
    try:
        values = _Loader(path.read_text(encoding="utf-8")).get_single_data()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read ({error}); name a UTF-8 file") from error
    except (yaml.YAMLError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or str(error)
        raise ConfigError(f"{path}{line}: not valid YAML ({problem}); mend that line") from error
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: expected keys and values, got {reprlib.repr(values)}")
    return values


def _leaves(kind: Any, section: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted keys of a dataclass and their annotations, sections opened."""
    hints = typing.get_type_hints(kind, include_extras=True)
    for one in fields(kind):
        hint, key = hints[one.name], f"{section}{one.name}"
        if is_dataclass(hint):
            yield from _leaves(hint, f"{key}.")
        elif _holds_dataclass(hint):
            # Keys that a dataclass does not know would be passed over.
            remedy = "make what it holds a msgspec.Struct with forbid_unknown_fields=True"
            raise ValueError(f"{key}: {remedy}")
        else:
            yield key, hint


def _holds_dataclass(hint: Any) -> bool:
    return is_dataclass(hint) or any(map(_holds_dataclass, get_args(hint)))


def _nested(flat: Mapping[str, Any]) -> dict[str, Any]:
    whole: dict[str, Any] = {}
    for key, value in flat.items():
        *sections, name = key.split(".")
        target = whole
        for section in sections:
            target = target.setdefault(section, {})
        target[name] = value
    return whole


def _decode(kind: type[Any], value: Any) -> Any:
    """Paths, which msgspec leaves to its user."""
    if issubclass(kind, PurePath) and isinstance(value, str):
        return kind(value)
    raise TypeError(f"Expected `{kind.__name__}`, got `{type(value).__name__}`")


def _shown(kind: Any) -> str:
    origin, parts = typing.get_origin(kind), get_args(kind)
    if origin is Literal:
        return "|".join(map(str, parts))
    if origin in (Union, UnionType):
        return " or ".join(map(_shown, parts))
    if origin in (Annotated, list, tuple):
        return f"{'' if origin is Annotated else 'a list of '}{_shown(parts[0])}"
    return "null" if kind is type(None) else getattr(kind, "__name__", str(kind))
