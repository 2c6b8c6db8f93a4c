"""The ladder in words: what an unmet criterion lacks, which test reaches a met one."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from codex_audit.capabilities.grading import is_graded
from codex_audit.records import Answer, Status

if TYPE_CHECKING:
    from collections.abc import Mapping

    from codex_audit.records import Capability, Criterion

RUNGS = ("mentioned", "coded", "tested", "proven", "refuted")
UNDONE = "speaks of it, no code was found that does it"


def told_gap(criterion: Criterion) -> str:
    """The gap in a sentence: what was looked for, the nearest miss, what only documents say."""
    parts = [criterion.gap or f"unmet: {criterion.question}"]
    if criterion.nearest is not None:
        parts.append(nearest_miss(criterion, str(criterion.nearest)))
    if criterion.mentioned is not None:
        parts.append(f"{criterion.mentioned} {UNDONE}")
    return "; ".join(part.rstrip(".") for part in parts)


def nearest_miss(criterion: Criterion, place: str) -> str:
    """The line that comes closest, and why it is not it."""
    return f"{place} {criterion.miss}" if criterion.miss else f"the nearest line is {place}"


def counted(capabilities: Mapping[str, Capability]) -> str:
    """How many graded criteria stand on each rung, those that documents only mention last."""
    found = Counter(
        criterion.rung
        for capability in capabilities.values()
        if capability.status is not Status.NOT_APPLICABLE
        for criterion in capability.criteria.values()
        if is_graded(criterion)
    )
    met = ", ".join(f"{found[rung]} {rung}" for rung in RUNGS[1:])
    return f"{met}; {found['mentioned']} only mentioned in documents"


def properties(capabilities: Mapping[str, Capability]) -> dict[str, Any]:
    """Each criterion's rung, with the lines that put it there, by `capability.criterion`."""
    return {
        f"{capability.id}.{criterion.id}": _properties(criterion)
        for capability in capabilities.values()
        for criterion in capability.criteria.values()
        if criterion.rung
    }


def _properties(criterion: Criterion) -> dict[str, Any]:
    said: dict[str, Any] = {"answer": str(criterion.answer), "rung": criterion.rung}
    if criterion.answer is Answer.MET and criterion.evidence:
        said["evidence"] = str(criterion.evidence[0])
    if criterion.tested_by is not None:
        said["testedBy"] = str(criterion.tested_by.evidence)
        said["reaches"] = criterion.tested_by.reaches
    if criterion.mentioned is not None:
        said["mentioned"] = str(criterion.mentioned)
    return said
