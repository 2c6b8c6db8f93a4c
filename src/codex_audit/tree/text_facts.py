"""Facts of prose (Markdown, reStructuredText) and of shell scripts and Makefiles."""

from __future__ import annotations

import re

from codex_audit.tree.config_facts import shell_lines
from codex_audit.tree.facts import TEXT_LIMIT, Fact, collapse
from codex_audit.tree.reading import text_lines

_LINE_LIMIT = 4000
_SENTENCE = re.compile(r"[.!?;] ")

# A backtick fence has no backtick after its language: `` ```x``` `` in a line is none.
_FENCE = re.compile(r"\s*+(`{3,}+|~{3,}+)\s*+([\w+.-]*+)(?!.*`)")
_LINK = re.compile(r"\[([^\]]{0,500}+)\]\(([^)\s]++)[^)]*+\)")
_RST_CODE = re.compile(r"\s*\.\. (?:code-block|code|sourcecode|prompt|console)::\s*([\w-]*)")
_RST_LINE = re.compile(r"([=\-~^\"'#*+`])\1{2,}+\s*$")

# A recipe's line goes on, and its command ends.
_ENDS = re.compile(r"(;|&&|\|\||\b(?:then|else|do))\s*+\\$")


def _lines(text: str) -> list[str]:
    """The lines of a text, cut where no reader would follow: links are sought in all of each."""
    return [line[:_LINE_LIMIT] for line in text_lines(text)]


def _prose(line: str, number: int) -> list[Fact]:
    """A line of prose; a paragraph that is one long line in pieces that end where sentences do."""
    text = collapse(line, _LINE_LIMIT)
    facts = []
    while len(text) > TEXT_LIMIT:
        ends = [end.end() for end in _SENTENCE.finditer(text, TEXT_LIMIT // 3, TEXT_LIMIT)]
        cut = ends[-1] if ends else text.rfind(" ", 1, TEXT_LIMIT)
        cut = cut if cut > 0 else TEXT_LIMIT
        facts.append(Fact("prose", "", number, text[:cut].strip()))
        text = text[cut:].strip()
    return [*facts, Fact("prose", "", number, text)]


def markdown_facts(text: str, first: int = 1) -> list[Fact]:
    """Headings, lines of fenced code, links and prose; `first` is the number of the first line.

    What a comment of HTML hides from the reader is left out.
    """
    facts: list[Fact] = []
    fence, language = "", ""
    hidden = False
    lines = _lines(text)
    closed = max((index for index, line in enumerate(lines) if "-->" in line), default=-1)
    for index, written in enumerate(lines):
        number, line = first + index, written
        if not fence and (hidden or "<!--" in line):
            line, hidden = _shown(line, hidden=hidden, closes=index < closed)
        opened = _FENCE.match(line)
        if opened and not fence:
            fence, language = opened.group(1), opened.group(2).lower()
        elif opened and line.strip().startswith(fence) and not opened.group(2):
            fence = ""
        elif fence:
            if line.strip():
                facts.append(Fact("code", language, number, collapse(line)))
        elif heading := re.match(r"(#{1,6})\s+(.*)", line):
            facts.append(
                Fact("heading", str(len(heading.group(1))), number, collapse(heading.group(2)))
            )
        elif line.strip():
            facts += _prose(line, number)
            facts += [Fact("link", target, number, title) for title, target in _LINK.findall(line)]
    return facts


def _shown(line: str, *, hidden: bool, closes: bool) -> tuple[str, bool]:
    """The line without its comments, and whether one goes on; `closes`: one ends further down."""
    shown = ""
    while True:
        if hidden:
            _, ended, line = line.partition("-->")
            if not ended:
                return shown, True
            hidden = False
        before, begun, rest = line.partition("<!--")
        shown += before
        if not begun or not (closes or "-->" in rest):
            return shown + begun + rest, False
        line, hidden = rest, True


def rst_facts(text: str) -> list[Fact]:
    """Headings (underlined), lines of literal and code blocks, and prose."""
    facts: list[Fact] = []
    lines = _lines(text)
    levels: list[str] = []
    block_indent: int | None = None
    language = ""
    for number, line in enumerate(lines, 1):
        indent = len(line) - len(line.lstrip())
        if block_indent is not None and line.strip():
            if indent > block_indent:
                if not re.match(r"\s*:\w+:", line):
                    facts.append(Fact("code", language, number, collapse(line)))
                continue
            block_indent = None
        if not line.strip() or _RST_LINE.match(line):
            continue
        directive = _RST_CODE.match(line)
        if directive:
            block_indent, language = indent, directive.group(1).lower()
            continue
        underline = lines[number] if number < len(lines) else ""
        if _RST_LINE.match(underline) and not line.startswith(" "):
            mark = underline.strip()[0]
            if mark not in levels:
                levels.append(mark)
            facts.append(Fact("heading", str(levels.index(mark) + 1), number, collapse(line)))
            continue
        facts += _prose(line, number)
        if line.rstrip().endswith("::"):
            block_indent, language = indent, ""
    return facts


def shell_facts(text: str) -> list[Fact]:
    """Command lines of a shell script; directives like `#SBATCH` command a scheduler."""
    facts = [
        Fact("shell", line.split()[0], number, collapse(line))
        for number, line in enumerate(_lines(text), 1)
        if re.match(r"#(SBATCH|PBS|BSUB|\$)\s", line)
    ]
    return facts + list(shell_lines(text, 1))


def makefile_facts(text: str, *, just: bool) -> list[Fact]:
    """Recipe lines of a Makefile or justfile, and its targets as `config` names."""
    facts: list[Fact] = []
    indent = ("\t", " ") if just else ("\t", "    ")  # just takes any
    command: list[str] = []
    for number, line in enumerate(_lines(text), 1):
        if command or (line.startswith(indent) and line.strip()):
            command.append(_ENDS.sub(r"\1", line))
            if not command[-1].rstrip().endswith("\\"):  # else it goes on
                facts += shell_lines("\n".join(command), number - len(command) + 1)
                command = []
        elif target := re.match(r"@?([A-Za-z][\w.-]*+)[^:=#]*+:(?!=)", line):
            facts.append(Fact("config", f"target.{target.group(1)}", number, collapse(line)))
    if command:  # the file ends where it would have gone on
        text = "\n".join(command).rstrip().removesuffix("\\")
        facts += shell_lines(text, number - len(command) + 1)
    return facts
