"""Facts of gin files: each binding under the name of what it configures and of its parameter."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from codex_audit.tree.facts import TEXT_LIMIT, Fact, Problem, collapse
from codex_audit.tree.reading import text_lines

if TYPE_CHECKING:
    from collections.abc import Iterator

_NAME = r"[\w.]+(?:/[\w.]+)*"
_BLOCK = re.compile(rf"({_NAME})\s*:\s*$")
_BINDING = re.compile(rf"({_NAME})\s*=(?!=)\s*(.*)$")
# What a bracket opens or closes, outside of strings; a comment ends the line.
_TOKEN = re.compile(r"""#|[\[({]|[\])}]|"(?:[^"\\]|\\.)*+"|'(?:[^'\\]|\\.)*+'""")


def gin_facts(source: bytes) -> tuple[list[Fact], Problem | None]:
    """Facts of a gin file: `scope/module.fn.parameter` or a macro, and the value as text.

    A block (`fn:`, its parameters indented below) names its parameters like single lines.
    """
    return list(_bindings(source.decode("utf-8", "replace"))), None


def _bindings(text: str) -> Iterator[Fact]:
    block, open_, binding = "", 0, None
    for number, raw in enumerate(text_lines(text), 1):
        line, depth = _code(raw)
        if open_:  # the value goes on
            open_ = max(open_ + depth, 0)
            if binding and len(binding[1]) <= TEXT_LIMIT:
                binding = (binding[0], f"{binding[1]} {line.strip()}", binding[2])
            if not open_ and binding:
                yield _fact(*binding)
            continue
        if not line.strip():
            continue
        if not line[0].isspace():
            block = ""
            if opened := _BLOCK.match(line):
                block = opened.group(1)
                yield Fact("config", block, number, "", tags=("table",))
                continue
        found = _BINDING.match(line.strip())
        if found is None:  # an import, an include, or nothing that is known
            continue
        name = f"{block}.{found.group(1)}" if block else found.group(1)
        binding, open_ = (name, found.group(2), number), max(depth, 0)
        if not open_:
            yield _fact(*binding)


def _fact(name: str, value: str, line: int) -> Fact:
    text = collapse(value)
    if len(text) > 1 and text[0] in "\"'" and text[-1] == text[0]:
        text = text[1:-1]
    return Fact("config", name, line, text)


def _code(line: str) -> tuple[str, int]:
    """The line without its comment, and how many more brackets it opens than it closes."""
    depth = 0
    for token in _TOKEN.finditer(line):
        first = token.group()[0]
        if first == "#":
            return line[: token.start()].rstrip(), depth
        depth += (first in "[({") - (first in "])}")
    return line.rstrip(), depth
