"""After a resume the learning rate goes on where it was."""

from __future__ import annotations

from typing import TYPE_CHECKING

from codex_audit.proofs.trainer import resuming
from codex_audit.proofs.trainer.trial import Seen, Skip, TrainerProof

if TYPE_CHECKING:
    from collections.abc import Mapping

    from codex_audit.proofs.trainer.runs import Result
    from codex_audit.proofs.trainer.trial import Trial


def judge(trial: Trial, results: Mapping[str, Result]) -> Seen | Skip:
    """Compare the rates of each step after loading, as long as the losses before it agree.

    A schedule may depend on the losses: where those part, other rates are no fault of its own.
    """
    straight = trial.straight.trace.steps
    if len({step.rates for step in straight}) < 2:  # noqa: PLR2004 - a constant rate has one
        return Skip("the learning rate is the same at every step: nothing of it could be lost")
    compared = 0
    for resume in resuming.resumes(trial, results):
        steps = resume.result.trace.steps
        if not steps:
            return Skip(f"not judged: resumed after step {resume.point}: {resume.problem}")
        for wanted, found in zip(straight[resume.point :], steps, strict=False):
            number = resume.point + found.number
            if wanted.rates != found.rates:
                return Seen(
                    good=False,
                    summary=(
                        f"resumed after step {resume.point}, the learning rate of step {number} is "
                        f"{_shown(found.rates)} instead of {_shown(wanted.rates)}: save and load "
                        "the schedule, or compute the rate from the steps done"
                    ),
                    measured={"first_different_step": number, "resumed_at": resume.point},
                    method="load",
                )
            compared += 1
            if wanted.loss != found.loss:
                break
    return Seen(
        good=True,
        summary=f"the rates of {compared} steps after resumes are those of the straight run",
        measured={"steps_compared": compared, "first_different_step": None},
        method="load",
    )


def _shown(rates: tuple[float, ...]) -> str:
    return ", ".join(f"{rate:.6g}" for rate in rates)


PROOF = TrainerProof(
    id="scheduler_restored",
    claim="After a resume the learning rate of each step is what it would have been",
    why="A schedule that begins again warms up again: the loss jumps, and the run ends elsewhere.",
    catches=("a scheduler that is not saved, or saved and not loaded", "a count that starts at 0"),
    remedy="save and load the scheduler, or make the rate a function of the step alone",
    runs=resuming.runs,
    judge=judge,
    order=26,
)
