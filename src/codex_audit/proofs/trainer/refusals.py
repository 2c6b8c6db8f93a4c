"""A setting that a subject refuses in words, as opposed to one that it breaks on."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from codex_audit.proofs.trainer.runs import Result

_FRAME = re.compile(r'^ +File "([^"]+)", line \d+, in .*\n +(\S.*)$', re.MULTILINE)
_ON_PURPOSE = re.compile(r"(raise|assert)\b")
_OF_RANKS = re.compile(
    r"\b(multi\w*|ranks?|process(es)?|world|distributed|ddp|parallel\w*|devices?|gpus?|nodes?)\b",
    re.IGNORECASE,
)
_TORCH = re.compile(r"[/\\]torch[/\\]")


def words(ranks: Sequence[Result]) -> str:
    """The words in which every rank refuses before its first step that there are several; or "".

    It is raised on purpose, by the subject or its library and not by torch, and speaks of ranks:
    whatever else ends a run at its beginning is a crash.
    """
    failures = [each.failure for each in ranks]
    first = failures[0]
    if first is None or any(each.trace.steps or each.trace.pending for each in ranks):
        return ""
    alike = all(each is not None and each.type == first.type for each in failures)
    frames = _FRAME.findall(first.traceback)
    if not alike or not frames or not _OF_RANKS.search(first.message):
        return ""
    path, line = frames[-1]
    return first.shown if _ON_PURPOSE.match(line) and not _TORCH.search(path) else ""
