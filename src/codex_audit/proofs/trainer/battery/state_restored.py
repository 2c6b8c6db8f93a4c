"""Weights, optimizer, schedule and progress are there again after loading."""

from __future__ import annotations

from typing import TYPE_CHECKING

from codex_audit.proofs.trainer import bisect, resuming
from codex_audit.proofs.trainer.bits import difference
from codex_audit.proofs.trainer.runs import OTHER_SEED
from codex_audit.proofs.trainer.trial import Seen, Skip, TrainerProof

if TYPE_CHECKING:
    from collections.abc import Mapping

    from codex_audit.proofs.trainer.runs import Result, Run
    from codex_audit.proofs.trainer.trace import Tensors
    from codex_audit.proofs.trainer.trial import Trial

_ELSEWHERE = "another seed"


def runs(trial: Trial) -> dict[str, Run]:
    """The resumes, and one in a process that was given another seed.

    A `load` that makes the same training again, from the seed, is as exact as one that loads.
    """
    point = max(resuming.points(trial))
    source = resuming.interrupted(trial)
    other = trial.run(seed=OTHER_SEED, until=point + 1, source=source, source_step=point)
    return {**resuming.runs(trial), _ELSEWHERE: other}


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
            again = "; it begins anew instead of going on" if made >= trial.steps else ""
            words = f"after loading, {made} steps were made where {left} were left{again}"
            lost = [words, *lost]
        if lost:
            source = results[resuming.INTERRUPTED].trace
            lost.append(resuming.changed_since(source, resume.point, results))
            return Seen(
                good=False,
                summary=f"resumed after step {resume.point}: {'; '.join(filter(None, lost))}",
                measured={"steps_after_load": made},
                method="load",
            )
        checked += 1
    unread, made = _unread(trial, results)
    if unread:
        return Seen(good=False, summary=unread, method="load")
    besides = f"; {made} frozen parameters are not saved, but made from the seed" if made else ""
    return Seen(
        good=True,
        summary=(
            f"after each of {checked} resumes weights, buffers, optimizer, rates, loss scale and "
            f"progress are those of the run that saved{besides}"
        ),
        measured={"resumes": checked},
        method="load",
    )


def _unread(trial: Trial, results: Mapping[str, Result]) -> tuple[str, int]:
    """Whether, under another seed, what is trained is not that of the checkpoint.

    Of frozen weights only their number is told: a checkpoint of adapters leaves them out.
    """
    point = max(resuming.points(trial))
    result, source = results[_ELSEWHERE], results[resuming.INTERRUPTED]
    if not result.trace.steps or len(source.trace.steps) <= point:
        return "", 0  # a checkpoint of another seed may be refused
    # Those that only an optimizer holds are another proof's to tell.
    orphans = {*source.trace.orphans, *result.trace.orphans}
    frozen = {*source.trace.frozen} & {*result.trace.frozen}
    theirs = result.trace.steps[0].before.parameters
    ours = source.trace.steps[point].before.parameters
    found = difference(
        _without(ours, orphans | frozen),
        source.trace.file,
        _without(theirs, orphans | frozen),
        result.trace.file,
    )
    if found is None:
        made = [name for name in frozen & ours.keys() if not ours[name].same_as(theirs.get(name))]
        return "", len(made)
    return (
        f"resumed after step {point} with another seed, the weights are not those that were saved"
        f" (`{found.name}`, {found.note}): load makes them from the seed instead of reading them"
    ), 0


def _without(parameters: Tensors, names: set[str]) -> Tensors:
    return {name: bits for name, bits in parameters.items() if name not in names}


PROOF = TrainerProof(
    id="state_restored",
    claim="After loading, weights, buffers, optimizer, rates, loss scale and progress are back",
    why="What is not restored starts anew: moments at zero, warm-up again, an average lost.",
    catches=("an optimizer or scheduler that is saved and not loaded", "an average of the weights"),
    remedy="save and load the state_dict of what the check names",
    runs=runs,
    judge=judge,
    order=4,
)
