"""From answers to a capability's status."""

from __future__ import annotations

from typing import TYPE_CHECKING

from codex_audit.records import Answer, Criterion, Proof, Status

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from codex_audit.outcome import Evidence


def counts_as_met(criterion: Criterion) -> bool:
    """Whether a criterion is met and no gate has refuted it."""
    return criterion.answer is Answer.MET and criterion.proof is not Proof.REFUTED


def is_graded(criterion: Criterion) -> bool:
    """Whether an answer counts: its rule is trusted, or a gate has shown better than any rule."""
    return not criterion.experimental or criterion.proof is Proof.REFUTED


def grade(
    criteria: Mapping[str, Criterion],
    stubs: Sequence[Evidence],
    *,
    trains: bool,
    not_applicable: bool = False,
) -> Status:
    """The status that the answers add up to.

    Experimental criteria have no part in it. `Implemented`: every required criterion that applies
    is met, and none is refuted.
    `Not applicable`: settings say so (`not_applicable`), no criterion applies, or the repository
    trains nothing and all that is left is the question whether it does. What a gate refuted
    was there to be tried, so it applies.
    """
    criteria = {name: one for name, one in criteria.items() if is_graded(one)}
    if any(one.proof is Proof.REFUTED for one in criteria.values()):
        met = any(counts_as_met(one) for one in criteria.values())
        return Status.PARTIALLY if met else Status.MISSING
    applicable = [one for one in criteria.values() if one.answer is not Answer.NOT_APPLICABLE]
    if not_applicable or not applicable:
        return Status.NOT_APPLICABLE
    # What is met by absence alone shows nothing that is there.
    if not any(counts_as_met(one) and one.evidence for one in applicable):
        only_the_question = len(applicable) == 1 < len(criteria)
        if not trains and only_the_question:
            return Status.NOT_APPLICABLE
        return Status.STUBBED if stubs else Status.MISSING
    if all(counts_as_met(one) for one in applicable if one.required):
        return Status.IMPLEMENTED
    return Status.PARTIALLY
