"""Facts of notebooks: code cells as Python, Markdown cells as prose, at their lines of the file."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from codex_audit.tree.facts import FileFacts, Problem
from codex_audit.tree.python_facts import python_facts
from codex_audit.tree.reading import plain_utf8, text_lines
from codex_audit.tree.text_facts import markdown_facts

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from codex_audit.tree.facts import Fact, Interest


# A string of JSON, in the text of a file that is known to be JSON.
_STRING = re.compile(r'"(?:[^"\\]++|\\.)*+"')


class _Line(NamedTuple):
    """One line of a cell and the line of the file that holds it."""

    text: str
    place: int


def notebook_facts(path: str, role: str, source: bytes, interest: Interest) -> FileFacts:
    """The facts of a notebook. Lines of magics and shell escapes are left out of the code."""
    text = "\n".join(text_lines(plain_utf8(source).decode("utf-8", "replace")))
    physical = text.count("\n") + bool(text)
    if not text.strip():
        return FileFacts(path, role, physical, ())
    try:
        cells = list(_cells(json.loads(text)))
    except (ValueError, RecursionError) as error:
        return FileFacts(path, role, physical, (), problem=Problem(1, f"notebook: {error}"))
    facts: list[Fact] = []
    code: list[_Line] = []
    strings = _Strings(text)
    for kind, items in cells:
        lines = _lines(items, strings)
        if kind == "markdown":
            facts += _placed(markdown_facts("\n".join(line.text for line in lines)), lines)
        elif kind == "code":
            magic = bool(lines) and lines[0].text.startswith("%%")
            code += [
                _Line("", line.place)
                if magic or line.text.lstrip().startswith(("!", "%", "?"))
                else line
                for line in lines
            ]
    inner = python_facts(
        path, role, "\n".join(line.text for line in code).encode("utf-8", "replace"), interest
    )
    facts += _placed(inner.facts, code)
    # One cell with a syntax error is usual in notebooks: it costs its facts, not a problem.
    code_lines = sum(1 for line in code if line.text.strip())
    return FileFacts(path, role, physical, tuple(facts), code_lines=code_lines)


def _placed(facts: Iterable[Fact], lines: list[_Line]) -> list[Fact]:
    return [
        msgspec.structs.replace(fact, line=lines[min(fact.line, len(lines)) - 1].place)
        for fact in facts
    ]


def _cells(data: Any) -> Iterator[tuple[str, list[str]]]:
    """The kind of each cell and its source: strings, each of a line or more.

    Raises:
        ValueError: it is JSON, but not a notebook's.
    """
    if not isinstance(data, dict):
        raise ValueError("not a notebook's object")  # noqa: TRY004 - it is the file's value that is wrong
    cells = data.get("cells")
    if cells is None:  # nbformat 3
        sheets = [sheet for sheet in _list(data.get("worksheets", [])) if isinstance(sheet, dict)]
        cells = [cell for sheet in sheets for cell in _list(sheet.get("cells", []))]
    for cell in _list(cells):
        if isinstance(cell, dict):
            source = cell.get("source", cell.get("input", ""))
            items = source if isinstance(source, list) else [source]
            yield (
                str(cell.get("cell_type", "")),
                [item for item in items if isinstance(item, str)],
            )


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise ValueError("its cells are no list")  # noqa: TRY004 - as above
    return value


class _Strings:
    """The strings of a JSON text in their order: each is sought after the one found before it."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._found = _STRING.finditer(text)
        self._line = 1
        self._counted = 0

    def line_of(self, wanted: str) -> int:
        """The line of the next string that is `wanted`; the source of a cell always has one."""
        written = {json.dumps(wanted), json.dumps(wanted, ensure_ascii=False)}
        for found in self._found:
            raw = found.group()
            if raw in written or (len(raw) <= 6 * len(wanted) + 2 and _says(raw, wanted)):
                self._line += self._text.count("\n", self._counted, found.start())
                self._counted = found.start()
                break
        return self._line


def _says(raw: str, wanted: str) -> bool:
    """Whether a string of JSON is `wanted`, however its characters are escaped."""
    return "\\" in raw and json.loads(raw) == wanted


def _lines(items: list[str], strings: _Strings) -> list[_Line]:
    """The lines of a cell; one can begin in one string and end in another."""
    found: list[_Line] = []
    begun = _Line("", 0)
    for item in items:
        place = strings.line_of(item)
        for part in item.splitlines(keepends=True):
            begun = _Line(begun.text + part, begun.place or place)
            if part.splitlines()[0] != part:  # it has its line end
                found.append(_Line(begun.text.splitlines()[0], begun.place))
                begun = _Line("", 0)
    return [*found, begun] if begun.text else found
