"""Facts of notebooks: code cells as Python, Markdown cells as prose, at their lines of the file."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import msgspec

from codex_audit.tree.facts import FileFacts, Problem
from codex_audit.tree.python_facts import python_facts
from codex_audit.tree.text_facts import markdown_facts

if TYPE_CHECKING:
    from codex_audit.tree.facts import Fact, Interest


def notebook_facts(path: str, role: str, source: bytes, interest: Interest) -> FileFacts:
    """The facts of a notebook. Lines of magics and shell escapes are left out of the code."""
    text = source.decode("utf-8", "replace")
    physical = text.splitlines()
    try:
        cells = _cells(json.loads(text))
    except (ValueError, RecursionError) as error:
        return FileFacts(path, role, len(physical), (), problem=Problem(1, f"notebook: {error}"))
    facts: list[Fact] = []
    code: list[str] = []
    places: list[int] = []
    cursor = 0
    code_lines = 0
    for kind, lines in cells:
        where = []
        for line in lines:
            cursor = _find(physical, json.dumps(line, ensure_ascii=False)[1:-1], cursor)
            where.append(cursor + 1)
        if kind == "markdown":
            facts += [
                msgspec.structs.replace(fact, line=where[fact.line - 1])
                for fact in markdown_facts("\n".join(lines))
            ]
        elif kind == "code":
            magic = lines and lines[0].startswith("%%")
            kept = [
                "" if magic or line.lstrip().startswith(("!", "%", "?")) else line for line in lines
            ]
            code += kept
            places += where
            code_lines += sum(1 for line in kept if line.strip())
    inner = python_facts(path, role, "\n".join(code).encode(), interest)
    facts += [
        msgspec.structs.replace(fact, line=places[min(fact.line, len(places)) - 1])
        for fact in inner.facts
    ]
    # One cell with a syntax error is usual in notebooks: it costs its facts, not a problem.
    return FileFacts(path, role, len(physical), tuple(facts), code_lines=code_lines)


def _cells(data: Any) -> list[tuple[str, list[str]]]:
    if not isinstance(data, dict):
        raise ValueError("not a notebook's object")  # noqa: TRY004 - it is the file's value that is wrong
    cells = data.get("cells")
    if cells is None:  # nbformat 3
        cells = [cell for sheet in data.get("worksheets", []) for cell in sheet.get("cells", [])]
    found = []
    for cell in cells:
        source = cell.get("source", cell.get("input", ""))
        text = source if isinstance(source, str) else "".join(source)
        found.append((str(cell.get("cell_type", "")), text.splitlines()))
    return found


def _find(physical: list[str], needle: str, start: int) -> int:
    """The index of the next physical line that holds `needle`; where it was, when there is none."""
    if not needle.strip():
        return start
    for index in range(start, len(physical)):
        if needle in physical[index]:
            return index
    return start
