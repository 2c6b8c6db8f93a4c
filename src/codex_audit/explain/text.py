"""Laying out an explanation: paragraphs of one width, and quoted files as they are."""

from __future__ import annotations

import textwrap

WIDTH = 92


def heading(kind: str, name: str, summary: str) -> str:
    """The first two lines: what it is, and what it says in a sentence."""
    return f"{kind} {name}\n{indented(summary)}"


def named(name: str, text: str) -> str:
    """A paragraph that starts with its name; empty without text."""
    if not text:
        return ""
    return textwrap.fill(
        f"{name}: {text}", width=WIDTH, initial_indent="  ", subsequent_indent="    "
    )


def listed(name: str, items: list[str]) -> str:
    """A list under its name; empty without items."""
    if not items:
        return ""
    wrapped = [
        textwrap.fill(item, width=WIDTH, initial_indent="    - ", subsequent_indent="      ")
        for item in items
    ]
    return "\n".join([f"  {name}:", *wrapped])


def indented(text: str) -> str:
    """A paragraph, set in."""
    return textwrap.fill(text, width=WIDTH, initial_indent="  ", subsequent_indent="  ")


def quoted(name: str, files: dict[str, str]) -> str:
    """Files under a name, each with its path and set in, their lines as they are."""
    parts = [f"  {name}:"]
    for path, content in files.items():
        body = content.rstrip("\n").expandtabs(4)
        lines = (
            [f"      {line}".rstrip() for line in body.split("\n")] if body else ["      (empty)"]
        )
        parts += [f"    {path}", *lines]
    return "\n".join(parts)


def joined(*parts: str) -> str:
    """The parts that say something, a blank line after the heading and around quotations."""
    head, *rest = [part for part in parts if part]
    return "\n".join([head, "", *rest]) if rest else head
