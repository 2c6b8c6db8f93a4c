"""The runs that several proofs share: one that saves and is killed, and one resumed from each save.

Resuming at one point only would see too little: faults sit apart in the middle of the first
epoch, at its last batch, and inside a later epoch.
"""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import msgspec

from codex_audit.proofs.trainer.bisect import Divergence, diverge
from codex_audit.proofs.trainer.pairs import BATCH, MICROS, Pair
from codex_audit.proofs.trainer.runs import Faults, Result

if TYPE_CHECKING:
    from collections.abc import Mapping

    from codex_audit.proofs.trainer.runs import Run
    from codex_audit.proofs.trainer.trace import Step, Trace
    from codex_audit.proofs.trainer.trial import Trial

INTERRUPTED = "interrupted"
_PAST = 2
_OTHER_DATA = (
    "the data begins anew when training goes on after a stop, or saving moves the sampler or its"
    " generator; keep the position between stops"
)
_KILLED = -int(signal.SIGKILL)


class Resume(msgspec.Struct, frozen=True):
    """One resumed run against the straight one; `problem` is empty where they agree."""

    point: int
    where: str
    problem: str
    compared: int
    result: Result
    divergence: Divergence | None = None


def points(trial: Trial) -> dict[int, str]:
    """Steps to resume after -> where in its epoch that is."""
    last = trial.steps - _PAST - 1
    epoch = trial.epoch
    if epoch is None or epoch + _PAST >= last:
        middle = trial.steps // 2
        return {1: "", middle: ""} if middle > 1 else {1: ""}
    found = {1: " (the first)"}
    found[max(1, epoch // 2)] = " (inside the first epoch)"
    found[epoch] = " (the end of an epoch)"
    found[min(last, epoch + max(1, epoch // 3))] = " (inside a later epoch)"
    if trial.thorough:
        found |= {epoch - 1: " (before the last of an epoch)", epoch + 1: " (the first of a later)"}
        found |= {min(last, 2 * epoch): " (the end of a later epoch)"}
    return dict(sorted((point, where) for point, where in found.items() if 1 <= point <= last))


def interrupted(trial: Trial) -> Run:
    """Saves at every point and trains on, until it is killed inside a step where it can be."""
    saves = tuple(points(trial))
    micros = max((len(step.micros) for step in trial.straight.trace.steps), default=1)
    kill = Faults(kill_at=(saves[-1] + _PAST, 1 if micros > 1 else 0))
    return trial.run(saves=saves, faults=kill)


def runs(trial: Trial) -> dict[str, Run]:
    """The interrupted run, and by its point each run that resumes from one of its saves."""
    source = interrupted(trial)
    resumed = {str(p): trial.run(source=source, source_step=p) for p in points(trial)}
    return {INTERRUPTED: source, **resumed}


def was_killed(results: Mapping[str, Result]) -> bool:
    """Whether the interrupted run ended by the kill."""
    return results[INTERRUPTED].exit_code == _KILLED


def how_ended(results: Mapping[str, Result]) -> str:
    """How the interrupted run ended otherwise."""
    result = results[INTERRUPTED]
    if result.failure is not None:
        return f"{result.failure.type}: {result.failure.message}"
    return f"exit code {result.exit_code}"


def drifted(trial: Trial, results: Mapping[str, Result]) -> str:
    """How the interrupted run parts from the straight one even before the kill; "" if nowhere."""
    trace = results[INTERRUPTED].trace
    made = msgspec.structs.replace(
        trial.straight.trace, steps=trial.straight.trace.steps[: len(trace.steps)]
    )
    found = diverge(Pair(made, trace, streams=trial.streams))
    if found is None:
        return ""
    if not any(point == found.step - 1 for point in points(trial)):
        return f"the run is not repeatable even before the kill: {found}"
    if found.components & {BATCH, MICROS}:
        found = msgspec.structs.replace(found, cause=_OTHER_DATA)
    return f"stopping to save changes the run even before the kill: {found}"


def reference(trial: Trial, results: Mapping[str, Result], point: int) -> tuple[Trace, Step]:
    """The step that a run resumed after `point` should begin with, and the run it is of.

    The run that saved has made it too, before it was killed; in the straight run it may be
    another if the training cannot be repeated, which is not the resume's fault.
    """
    trace = results[INTERRUPTED].trace
    if len(trace.steps) <= point:
        trace = trial.straight.trace
    return trace, trace.steps[point]


def resumes(trial: Trial, results: Mapping[str, Result]) -> list[Resume]:
    """Every resumed run, compared."""
    saved = {save.step: save.rng for save in results[INTERRUPTED].saves}
    source = results[INTERRUPTED].trace
    return [
        _resume(
            trial, p, where, results[str(p)], saved.get(p, {}), changed_since(source, p, results)
        )
        for p, where in points(trial).items()
    ]


def changed_since(source: Trace, point: int, results: Mapping[str, Result]) -> str:
    """Whether what was loaded is of a step that was made after the save; "" if not."""
    steps = results[str(point)].trace.steps
    if not steps or len(source.steps) <= point:
        return ""
    wanted, found = source.steps[point].before.parameters, steps[0].before.parameters
    moved = {n: bits for n, bits in found.items() if n in wanted and not bits.same_as(wanted[n])}
    for later in source.steps[point:]:
        if any(bits.same_as(later.after.parameters.get(name)) for name, bits in moved.items()):
            return (
                f"the save after step {point} holds weights of step {later.number}: a writer in"
                " the background reads them while training goes on; copy them before it returns"
            )
    return ""


def restored(trial: Trial, saved: Mapping[str, str], result: Result) -> frozenset[str]:
    """The generators that right after loading were as they were when it was saved."""
    loaded = result.loaded.rng if result.loaded else {}
    return frozenset(
        name for name in trial.streams if name in saved and saved[name] == loaded.get(name)
    )


def _resume(
    trial: Trial,
    point: int,
    where: str,
    result: Result,
    saved: Mapping[str, str],
    changed: str,
) -> Resume:
    compared = min(len(result.trace.steps), trial.steps - point)
    if result.failure is not None or result.exit_code:
        return Resume(point, where, f"it {result.ending}", compared, result)
    pair = Pair(
        trial.straight.trace,
        result.trace,
        point,
        resumed=True,
        streams=trial.streams,
        restored=restored(trial, saved, result),
    )
    found = diverge(pair)
    if found is not None:
        if changed:
            found = msgspec.structs.replace(found, cause=changed)
        return Resume(point, where, str(found), compared, result, found)
    return Resume(point, where, "", compared, result)
