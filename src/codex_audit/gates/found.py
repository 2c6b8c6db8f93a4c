"""From what a tool says of a place to a finding: relative paths, source lines, summaries."""

from __future__ import annotations

from collections import Counter
from functools import lru_cache
from typing import TYPE_CHECKING

from codex_audit.outcome import Finding, fingerprint

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from codex_audit.outcome import Level


def relative(root: Path, path: str) -> str:
    """`path`, absolute or relative to `root`, as a POSIX path relative to `root`."""
    whole = root / path
    return whole.relative_to(root).as_posix() if whole.is_relative_to(root) else path


def source_line(root: Path, path: str, line: int) -> str:
    """The text of a line, counted from 1; empty where the file has no such line."""
    lines = _lines(root / path)
    return lines[line - 1].strip() if 0 < line <= len(lines) else ""


def finding(
    root: Path,
    rule: str,
    level: Level,
    message: str,
    place: tuple[str, int],
    suppressed_by: str | None = None,
) -> Finding:
    """A finding at `place`, a path and a line, with the fingerprint of its source line."""
    path = relative(root, place[0])
    mark = fingerprint(rule, path, source_line(root, path, place[1]))
    return Finding(rule, level, " ".join(message.split()), path, place[1], mark, suppressed_by)


def most_frequent(findings: Iterable[Finding], count: int = 3) -> str:
    """The commonest rules with their counts, as a summary names them: `F401 x 3, E501`."""
    rules = Counter(found.rule for found in findings).most_common(count)
    return ", ".join(f"{rule} x {times}" if times > 1 else rule for rule, times in rules)


def plural(count: int, noun: str) -> str:
    """`1 file`, `2 files`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


@lru_cache(maxsize=64)
def _lines(path: Path) -> tuple[str, ...]:
    try:
        return tuple(path.read_text(encoding="utf-8", errors="replace").splitlines())
    except OSError:
        return ()  # a tool may name a file that it made up or removed, such as `<string>`
