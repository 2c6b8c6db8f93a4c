"""A loss that is no number is noticed: the trainer raises, stops, or gives the step up."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

from codex_audit.proofs.trainer.runs import Faults
from codex_audit.proofs.trainer.trial import Seen, Skip, TrainerProof

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from codex_audit.proofs.trainer.runs import Result, Run
    from codex_audit.proofs.trainer.trace import State, Step
    from codex_audit.proofs.trainer.trial import Trial

_ALL, _FIRST = "poisoned", "poisoned in its first pass"
_AT = 3
_FURTHER = 4


def runs(trial: Trial) -> dict[str, Run] | Skip:
    """A run in which the model's outputs are NaN in one step, and one in its first pass only."""
    if trial.stepwise:
        return Skip("the model's outputs cannot be made NaN, since no module's call is seen")
    until = min(trial.steps, _AT + _FURTHER)
    asked = {_ALL: trial.run(until=until, faults=Faults(poison_at=_AT))}
    if any(len(step.micros) > 1 for step in trial.straight.trace.steps[:_AT]):
        faults = Faults(poison_at=_AT, poison_passes=1)
        asked[_FIRST] = trial.run(until=until, faults=faults)
    return asked


def judge(trial: Trial, results: Mapping[str, Result]) -> Seen | Skip:
    """Look at how the runs ended, and at their weights."""
    usual = max((len(step.micros) for step in trial.straight.trace.steps), default=1)
    seen = _judge(results[_ALL], usual)
    first = results.get(_FIRST)
    if isinstance(seen, Skip) or not seen.good or first is None or _bad_step(results[_ALL]):
        return seen
    bad = _bad_step(first)
    if bad is None:
        return seen
    return Seen(
        good=False,
        summary=(
            f"NaN in the first micro-batch of step {_AT} alone goes unnoticed: it is made, and "
            f"`{_bad(bad.after)}` holds NaN after it; check the loss of each micro-batch, or the"
            " gradients' norm before the step"
        ),
        measured=dict(seen.measured),
    )


def _bad_step(result: Result) -> Step | None:
    """The first step after which something is not finite."""
    return next((step for step in result.trace.steps if _bad(step.after)), None)


def _judge(result: Result, usual: int) -> Seen | Skip:
    steps = result.trace.steps
    if not result.trace.poisoned:
        return Skip("no forward pass of a module was seen that could be made to give NaN")
    measured = {"poisoned_step": _AT, "steps_made": len(steps)}
    if result.failure is not None:
        if result.failure.type == "TimeoutError":
            words = f"the run never ended after NaN at step {_AT}: it tries the same batch for ever"
            return Seen(good=False, summary=words, measured=dict(measured))
        words = f"NaN at step {_AT} is raised as {result.failure.type}: {_line(result)}"
        return Seen(good=True, summary=words, measured=dict(measured))
    if result.exit_code:
        words = f"NaN at step {_AT} ends the run with code {result.exit_code}"
        return Seen(good=True, summary=words, measured=dict(measured))
    bad = _bad_step(result)
    final = _bad(result.final) if result.final else ""
    if bad is None and not final:
        hidden = _hidden(result, usual)
        if hidden:
            return Seen(good=False, summary=hidden, measured=dict(measured))
        left = len(steps) < _AT + _FURTHER
        how = "stops the run, or is given up" if left else "leaves the weights finite"
        words = f"NaN at step {_AT} {how}: weights and optimizer state are finite at the end"
        return Seen(good=True, summary=words, measured=dict(measured))
    name = _bad(bad.after) if bad else final
    further = sum(step.number > bad.number for step in steps) if bad else 0
    return Seen(
        good=False,
        summary=(
            f"NaN in the loss of step {_AT} goes unnoticed: `{name}` holds NaN after it, and"
            f" {further} more steps are made; check that the loss or the gradients' norm is finite"
            " before the step, and raise or give it up"
        ),
        measured=dict(measured),
    )


def _hidden(result: Result, usual: int) -> str:
    """Whether a step was made of NaN as of any number, and nothing said of it.

    One that was given up is followed by the passes of the next, and what is cleared is not told.
    """
    steps = result.trace.steps
    made = next((s for s in steps if any(m.poisoned for m in s.micros)), _of_nothing(steps))
    if made is None or _TOLD.search(result.printed):
        return ""
    if len(made.micros) > usual and not made.micros[-1].poisoned:
        return ""
    one, other = made.before, made.after
    if all(bits.same_as(other.parameters.get(name)) for name, bits in one.parameters.items()):
        return ""  # it was given up, whatever step() may have been called
    which = "gradients that are NaN are" if not math.isfinite(made.loss) else "the NaN is"
    return (
        f"NaN at step {made.number} goes unnoticed: {which} replaced by numbers (nan_to_num, a loss"
        " of zero), and the optimizer makes a step of them; raise, or give the step up and say so"
    )


def _of_nothing(steps: Sequence[Step]) -> Step | None:
    """The step that came instead, if its loss is of no forward pass, as those of all others are."""
    empty = [step for step in steps if not all(micro.content for micro in step.micros)]
    return empty[0] if [step.number for step in empty] == [_AT] else None


_TOLD = re.compile(r"\bnan\b|\binf|finite|skip|overflow", re.IGNORECASE)


def _line(result: Result) -> str:
    message = result.failure.message if result.failure else ""
    return (message.splitlines() or [""])[0]


def _bad(state: State) -> str:
    """A parameter or an optimizer's tensor that is not finite."""
    tensors = {**state.parameters, **state.optimizer}
    return next((name for name, bits in tensors.items() if not bits.finite), "")


PROOF = TrainerProof(
    id="non_finite_noticed",
    claim="A loss that is NaN is noticed: the run raises, stops, or gives the step up",
    why="One NaN in the weights makes every later step worthless, and the run goes on for days.",
    catches=("a check of the last micro-batch only", "NaN shown as 0.0 in the log"),
    remedy="stop on a loss or norm that is not finite, or skip the update as a GradScaler does",
    runs=runs,
    judge=judge,
    order=14,
)
