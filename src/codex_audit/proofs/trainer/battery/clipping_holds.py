"""Clipping bounds the norm of all gradients together, and does nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

from codex_audit.proofs.trainer.runs import Faults
from codex_audit.proofs.trainer.trial import Broken, Seen, Skip, TrainerProof
from codex_audit.proofs.trainer.vectors import Vector, likeness, reduced

if TYPE_CHECKING:
    from collections.abc import Mapping

    from codex_audit.proofs.trainer.runs import Result, Run
    from codex_audit.proofs.trainer.trace import Step, Trace
    from codex_audit.proofs.trainer.trial import Trial

_STEPS = 3
_LARGE = 1e6
_PART = 0.2
_OVER, _UNDER, _ASKEW = 1e-3, 2e-2, 1e-2
_OVER_IN_HALF = 2e-2  # where the norm, its share and each product are rounded to eight bits


def limit_of(trial: Trial) -> float:
    """A norm well below those of the first steps of the straight run."""
    norms = [step.grad_norm for step in trial.straight.trace.steps[:_STEPS] if step.grad_norm > 0]
    return float(f"{_PART * min(norms):.2g}") if norms else 0.0


def runs(trial: Trial) -> dict[str, Run] | Skip:
    """A few steps under a small limit, and under one that nothing reaches."""
    lacks = trial.lacks("clip_norm")
    if lacks is not None:
        return lacks
    small = limit_of(trial)
    if trial.stepwise or not small:
        return Skip("no gradient given to an optimizer is seen")
    base = trial.run(until=min(trial.steps, _STEPS), faults=Faults(own_gradients=True))
    found = {
        "small": base.with_knobs(clip_norm=small),
        "large": base.with_knobs(clip_norm=_LARGE),
    }
    if "precision" in trial.subject.knobs:
        found["half"] = base.with_knobs(clip_norm=small, precision="fp16")
        found["half large"] = base.with_knobs(clip_norm=_LARGE, precision="fp16")
    return found


def judge(trial: Trial, results: Mapping[str, Result]) -> Seen | Skip | Broken:
    """Look at the norms that the optimizer was given, then at their direction."""
    small = limit_of(trial)
    one, large = results["small"], results["large"]
    for result, norm in ((one, small), (large, _LARGE)):
        if not result.completed:
            return trial.unjudged(f"clip_norm={norm:g}", result)
        if not result.trace.steps:
            return Skip("no step of an optimizer is seen")
    wrong = _wrong(one.trace, large.trace, small) or _touched(large.trace)
    how = ""
    half, half_large = results.get("half"), results.get("half large")
    if not wrong and half and half_large and half.completed and half_large.completed:
        wrong = _wrong(half.trace, half_large.trace, small)
        how = " in fp16" if wrong else ""
    if not wrong and not _begin_alike(one.trace, large.trace):
        return Skip("not judged: two runs with one seed already differ in their first gradient")
    norms = [step.turn_norm for step in one.trace.steps]
    free = large.trace.steps[0].turn_norm
    return Seen(
        good=not wrong,
        summary=wrong + how
        if wrong
        else (
            f"with clip_norm {small:g} the optimizer is given gradients of norm {max(norms):.4g} at"
            f" most, in the direction of those of norm {free:.4g}, which a large limit leaves alone"
        ),
        measured={"limit": small, "greatest_norm": max(norms), "norm_unclipped": free},
    )


def _wrong(one: Trace, large: Trace, limit: float) -> str:
    """What is wrong with the steps under the small limit."""
    if not one.steps or not large.steps:
        return ""
    first, free = one.steps[0], large.steps[0]
    for step in one.steps:
        if step.turn_norm > limit * (1 + (_OVER_IN_HALF if reduced(step.gradients) else _OVER)):
            return f"step {step.number}: {_too_long(step, free, limit)}"
    # Several optimizers may have a limit each, or one together; what none holds may count as well.
    if free.grad_norm <= limit or len(first.turns) > 1 or first.stray:
        return ""
    if not _begin_alike(one, large):
        return ""
    found = likeness(Vector(first.gradients, one.file), Vector(free.gradients, large.file))
    if found is not None and found.apart > _ASKEW:
        several = len(first.micros) > 1
        early = " or by each micro-batch before the sum is whole" if several else ""
        return (
            f"step 1: clipping changes the direction of the gradient ({found.apart:.0%} of it is"
            f" new): it is clipped by value, by parameter{early}; clip the norm of all together"
        )
    if first.grad_norm < limit * (1 - _UNDER):
        scaled = ", before the scaler unscales them" if first.scale and first.scale > 1 else ""
        return (
            f"step 1: the gradients given to the optimizer have norm {first.grad_norm:.3g}, below"
            f" {limit:g} though their own is {free.grad_norm:.3g}: they are clipped too"
            f" early or twice{scaled}; clip once, before the step and after unscaling"
        )
    return ""


def _begin_alike(one: Trace, large: Trace) -> bool:
    """Whether both runs had one and the same first loss: only then their gradients compare."""
    return one.steps[0].micros[0].loss == large.steps[0].micros[0].loss


def _too_long(step: Step, free: Step, limit: float) -> str:
    words = f"the norm given to the optimizer is {step.turn_norm:.3g}, above the limit of {limit:g}"
    if step.number == free.number and abs(step.turn_norm / free.turn_norm - 1) <= _OVER:
        return (
            f"{words}: nothing is clipped, or only after the step or before the backward pass;"
            " clip between the last backward and step()"
        )
    return (
        f"{words}: clipped by value, by parameter, by group, by another norm, or not at each step;"
        " clip the L2 norm of all parameters together"
    )


def _touched(large: Trace) -> str:
    """Whether a limit that nothing reaches changes gradients."""
    for step in large.steps:
        if not step.own or step.stale:  # older gradients on top are another proof's to tell
            continue
        own = Vector(step.own, large.file)
        given = {name: bits for name, bits in step.gradients.items() if name in step.own}
        found = likeness(Vector(given, large.file), own, 1 / (step.scale or 1.0))
        # A multiple that falls short of the limit is no clipping: losses may be scaled by hand.
        if found is not None and found.norm > max(2 * found.other, _LARGE / 2):
            return (
                f"step {step.number}: with a limit of {_LARGE:g} the gradient grows from norm"
                f" {found.other:.3g} to {found.norm:.3g}: it is scaled to the limit even"
                " if below; scale by min(1, limit / norm)"
            )
    return ""


PROOF = TrainerProof(
    id="clipping_holds",
    claim="The norm of all gradients together is at most clip_norm, and nothing else changes",
    why="Clipping that does not hold lets one bad batch ruin a run; that of parts bends the step.",
    catches=("clipping after the step, before unscaling, by parameter, or by micro-batch",),
    remedy="clip_grad_norm_ over all parameters after the last backward and unscale_, before step",
    runs=runs,
    judge=judge,
    spared=frozenset({"half", "half large"}),
    order=12,
)
