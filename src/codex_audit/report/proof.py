"""Holding the answers of the static audit against what gates proved or refuted."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from codex_audit.outcome import Check, Outcome, Verdict
from codex_audit.records import Answer, Capability, Criterion, Proof, Status

if TYPE_CHECKING:
    from collections.abc import Mapping


def subject_in_tree(outcome: Outcome) -> bool | None:
    """Whether the subject on trial is the repository's own; None where no subject is named."""
    subject = outcome.facts.get("subject")
    if not isinstance(subject, dict) or not isinstance(subject.get("in_tree"), bool):
        return None
    return bool(subject["in_tree"])


def weigh(
    capabilities: Mapping[str, Capability], outcomes: Mapping[str, Outcome], *, trains: bool
) -> dict[str, Capability]:
    """The capabilities after the gates had their say.

    Only a gate whose subject is the repository's own code can prove or refute a criterion of
    it. A
    met answer that a check confirms is `PROVEN`; whatever was read in the code, a check that
    failed refutes it, and the capability is graded again.

    Args:
        capabilities: the answers of the static audit.
        outcomes: gate -> its outcome on this tree.
        trains: whether the repository trains a model.
    """
    checks = {
        f"{gate}:{check.id}": check
        for gate, outcome in outcomes.items()
        if subject_in_tree(outcome)
        for check in outcome.checks
    }
    return {name: _weigh(each, checks, trains=trains) for name, each in capabilities.items()}


def _weigh(capability: Capability, checks: Mapping[str, Check], *, trains: bool) -> Capability:
    criteria = {
        name: judge(criterion, {key: checks[key] for key in criterion.proven_by if key in checks})
        for name, criterion in capability.criteria.items()
    }
    if criteria == capability.criteria:
        return capability
    # Imported late: grading reads the catalog, which a report without proofs does not need.
    from codex_audit.capabilities.grading import grade  # noqa: PLC0415

    status = grade(
        criteria,
        capability.stubs,
        trains=trains,
        not_applicable=capability.status is Status.NOT_APPLICABLE,
    )
    return msgspec.structs.replace(capability, criteria=criteria, status=status)


def judge(criterion: Criterion, checks: Mapping[str, Check]) -> Criterion:
    """The criterion after the `gate:check`s that may confirm or refute it.

    A failure outweighs any pass. What does not apply stays so, and a pass alone does not turn
    an unmet answer into a met one: no line would show it.
    """
    if criterion.answer is Answer.NOT_APPLICABLE:
        return criterion
    refuted = [key for key, check in checks.items() if check.verdict is Verdict.FAIL]
    if refuted:
        said = "; ".join(f"{key} refuted it: {checks[key].summary}" for key in refuted)
        unmet = criterion.answer is Answer.UNMET and criterion.gap
        return msgspec.structs.replace(
            criterion,
            answer=Answer.UNMET,
            proof=Proof.REFUTED,
            evidence=(),
            tested_by=None,
            miss="",
            nearest=criterion.evidence[0] if criterion.evidence else criterion.nearest,
            gap=f"{criterion.gap}; {said}" if unmet else said,
        )
    proven = any(check.verdict is Verdict.PASS for check in checks.values())
    if proven and criterion.answer is Answer.MET:
        # What a gate tried outweighs what a test reaches; the test is still shown.
        return msgspec.structs.replace(criterion, proof=Proof.PROVEN)
    return criterion
