"""The gaps most worth closing: best impact for effort, required ones first."""

from __future__ import annotations

from typing import TYPE_CHECKING

from codex_audit.capabilities.grading import is_graded
from codex_audit.records import Answer, Capability, Criterion, Status
from codex_audit.report.document import QuickWin
from codex_audit.report.ladder import UNDONE

if TYPE_CHECKING:
    from collections.abc import Mapping

AT_MOST = 10


def quick_wins(capabilities: Mapping[str, Capability]) -> tuple[QuickWin, ...]:
    """At most ten unmet criteria, required first, then by impact over effort."""
    wins = [
        _win(capability, criterion)
        for _, capability in sorted(capabilities.items())
        if capability.status is not Status.NOT_APPLICABLE
        for criterion in capability.criteria.values()
        if criterion.answer is Answer.UNMET and is_graded(criterion)
    ]
    wins.sort(key=lambda win: (not win.required, -win.impact / win.effort, -win.impact))
    return tuple(wins[:AT_MOST])


def _win(capability: Capability, criterion: Criterion) -> QuickWin:
    return QuickWin(
        capability=capability.id,
        criterion=criterion.id,
        required=criterion.required,
        impact=criterion.impact,
        effort=criterion.effort,
        what=_what(criterion),
        where=criterion.nearest,
        how=criterion.remedy,
    )


def _what(criterion: Criterion) -> str:
    """The gap; that documents promise it makes it worth more."""
    gap = criterion.gap or criterion.question
    return f"{gap}; {criterion.mentioned} {UNDONE}" if criterion.mentioned else gap
