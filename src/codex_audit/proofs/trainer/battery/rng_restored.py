"""Every generator goes on after a resume where it was."""

from __future__ import annotations

from typing import TYPE_CHECKING

from codex_audit.proofs.trainer import resuming
from codex_audit.proofs.trainer.trial import Seen, Skip, TrainerProof

if TYPE_CHECKING:
    from collections.abc import Mapping

    from codex_audit.proofs.trainer.runs import Result
    from codex_audit.proofs.trainer.trial import Trial


def judge(trial: Trial, results: Mapping[str, Result]) -> Seen | Skip:
    """Compare each generator right after loading, or else at the first forward pass after it.

    Right after loading comes first: later, other data would draw other numbers as well. A
    trainer may also restore late, as long as it does before the first step.
    """
    if not trial.streams:
        return Skip("the subject neither seeds nor draws from a global generator")
    saved = {save.step: save.rng for save in results[resuming.INTERRUPTED].saves}
    lost: set[str] = set()
    where = 0
    for resume in resuming.resumes(trial, results):
        steps = resume.result.trace.steps
        if not steps:
            return Skip(f"not judged: resumed after step {resume.point}: {resume.problem}")
        kept = resuming.restored(trial, saved.get(resume.point, {}), resume.result)
        at_load = trial.streams - kept
        _, wanted = resuming.reference(trial, results, resume.point)
        at_step = _lost(trial, wanted.before.rng, steps[0].before.rng)
        new = at_load & at_step
        where = where or (resume.point if new else 0)
        lost |= new
    names = ", ".join(sorted(lost))
    every = ", ".join(sorted(trial.streams))
    return Seen(
        good=not lost,
        summary=(
            f"resumed after step {where}, the generator state of {names} is not that of the saved "
            "run; save and restore it"
            if lost
            else f"after every resume the generators of {every} go on where they were"
        ),
        measured={name: name not in lost for name in sorted(trial.streams)},
        method="load",
    )


def _lost(trial: Trial, one: Mapping[str, str], other: Mapping[str, str]) -> set[str]:
    return {name for name in trial.streams if one.get(name) != other.get(name) or not one}


PROOF = TrainerProof(
    id="rng_restored",
    claim="After a resume every generator goes on where it was: Python, NumPy, torch, each device",
    why="Dropout masks, augmentation and shuffling of a resumed run repeat or part from it.",
    catches=("accelerate 1.0.1 restored no generator under torch 2.6, with an info line only",),
    remedy="save and restore the state of each generator named; `codex_ml.seeding` has both",
    runs=resuming.runs,
    judge=judge,
    order=5,
)
