"""Training goes on after an evaluation as if there had been none."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from codex_audit.proofs.trainer.bisect import as_details, diverge
from codex_audit.proofs.trainer.bits import difference
from codex_audit.proofs.trainer.pairs import (
    BATCH,
    BUFFER,
    GRADIENT,
    MICROS,
    MODE,
    PARAMETER,
    RATE,
    RNG,
    Pair,
    title_of,
)
from codex_audit.proofs.trainer.trial import Broken, Seen, Skip, TrainerProof

if TYPE_CHECKING:
    from collections.abc import Mapping

    from codex_audit.proofs.trainer.bisect import Divergence
    from codex_audit.proofs.trainer.runs import Result, Run
    from codex_audit.proofs.trainer.trace import State, Step, Trace
    from codex_audit.proofs.trainer.trial import Trial

ASKED_AT = (2, 3, 5)
_OFTEN = 1
_AGAIN, _STOPPED = "again", "stopped"
_SHOWN = 3


def runs(trial: Trial) -> dict[str, Run] | Skip:
    """The run with evaluations asked for, and with its own at each step."""
    found = {_AGAIN: trial.run(number=2)}
    if "evaluate" in trial.subject.abilities:
        at = tuple(step for step in ASKED_AT if step < trial.steps)
        found["asked"] = trial.run(evaluate_at=at)
    if "evaluate_every" in trial.subject.knobs:
        found["often"] = trial.run().with_knobs(evaluate_every=_OFTEN)
    if len(found) > 1:
        return found
    return Skip("the subject cannot be asked to evaluate, nor how often")


def then(trial: Trial, results: Mapping[str, Result]) -> dict[str, Run]:
    """Where data are others after an evaluation, a run that stops there and makes none."""
    asked = results.get("asked")
    if asked is None or not asked.completed:
        return {}
    found = diverge(Pair(_plain(trial.straight.trace), _plain(asked.trace), streams=trial.streams))
    if found is None or not found.components & {BATCH, MICROS}:
        return {}
    return {_STOPPED: trial.run(saves=tuple(s for s in ASKED_AT if s < trial.steps))}


def _by_stopping(trial: Trial, results: Mapping[str, Result], found: Divergence | None) -> bool:
    """Whether a run that stops at the same steps is another as well, from the same step on."""
    if found is None or _STOPPED not in results:
        return False
    straight, stopped = _plain(trial.straight.trace), _plain(results[_STOPPED].trace)
    other = diverge(Pair(straight, stopped, streams=trial.streams))
    return other is not None and other.step == found.step and other.components == found.components


def judge(trial: Trial, results: Mapping[str, Result]) -> Seen | Skip | Broken:
    """Compare what each evaluation left, then every step with the run that had none, or fewer."""
    evaluations = 0
    straight = _plain(trial.straight.trace)
    again = diverge(Pair(straight, _plain(results[_AGAIN].trace), streams=trial.streams))
    for name in ("asked", "often"):
        result = results.get(name)
        if result is None:
            continue
        if not result.completed:
            return _ended(trial, name, result)
        evaluations += len(result.evaluations)
        each_left = (_left(trial, result.trace, e.before, e.after) for e in result.evaluations)
        left = next((words for words in each_left if words), [])
        found = diverge(
            Pair(straight, _plain(result.trace), streams=trial.streams, rng_counts=True)
        )
        if again is not None:
            if not left:
                return Skip(f"not judged: two runs with one seed already differ: {again}")
            found = None
        if not left and found is not None and result.follows and found.components == {RATE}:
            return Skip(
                f"not judged: from step {found.step} the learning rate follows what is evaluated"
                " (ReduceLROnPlateau), so that a run which evaluates more often is another"
            )
        if not left and name == "asked" and _by_stopping(trial, results, found):
            if "often" in results:
                continue
            return Skip(
                f"not judged: where training stops, to evaluate or only to save, step"
                f" {found.step if found else 0} has another batch: the data begins anew, which"
                " resume_bit_exact tells"
            )
        if left or found is not None:
            step = found.step if found else None
            if left and found is not None and MODE in found.components:
                left = [*left, f"modes: {_FAULTS[MODE]}"]
            return Seen(
                good=False,
                summary=_told(left, step) if left else _parted(name, found, result, straight),
                measured={"first_different_step": step},
                method="evaluate",
                details=dict(as_details(found)) if found else {},
            )
    if not evaluations and not any(result.looks for result in results.values()):
        return Skip(
            "no evaluation was seen: asked by `evaluate_every` for one after each step, it made no"
            " pass beside those of its steps"
        )
    steps = len(trial.straight.trace.steps)
    return Seen(
        good=True,
        summary=(
            f"{steps} steps are the same to the bit with evaluations between them and without"
            + (
                f"; each of {evaluations} asked for left weights, buffers, optimizer and generators"
                " as they were"
                if evaluations
                else ""
            )
        ),
        measured={"steps_compared": steps, "evaluations": evaluations},
        method="evaluate",
    )


def _ended(trial: Trial, name: str, result: Result) -> Seen | Skip | Broken:
    """Of a run that evaluates and does not come to its end, where the straight one does."""
    begun = bool(result.trace.steps)
    if not begun or result.failure is None or result.failure.type == "TimeoutError":
        return trial.unjudged(_WHEN[name].removeprefix("a run that evaluates "), result)
    return Seen(
        good=False,
        summary=(
            f"{_WHEN[name]} {result.ending}, after {len(result.trace.steps)} steps: evaluation"
            " raises, or leaves something that training cannot go on with (gradients switched off,"
            " parameters frozen, the model elsewhere)"
        ),
        measured={"steps_made": len(result.trace.steps)},
        method="evaluate",
    )


def _plain(trace: Trace) -> Trace:
    """Without what the subject tells of itself: it may count evaluations, or keep the best."""

    def bare(step: Step) -> Step:
        return msgspec.structs.replace(
            step,
            before=msgspec.structs.replace(step.before, extra={}),
            after=msgspec.structs.replace(step.after, extra={}),
        )

    return msgspec.structs.replace(trace, steps=tuple(bare(step) for step in trace.steps))


def _left(trial: Trial, trace: Trace, before: State, after: State) -> list[str]:
    """What an evaluation changed, with the likely fault; modes may be set at the next step."""
    found = []
    for one, other, what, fault in (
        (before.parameters, after.parameters, "weights", _WEIGHTS),
        (before.buffers, after.buffers, "buffers", _BUFFERS),
        (before.optimizer, after.optimizer, "the optimizer's state", _OPTIMIZER),
    ):
        seen = difference(one, trace.file, other, trace.file)
        if seen is not None:
            found.append(f"{what} (`{seen.name}`, {seen.note}): {fault}")
    moved = [s for s in sorted(trial.streams) if before.rng.get(s) != after.rng.get(s)]
    if moved:
        found.append(f"the state of {', '.join(map(title_of, moved))}: {_RNG}")
    return found


_WEIGHTS = (
    "an average that is swapped in and not out again, rounding on the way there and back (keep a"
    " copy instead), or a step that is made"
)
_BUFFERS = "call model.eval() before it, on each submodule with statistics"
_OPTIMIZER = "it must not be touched"
_RNG = (
    "something draws from it (an iterator of a DataLoader draws its base seed, dropout that is"
    " still on, sampling); give that a generator of its own, or restore the state after"
)


def _told(left: list[str], step: int | None) -> str:
    words = f"evaluation changes {'; and '.join(left)}"
    return f"{words}; training differs from step {step}" if step else words


def _parted(name: str, found: Divergence | None, result: Result, straight: Trace) -> str:
    """How the run that evaluates parts from the other, of which its evaluations told nothing."""
    if found is None:
        return ""
    touched = next((e.touched for e in result.evaluations if e.touched), "")
    here, there = (trace.steps[found.step - 1 : found.step] for trace in (straight, result.trace))
    passes = [len(step.micros) for step in (*here, *there)]
    if touched or (len(passes) > 1 and passes[0] < passes[1]):
        of = f" (of `{touched}`)" if touched else ""
        return (
            f"{_WHEN[name]} is another from step {found.step}: evaluation changes gradients{of}."
            f" Likely: {_FAULTS[GRADIENT]}, and clear what a backward pass of its own gives"
        )
    seen = "; ".join(f"{each.name} {each.note}".strip() for each in found.first[:_SHOWN])
    faults = [fault for component, fault in _FAULTS.items() if component in found.components]
    why = "; ".join(faults) or found.cause
    return f"{_WHEN[name]} is another from step {found.step}: {seen}. Likely: {why}"


_WHEN = {
    "asked": "a run that evaluates when asked to",
    "often": "a run that evaluates at each step",
}


_FAULTS = {
    MODE: "evaluation does not restore the mode of each submodule; restore what was, not train()",
    GRADIENT: "evaluation erases or adds to gradients inside an accumulation window; leave"
    " zero_grad to the step",
    MICROS: "evaluation moves the place within the accumulation window",
    BATCH: "evaluation takes from the data that is trained on, or moves its sampler",
    PARAMETER: "evaluation changes the weights: " + _WEIGHTS,
    RATE: "evaluation steps the schedule; how often one looks should not decide the rate",
    BUFFER: "evaluation changes buffers; call model.eval() before it",
    RNG: "evaluation draws from a generator that training uses; " + _RNG,
}


PROOF = TrainerProof(
    id="evaluation_leaves_no_trace",
    claim="Evaluation changes nothing: weights, buffers, modes, gradients, generators, data",
    why="Otherwise how often one looks decides what is trained.",
    catches=(
        "Lightning 2.0.9: validation inside an accumulation window erased the gradients",
        "an evaluation loader that draws its base seed from the global generator",
        "train() after evaluation, which wakes frozen BatchNorm layers",
    ),
    remedy="eval() and no_grad, restore each submodule's mode, a generator for the loader",
    runs=runs,
    judge=judge,
    then=then,
    order=15,
)
