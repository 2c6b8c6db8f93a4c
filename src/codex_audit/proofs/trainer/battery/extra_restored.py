"""What the subject keeps beside weights and optimizer is there again after a resume."""

from __future__ import annotations

from typing import TYPE_CHECKING

from codex_audit.proofs.trainer import resuming
from codex_audit.proofs.trainer.bits import difference
from codex_audit.proofs.trainer.trial import Seen, Skip, TrainerProof

if TYPE_CHECKING:
    from collections.abc import Mapping

    from codex_audit.proofs.trainer.runs import Result
    from codex_audit.proofs.trainer.trace import State, Tensors
    from codex_audit.proofs.trainer.trial import Trial


def judge(trial: Trial, results: Mapping[str, Result]) -> Seen | Skip:
    """Compare what `state()` tells at the first step after loading."""
    found = 0
    for resume in resuming.resumes(trial, results):
        steps = resume.result.trace.steps
        if not steps:
            return Skip(f"not judged: resumed after step {resume.point}: {resume.problem}")
        trace, wanted = resuming.reference(trial, results, resume.point)
        one = _further(wanted.before)
        found = max(found, len(one))
        other = {name: bits for name, bits in steps[0].before.extra.items() if name in one}
        lost = difference(one, trace.file, other, resume.result.trace.file)
        if lost is not None:
            more = f", and {lost.count - 1} more" if lost.count > 1 else ""
            return Seen(
                good=False,
                summary=(
                    f"resumed after step {resume.point}, `{lost.name}` of the subject's own state "
                    f"is not what it was ({lost.note}{more}): save and load it"
                ),
                measured={"resumed_at": resume.point},
                method="load",
            )
    if not found:
        return Skip("the subject tells of no state beyond weights and optimizer")
    return Seen(
        good=True,
        summary=f"after every resume {found} tensors beyond weights and optimizer are as they were",
        measured={"tensors": found},
        method="load",
    )


def _further(state: State) -> Tensors:
    """What is not simply a weight, a buffer or the optimizer's, under another name."""
    known = [*state.parameters.items(), *state.buffers.items(), *state.optimizer.items()]
    return {
        name: bits
        for name, bits in state.extra.items()
        if not any(bits.same_as(other) and name.endswith(own) for own, other in known)
    }


PROOF = TrainerProof(
    id="extra_restored",
    claim="After a resume the average of the weights and callbacks' state are what they were",
    why="An average that begins again from the weights, or early stopping from zero, goes unseen.",
    catches=("an average of the weights that is not saved", "counters of a callback"),
    remedy="save and load what the check names",
    runs=resuming.runs,
    judge=judge,
    order=28,
)
