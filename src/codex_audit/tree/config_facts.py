"""Facts of YAML, TOML, JSON and INI files: each scalar under its dotted key path, and its line."""

from __future__ import annotations

import configparser
import json
import re
from bisect import bisect_right
from typing import TYPE_CHECKING, Any

import tomli

from codex_audit.tree.facts import Fact, Problem, collapse
from codex_audit.tree.reading import text_lines
from codex_audit.tree.yaml_nodes import documents

if TYPE_CHECKING:
    from collections.abc import Iterator

    from codex_audit.tree.yaml_nodes import Node

# A file of settings is small; a larger one is data.
CONFIG_LIMIT = 512 * 1024
_ALIAS_BUDGET = 10_000
# A launch command names all settings of a run.
_COMMAND = 4000
_YAML_DEPTH = 40
_LONG_SPACE = re.compile(r"(?<=\S)[^\S\n]{50,}+")
# What GitHub Actions fills in is one word of a command, however it is spaced.
_EXPRESSION = re.compile(r"\$\{\{[^{}\n]*+\}\}")
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

    facts: list[Fact] = []
    # Each value takes a character or more, so that only aliases can make more of them.
    budget = iter(range(len(source) + _ALIAS_BUDGET))
    try:
        for document in documents(source):
            facts.extend(_node_facts(document, (), budget, 0))
    except yaml.YAMLError as error:
        if b"{{" in source or b"{%" in source:
            return facts, None
        mark = getattr(error, "problem_mark", None)
        text = getattr(error, "problem", None) or str(error)
        return facts, Problem(mark.line + 1 if mark else 1, f"YAML: {collapse(text)}")
    except ValueError as error:
        return facts, Problem(1, f"YAML: {collapse(str(error))}")
    return facts, None


def _node_facts(
    node: Node, path: tuple[str, ...], budget: Iterator[int], depth: int
) -> Iterator[Fact]:
    if next(budget, None) is None:
        raise ValueError("its aliases stand for more values than are read")
    if depth > _YAML_DEPTH:  # a node can contain itself
        return
    if node.target:
        yield Fact("config", ".".join((*path, "_target_")), node.line, node.target)
    if node.kind == "mapping":
        pairs = iter(node.children)
        for key, value in zip(pairs, pairs, strict=True):
            if value.kind != "scalar":
                name = ".".join((*path, key.text))
                yield Fact("config", name, key.line, "", tags=("table",))
            yield from _node_facts(value, (*path, key.text), budget, depth + 1)
    elif node.kind == "sequence":
        for item in node.children:
            yield from _node_facts(item, path, budget, depth + 1)
    else:
        yield Fact("config", ".".join(path), node.line, collapse(node.text))
        if path and path[-1] in _RUN_KEYS:
            block = node.style in {"|", ">"}
            command = _EXPRESSION.sub(lambda found: "".join(found.group().split()), node.text)
            yield from shell_lines(command, node.line + 1 if block else node.line)


def toml_facts(source: bytes) -> tuple[list[Fact], Problem | None]:
    """Facts of a TOML file."""
    try:
        text = source.decode()
        data = tomli.loads(text)
        return list(_value_facts(data, (), _toml_lines(text), 1)), None
    except (ValueError, RecursionError) as error:
        return [], Problem(1, f"TOML: {error}")


def _toml_lines(text: str) -> dict[tuple[str, ...], int]:
    """The first line of each table and key; of a table without a header, of what it holds."""
    found: dict[tuple[str, ...], int] = {}
    implied: dict[tuple[str, ...], int] = {}
    table: tuple[str, ...] = ()
    for number, line in enumerate(text_lines(text), 1):
        if header := re.match(r"\s*\[\[?([^\[\]]+)\]", line):
            table = key = _toml_key(header.group(1))
        elif entry := re.match(
            r"""\s*((?:"[^"]*"|'[^']*'|[\w-]+)(?:\s*\.\s*(?:"[^"]*"|'[^']*'|[\w-]+))*)\s*=""", line
        ):
            key = (*table, *_toml_key(entry.group(1)))
        else:
            continue
        found.setdefault(key, number)
        for depth in range(1, len(key)):
            implied.setdefault(key[:depth], number)
    return {**implied, **found}


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


# A line that is a comment, or a comma that nothing follows.
_LENIENT = re.compile(r"^[ \t]*(?://|#).*$|,(?=\s*[}\]])", re.MULTILINE)


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        # Twice: a comment may stand between a comma and the bracket after it.
        plain = _LENIENT.sub("", _LENIENT.sub("", text))
        if plain == text:
            raise
        return json.loads(plain)


def jsonnet_facts(source: bytes) -> tuple[list[Fact], Problem | None]:
    """Facts of a Jsonnet file that is no more than JSON with comments; of others none."""
    return json_facts(source)[0], None


def json_facts(source: bytes) -> tuple[list[Fact], Problem | None]:
    """Facts of a JSON file; some tools allow lines of comments and trailing commas."""
    if not source.strip():
        return [], None
    try:
        text = source.decode("utf-8-sig")
        data = _json(text)
    except (ValueError, RecursionError) as error:
        if isinstance(error, json.JSONDecodeError) and _LENIENT.search(text):
            return [], None  # more than such lines: not this parser's language, and not broken
        line = error.lineno if isinstance(error, json.JSONDecodeError) else 1
        return [], Problem(line, f"JSON: {error}")
    if not isinstance(data, dict):
        return [], None
    positions: dict[str, int] = {}
    for number, line_text in enumerate(text_lines(text), 1):
        for key in re.findall(r'"([^"\\]+)"\s*+:', line_text):
            positions.setdefault(key, number)
    lines: dict[tuple[str, ...], int] = {}
    try:
        _place_keys(data, (), positions, lines)
        return list(_value_facts(data, (), lines, 1)), None
    except RecursionError as error:
        return [], Problem(1, f"JSON: {error}")


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
    lines = text_lines(source.decode("utf-8", "replace"))
    parser = configparser.RawConfigParser(strict=False, allow_no_value=True)
    parser.optionxform = str  # type: ignore[assignment,method-assign] # keys keep their case
    try:
        # The parser's own expressions take quadratic time on long runs of spaces.
        parser.read_file(_LONG_SPACE.sub("  ", line) for line in lines)
    except configparser.Error as error:
        return [], Problem(1, f"INI: {collapse(str(error))}")
    except AttributeError:  # the parser's way to say that a line continues a key without value
        return [], Problem(1, "INI: a line continues a key that has no value")
    sections, keys = _ini_lines(lines)
    facts = []
    for section in parser.sections():
        start = sections.get(section, 1)
        facts.append(Fact("config", section, start, "", tags=("table",)))
        for key, value in parser.items(section):
            places = keys.get(key, [])
            after = bisect_right(places, start)
            line = places[after] if after < len(places) else start
            for offset, part in enumerate((value or "").split("\n")):
                if part.strip() or offset == 0:
                    facts.append(Fact("config", f"{section}.{key}", line + offset, collapse(part)))
                if key.startswith("commands") and part.strip():
                    facts += shell_lines(part, line + offset)
    return facts, None


def _ini_lines(lines: list[str]) -> tuple[dict[str, int], dict[str, list[int]]]:
    """The first line of each section, and all lines of each key."""
    sections: dict[str, int] = {}
    keys: dict[str, list[int]] = {}
    for number, line in enumerate(lines, 1):
        if header := re.match(r"\s*\[(.+)\]", line):
            sections.setdefault(header.group(1), number)
        elif assigned := re.match(r"(\S[^=:]*)[=:]", line):
            keys.setdefault(assigned.group(1).rstrip(), []).append(number)
    return sections, keys


def shell_lines(text: str, first: int, *, fixed: bool = False) -> Iterator[Fact]:
    """Command lines of a shell text that begins at line `first`; comments are none.

    A line continued by a backslash belongs to the line where it began. With `fixed`, all have
    the line `first`.
    """
    joined, start = "", first
    for offset, raw in enumerate(text_lines(text)):
        line = raw.strip()
        if not joined:
            start = first if fixed else first + offset
        if line.endswith("\\"):
            joined = f"{joined}{line[:-1]} "[: 4 * _COMMAND]
            continue
        command = collapse(joined + line, _COMMAND)
        joined = ""
        if command and not command.startswith("#"):
            yield Fact("shell", command.split()[0].lstrip("@-"), start, command)
