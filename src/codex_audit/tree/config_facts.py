"""Facts of YAML, TOML, JSON and INI files: each scalar under its dotted key path, and its line."""

from __future__ import annotations

import configparser
import json
import re
import tomllib
from typing import TYPE_CHECKING, Any

from codex_audit.tree.facts import Fact, Problem, collapse

if TYPE_CHECKING:
    from collections.abc import Iterator

# A file of settings is small; a larger one is data.
CONFIG_LIMIT = 512 * 1024
_RUN_KEYS = frozenset(
    {
        "run",
        "script",
        "before_script",
        "after_script",
        "commands",
        "entry",
        "cmd",
        "command",
        "bash",
    }
)


def yaml_facts(source: bytes) -> tuple[list[Fact], Problem | None]:
    """Facts of all documents of a YAML file. A template that is no YAML yet has none."""
    import yaml  # noqa: PLC0415 - only trees with YAML pay for it

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    facts: list[Fact] = []
    try:
        for document in yaml.compose_all(source, Loader=loader):
            if document is not None:
                facts += _node_facts(document, ())
    except yaml.YAMLError as error:
        if b"{{" in source or b"{%" in source:
            return facts, None
        mark = getattr(error, "problem_mark", None)
        text = getattr(error, "problem", None) or str(error)
        return facts, Problem(mark.line + 1 if mark else 1, f"YAML: {collapse(text)}")
    except (UnicodeDecodeError, ValueError, RecursionError) as error:
        return facts, Problem(1, f"YAML: {error}")
    return facts, None


def _node_facts(node: Any, path: tuple[str, ...], depth: int = 0) -> Iterator[Fact]:
    if depth > 40:  # noqa: PLR2004 - anchors can refer to themselves
        return
    kind = node.id
    if kind == "mapping":
        for key, value in node.value:
            name = str(key.value)
            if value.id != "scalar":
                yield Fact(
                    "config", ".".join((*path, name)), key.start_mark.line + 1, "", tags=("table",)
                )
            yield from _node_facts(value, (*path, name), depth + 1)
    elif kind == "sequence":
        for item in node.value:
            yield from _node_facts(item, path, depth + 1)
    else:
        line = node.start_mark.line + 1
        yield Fact("config", ".".join(path), line, collapse(node.value))
        if path and path[-1] in _RUN_KEYS:
            block = node.style in {"|", ">"}
            yield from shell_lines(node.value, line + 1 if block else line)


def toml_facts(source: bytes) -> tuple[list[Fact], Problem | None]:
    """Facts of a TOML file."""
    try:
        data = tomllib.loads(source.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        return [], Problem(1, f"TOML: {error}")
    lines = _toml_lines(source.decode())
    return list(_value_facts(data, (), lines, 1)), None


def _toml_lines(text: str) -> dict[tuple[str, ...], int]:
    """The first line of each table and key."""
    found: dict[tuple[str, ...], int] = {}
    table: tuple[str, ...] = ()
    for number, line in enumerate(text.splitlines(), 1):
        if header := re.match(r"\s*\[\[?\s*([^\]]+?)\s*\]\]?", line):
            table = _toml_key(header.group(1))
            found.setdefault(table, number)
        elif entry := re.match(
            r"""\s*((?:"[^"]*"|'[^']*'|[\w-]+)(?:\s*\.\s*(?:"[^"]*"|'[^']*'|[\w-]+))*)\s*=""", line
        ):
            found.setdefault((*table, *_toml_key(entry.group(1))), number)
    return found


def _toml_key(text: str) -> tuple[str, ...]:
    parts = re.findall(r""""([^"]*)"|'([^']*)'|([\w-]+)""", text)
    return tuple("".join(part) for part in parts)


def _value_facts(
    value: Any, path: tuple[str, ...], lines: dict[tuple[str, ...], int], line: int
) -> Iterator[Fact]:
    line = lines.get(path, line)
    if isinstance(value, dict):
        if path:
            yield Fact("config", ".".join(path), line, "", tags=("table",))
        for key, item in value.items():
            yield from _value_facts(item, (*path, str(key)), lines, line)
    elif isinstance(value, list):
        for item in value:
            yield from _value_facts(item, path, lines, line)
    else:
        text = (
            {True: "true", False: "false", None: "null"}.get(value, str(value))
            if (value is None or isinstance(value, bool))
            else str(value)
        )
        yield Fact("config", ".".join(path), line, collapse(text))
        if path and isinstance(value, str) and (path[-1] in _RUN_KEYS or "scripts" in path[-2:]):
            yield from shell_lines(value, line, fixed=True)


def json_facts(source: bytes) -> tuple[list[Fact], Problem | None]:
    """Facts of a JSON file; comments and trailing commas, which some tools allow, are a problem."""
    try:
        text = source.decode("utf-8-sig")
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        if isinstance(error, json.JSONDecodeError) and re.search(
            rb"^\s*//|,\s*[}\]]", source, re.MULTILINE
        ):
            return [], None  # JSON with comments: not this parser's language, and not broken
        line = error.lineno if isinstance(error, json.JSONDecodeError) else 1
        return [], Problem(line, f"JSON: {error}")
    if not isinstance(data, dict):
        return [], None
    positions: dict[str, int] = {}
    for number, line_text in enumerate(text.splitlines(), 1):
        for key in re.findall(r'"([^"\\]+)"\s*:', line_text):
            positions.setdefault(key, number)
    lines: dict[tuple[str, ...], int] = {}
    _place_keys(data, (), positions, lines)
    return list(_value_facts(data, (), lines, 1)), None


def _place_keys(
    value: Any, path: tuple[str, ...], positions: dict[str, int], lines: dict[tuple[str, ...], int]
) -> None:
    if isinstance(value, dict):
        for key, item in value.items():
            lines[(*path, key)] = positions.get(key, 1)
            _place_keys(item, (*path, key), positions, lines)
    elif isinstance(value, list):
        for item in value:
            _place_keys(item, path, positions, lines)


def ini_facts(source: bytes) -> tuple[list[Fact], Problem | None]:
    """Facts of an INI file (setup.cfg, tox.ini, .coveragerc…)."""
    text = source.decode("utf-8", "replace")
    parser = configparser.RawConfigParser(strict=False, allow_no_value=True)
    parser.optionxform = str  # type: ignore[assignment,method-assign] # keys keep their case
    try:
        parser.read_string(text)
    except configparser.Error as error:
        return [], Problem(1, f"INI: {collapse(str(error))}")
    facts = []
    numbered = list(enumerate(text.splitlines(), 1))
    for section in parser.sections():
        start = next((n for n, line in numbered if line.strip().startswith(f"[{section}]")), 1)
        facts.append(Fact("config", section, start, "", tags=("table",)))
        for key, value in parser.items(section):
            line = next(
                (
                    n
                    for n, text_line in numbered
                    if n > start and re.match(rf"{re.escape(key)}\s*[=:]", text_line)
                ),
                start,
            )
            for offset, part in enumerate((value or "").splitlines() or [""]):
                if part.strip() or offset == 0:
                    facts.append(Fact("config", f"{section}.{key}", line + offset, collapse(part)))
                if key.startswith("commands") and part.strip():
                    facts += shell_lines(part, line + offset)
    return facts, None


def shell_lines(text: str, first: int, *, fixed: bool = False) -> Iterator[Fact]:
    """Command lines of a shell text that begins at line `first`; comments are none.

    A line continued by a backslash belongs to the line where it began. With `fixed`, all have
    the line `first`.
    """
    joined, start = "", first
    for offset, raw in enumerate(text.splitlines()):
        line = raw.strip()
        if not joined:
            start = first if fixed else first + offset
        if line.endswith("\\"):
            joined += f"{line[:-1]} "
            continue
        command = collapse(joined + line)
        joined = ""
        if command and not command.startswith("#"):
            yield Fact("shell", command.split()[0].lstrip("@-"), start, command)
