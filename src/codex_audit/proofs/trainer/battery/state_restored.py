"""Weights, optimizer, schedule and progress are there again after loading."""

from __future__ import annotations

from typing import TYPE_CHECKING

from codex_audit.proofs.trainer import bisect, resuming
from codex_audit.proofs.trainer.trial import Seen, Skip, TrainerProof

if TYPE_CHECKING:
    from collections.abc import Mapping

    from codex_audit.proofs.trainer.runs import Result
    from codex_audit.proofs.trainer.trial import Trial


def judge(trial: Trial, results: Mapping[str, Result]) -> Seen | Skip:
    """Compare the first step after loading with the same step of the run that saved."""
    checked = 0
    for resume in resuming.resumes(trial, results):
        steps = resume.result.trace.steps
        if not steps:
            return Skip(f"not judged: resumed after step {resume.point}: {resume.problem}")
        trace, wanted = resuming.reference(trial, results, resume.point)
        lost = bisect.lost_state(trace, wanted, resume.result.trace, steps[0])
        made, left = len(steps), trial.steps - resume.point
        if made != left:
            lost = [f"after loading, {made} steps were made where {left} were left", *lost]
        if lost:
            return Seen(
                good=False,
                summary=f"resumed after step {resume.point}: {'; '.join(lost)}",
                measured={"steps_after_load": made},
                method="load",
            )
        checked += 1
    return Seen(
        good=True,
        summary=(
            f"after each of {checked} resumes weights, buffers, optimizer, rates, loss scale and "
            "progress are those of the run that saved"
        ),
        measured={"resumes": checked},
        method="load",
    )


PROOF = TrainerProof(
    id="state_restored",
    claim="After loading, weights, buffers, optimizer, rates, loss scale and progress are back",
    why="What is not restored starts anew: moments at zero, warm-up again, an average lost.",
    catches=("an optimizer or scheduler that is saved and not loaded", "an average of the weights"),
    remedy="save and load the state_dict of what the check names",
    runs=resuming.runs,
    judge=judge,
    order=4,
)
