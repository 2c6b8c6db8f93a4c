"""No sample is skipped or repeated over an epoch that was interrupted."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from codex_audit.proofs.trainer import resuming
from codex_audit.proofs.trainer.trial import Seen, Skip, TrainerProof

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from codex_audit.proofs.trainer.runs import Result
    from codex_audit.proofs.trainer.trace import Step
    from codex_audit.proofs.trainer.trial import Trial

_SHOWN = 6


def judge(trial: Trial, results: Mapping[str, Result]) -> Seen | Skip:
    """Compare what each step was given, by the samples' indices, else by its content."""
    straight = trial.straight.trace.steps
    indices = all(step.indices is not None for step in straight)
    if not indices and not all(any(m.content for m in step.micros) for step in straight):
        return Skip("what the model is given could not be seen")
    compared = 0
    for resume in resuming.resumes(trial, results):
        steps = resume.result.trace.steps
        if not steps:
            return Skip(f"not judged: resumed after step {resume.point}: {resume.problem}")
        wanted = straight[resume.point :]
        for a, b in zip(wanted, steps, strict=False):
            if not indices and _parted(a, b):
                break  # what is given may be made by what is trained, as an adversary's samples
            compared += 1
            if _given(a, indices=indices) != _given(b, indices=indices):
                return _fault(trial, resume, wanted, a.number, indices=indices)
    what = "samples" if indices else "contents (the samplers told no indices)"
    if not compared:
        return Skip(
            "not judged: after each resume the weights already differ, of which the content that is"
            " given may be made"
        )
    return Seen(
        good=True,
        summary=f"{compared} steps after resumes trained on the same {what}",
        measured={"steps_compared": compared, "first_different_step": None},
        method="load",
    )


def _parted(a: Step, b: Step) -> bool:
    """Whether the weights differ before the step."""
    one, other = a.before.parameters, b.before.parameters
    return any(not bits.same_as(other.get(name)) for name, bits in one.items())


def _given(step: Step, *, indices: bool) -> object:
    return step.indices if indices else tuple(micro.content for micro in step.micros)


def _fault(
    trial: Trial, resume: resuming.Resume, wanted: Iterable[Step], number: int, *, indices: bool
) -> Seen:
    other = resume.result.trace.steps[number - resume.point - 1]
    summary = f"resumed after step {resume.point}, step {number} trained on other content"
    if indices:
        one = trial.straight.trace.steps[number - 1]
        summary = (
            f"resumed after step {resume.point}, step {number} trained on samples "
            f"{_shown(other)}, and on {_shown(one)} without the interruption"
        )
        if trial.epoch is not None:
            end = -(-number // trial.epoch) * trial.epoch - resume.point
            summary += _skipped_and_repeated(list(wanted)[:end], resume.result.trace.steps[:end])
    return Seen(
        good=False,
        summary=summary,
        measured={"first_different_step": number, "resumed_at": resume.point},
        method="load",
    )


def _skipped_and_repeated(wanted: Iterable[Step], made: Iterable[Step]) -> str:
    due = Counter(row for step in wanted for row in step.indices or ())
    seen = Counter(row for step in made for row in step.indices or ())
    skipped, again = due - seen, seen - due
    return (
        f"; to the end of that epoch {skipped.total()} samples are skipped and {again.total()} "
        "come again: save and restore the position in the data"
        if skipped or again
        else "; each sample still comes once an epoch, in another order"
    )


def _shown(step: Step) -> str:
    rows = step.indices or ()
    return f"[{', '.join(map(str, rows[:_SHOWN]))}{', ...' if len(rows) > _SHOWN else ''}]"


PROOF = TrainerProof(
    id="data_order_continues",
    claim="After a resume each step trains on the samples that it would have had",
    why="A restarted epoch shows the model its first samples twice and its last ones never.",
    catches=("a sampler that restarts", "a batch fetched ahead and lost", "an epoch drawn anew"),
    remedy="save the position and the order; `codex_ml.data.ResumableLoader` does",
    runs=resuming.runs,
    judge=judge,
    order=6,
)
