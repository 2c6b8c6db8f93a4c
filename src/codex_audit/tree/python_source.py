"""Python source as bytes, its syntax tree, and where its comments say that it is unfinished."""

from __future__ import annotations

import ast
import re
import warnings

from codex_audit.tree.facts import Noted
from codex_audit.tree.reading import python_utf8, snippet_of

# A syntax tree takes some hundred bytes of memory for each byte of dense source.
PYTHON_LIMIT = 2 * 1024 * 1024
# A marker is a comment's own word, not the word inside a string or a name.
_MARKER = re.compile(rb"\b(TODO|FIXME)\b")


def parse(source: bytes) -> tuple[ast.Module, list[bytes]]:
    """The syntax tree, and the lines in UTF-8, which its offsets count in.

    Raises:
        SyntaxError: it is no Python that this interpreter knows.
        ValueError: it has NUL bytes, or more than `PYTHON_LIMIT` bytes.
        RecursionError: it is nested too deeply.
        MemoryError: it is nested too deeply for the parser.
    """
    if len(source) > PYTHON_LIMIT:
        raise ValueError(f"larger than {PYTHON_LIMIT} bytes: not read as source")
    text = python_utf8(source)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # invalid escapes are the file's own affair
        tree = ast.parse(source if text is source else text.decode())
    return tree, text.splitlines(keepends=True)


def unfinished(source: bytes) -> tuple[Noted, ...]:
    """Each TODO and FIXME in a comment."""
    if b"TODO" not in source and b"FIXME" not in source:
        return ()
    return tuple(
        Noted(number, found.group(1).decode(), snippet_of(line.decode("utf-8", "replace")))
        for number, line in enumerate(source.splitlines(), 1)
        if (start := line.find(b"#")) >= 0 and (found := _MARKER.search(line, start))
    )
