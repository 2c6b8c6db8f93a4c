"""A resumed run stops early where the whole run does: how long nothing got better is kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

from codex_audit.proofs.trainer.runs import Faults
from codex_audit.proofs.trainer.trial import Broken, Seen, Skip, TrainerProof

if TYPE_CHECKING:
    from collections.abc import Mapping

    from codex_audit.proofs.trainer.runs import Result, Run
    from codex_audit.proofs.trainer.trial import Trial

_EVERY = 2


def runs(trial: Trial) -> dict[str, Run] | Skip:
    """A run that is evaluated at each second step, and from a quarter of it on ever worse."""
    lacking = trial.lacks("evaluate_every")
    return lacking or {"whole": _worse(trial, trial.steps // 4)}


def then(trial: Trial, results: Mapping[str, Result]) -> dict[str, Run]:
    """Where that stops early: the same with a save right before, and what resumes it."""
    place = _place(trial, results["whole"])
    if place is None:
        return {}
    source = _worse(trial, trial.steps // 4, saves=(place,))
    return {"source": source, "resumed": _worse(trial, 0, source=source, source_step=place)}


def judge(trial: Trial, results: Mapping[str, Result]) -> Seen | Skip | Broken:
    """Compare the steps at which they stop."""
    whole = results["whole"]
    if not whole.completed:
        return trial.unjudged(f"evaluate_every={_EVERY}", whole)
    place = _place(trial, whole)
    due = len(whole.trace.steps)
    if place is None:
        return Skip(f"it does not stop early within {due} steps, the later of them ever worse")
    source, resumed = results["source"], results["resumed"]
    if not (source.completed and resumed.completed):
        broken = source if not source.completed else resumed
        return Skip(f"not judged: the run {broken.ending}, which other proofs tell")
    if len(source.trace.steps) != due:
        return Skip(
            f"not judged: the run stops after {due} steps, and after {len(source.trace.steps)}"
            " where it saves meanwhile"
        )
    stopped = place + len(resumed.trace.steps)
    if stopped == due:
        return Seen(
            good=True,
            summary=f"resumed after step {place}, it stops early after step {due}, as the whole",
            measured={"stops_after": due},
            method="load",
        )
    ends = "does not stop early" if stopped >= trial.steps else f"stops after step {stopped}"
    return Seen(
        good=False,
        summary=(
            f"early stopping is due after step {due}; resumed after step {place}, when evaluations"
            f" had been worse for a while, the run {ends}: save and load how often none was better"
            " (the patience used up), and the best so far"
        ),
        measured={"stops_after": stopped, "due_after": due, "resumed_at": place},
        method="load",
    )


def _worse(trial: Trial, after: int, **changes: object) -> Run:
    run = trial.run(faults=Faults(worsen_from=after), stops=True, **changes)
    return run.with_knobs(evaluate_every=_EVERY)


def _place(trial: Trial, whole: Result) -> int | None:
    """The step before the one that evaluations, ever worse, make the last; None if they do not.

    None falls on it: some libraries save before they evaluate, and do not when they resume there.
    """
    due = len(whole.trace.steps)
    return due - 1 if whole.completed and 1 < due < trial.steps else None


PROOF = TrainerProof(
    id="stops_when_due",
    claim="A resumed run stops early at the step at which the whole run does",
    why="On preemptible machines patience that begins anew with each resume never ends a run.",
    catches=(
        "a count of evaluations without a better one that is not saved",
        "a best loss that is lost, so that the first one after a resume is the best",
    ),
    remedy="save and load the count and the best loss with the checkpoint",
    runs=runs,
    judge=judge,
    then=then,
    order=29,
)
