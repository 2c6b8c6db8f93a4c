"""Escaping for Markdown: text from anywhere shown as text, in a paragraph or a table cell."""

from __future__ import annotations

import re

# A line of such a place, quoted as evidence, would look as if it came from there.
ENVIRONMENT = re.compile(r"site-packages|__pycache__|\.venv/|\.nox/")
CODE_SPAN = re.compile(r"(?<!`)(`+)(?!`)(.+?)(?<!`)\1(?!`)")
SPECIAL = re.compile(
    r"\\(?=[!-/:-@\[-`{-~])|[<*]|&(?=#?\w+;)|`|~~|(?<=\])\(|(?<![^\W_])_|_(?![^\W_])"
)


def one_line(text: str) -> str:
    """The text with each run of white space as one blank, and no control characters."""
    return " ".join("".join(char if char.isprintable() else " " for char in text).split())


def shorten(text: str, width: int) -> str:
    """The text on one line of at most `width` characters, with an ellipsis where it was cut."""
    line = one_line(text)
    return line if len(line) <= width else line[: width - 1].rstrip() + "…"


def text(value: object) -> str:
    """Markdown that shows `value` as it is, but for code spans in it, which stay code."""
    line = one_line(str(value))
    parts = []
    end = 0
    for span in CODE_SPAN.finditer(line):
        parts += [_escaped(line[end : span.start()]), span.group()]
        end = span.end()
    return "".join([*parts, _escaped(line[end:])])


def code(value: object) -> str:
    """A code span that holds `value`, backticks included."""
    line = one_line(str(value))
    longest = max((len(run) for run in re.findall(r"`+", line)), default=0)
    fence = "`" * (longest + 1)
    pad = " " if line.startswith("`") or line.endswith("`") or not line else ""
    return f"{fence}{pad}{line}{pad}{fence}"


def cell(markdown: str) -> str:
    r"""Markdown made fit for a table cell: every `|` escaped.

    A `\` just before a `|` in a code span gets a blank after it: readers of tables disagree on
    whether `\\|` ends the cell, and a cell may not depend on the reader.
    """
    parts = []
    end = 0
    for span in CODE_SPAN.finditer(markdown):
        parts += [markdown[end : span.start()], re.sub(r"\\(?=\|)", r"\\ ", span.group())]
        end = span.end()
    whole = "".join([*parts, markdown[end:]])
    return one_line(whole.replace("|", "\\|"))


def _escaped(value: str) -> str:
    return SPECIAL.sub(lambda match: f"\\{match.group()}", value)
