"""The gradient that reaches the optimizer is that of the loss."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from codex_audit.proofs.trainer.runs import Faults
from codex_audit.proofs.trainer.trial import Seen, Skip, TrainerProof
from codex_audit.proofs.trainer.vectors import Likeness, Vector, likeness, whole

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from codex_audit.proofs.trainer.runs import Result, Run
    from codex_audit.proofs.trainer.trace import Step, Tensors, Trace
    from codex_audit.proofs.trainer.trial import Trial

_STEPS = 3
_NO_CLIP = 1e6
_EQUAL = 1e-3  # also in half precision, where a gradient is taken twice through one graph
_MOST = 256
_EXACT = 1e-4
_FEW = 16  # ranks or micro-batches


def runs(trial: Trial) -> dict[str, Run] | Skip:
    """A few steps in which each backward pass is also taken apart from the trainer."""
    if trial.stepwise:
        return Skip("no backward pass or optimizer of torch is seen")
    knobs = {"accumulate": 1, "clip_norm": _NO_CLIP}
    known = {name: value for name, value in knobs.items() if name in trial.subject.knobs}
    until = min(trial.steps, _STEPS)
    run = trial.run(until=until, faults=Faults(own_gradients=True))
    return {"watched": run.with_knobs(**known)}


def judge(trial: Trial, results: Mapping[str, Result]) -> Seen | Skip:
    """Compare what the optimizer was given with the gradients of the losses."""
    result = results["watched"]
    trace = result.trace
    steps = [step for step in trace.steps if step.own]
    if not steps:
        why = f": the run {result.ending}" if result.failure else ""
        return Skip(f"the gradient could not be taken apart from the trainer{why}")
    free = "clip_norm" in trial.subject.knobs
    ratio, free = 1.0, free and not _divided_by_counts(trace, steps)
    told, scaled = _told(result), _loss_wrong(steps)
    decays = False
    for place, step in enumerate(steps):
        found = likeness(_given(trace, step), _own(trace, step), 1 / (step.scale or 1.0))
        ratio = found.ratio if found else ratio
        if found and step.repeats == 1 and _as_told(found, told.get(step.number)):
            continue  # the loss is scaled before the backward pass, and its gradient scaled back
        wrong = scaled or _gradients_wrong(trace, steps[: place + 1], free=free)
        elsewhere = found is not None and found.apart > _EQUAL and step.repeats == 1
        if wrong and elsewhere and not scaled and _decayed(trace, step):
            decays = True
            continue
        if wrong and found and _may_be_meant(found, step, told.get(step.number, 1.0)):
            return Skip(
                f"not judged: step {step.number}: {wrong}; or they are scaled back on purpose,"
                " which the loss that `train` returns for each step would tell"
            )
        if wrong:
            return Seen(
                good=False,
                summary=f"step {step.number}: {wrong}",
                measured={"first_bad_step": step.number, "ratio": round(ratio, 6)},
            )
    how = "clipped" if free or "clip_norm" not in trial.subject.knobs else "a sum, made a mean"
    return Seen(
        good=True,
        summary=(
            f"in {len(steps)} steps the optimizer was given the gradient of the loss"
            + (", and a part of the weights themselves (decay by hand)" if decays else "")
            + (f" (a multiple of {ratio:.4g}: {how})" if ratio < 1 - _EQUAL and not decays else "")
        ),
        measured={"steps_compared": len(steps), "ratio": round(ratio, 6)},
    )


def _told(result: Result) -> dict[int, float]:
    """Step -> the loss that the model or `train` tells of, in terms of the differentiated one."""
    steps, losses = result.trace.steps, result.losses
    found = dict(zip((step.number for step in steps), losses, strict=False))
    known = found if len(losses) == len(steps) else {}
    for step in steps:
        own = step.micros[0].own_loss if len(step.micros) == 1 else None
        if own is not None:
            known[step.number] = own
    taken = {step.number: step.loss / (step.scale or 1.0) for step in steps}
    parts = {number: loss / taken[number] for number, loss in known.items() if taken[number]}
    return {number: part for number, part in parts.items() if math.isfinite(part)}


def _as_told(found: Likeness, told: float | None) -> bool:
    """Whether the gradient given is that of the loss that is told."""
    return told is not None and found.apart <= _EQUAL and abs(found.ratio - told) <= _EQUAL * told


def _decayed(trace: Trace, step: Step) -> bool:
    """Whether what is more than the loss's gradient is a small part of each weight itself."""
    scale, rest, all_of_it = 1 / (step.scale or 1.0), 0.0, 0.0
    weights = Vector(step.before.parameters, trace.file)
    for name in step.own:
        given, own = _given(trace, step).part(name), _own(trace, step).part(name)
        weight = weights.part(name)
        if given is None or own is None or weight is None or len(weight) != len(given):
            return False
        more = [g - o * scale for g, o in zip(given, own, strict=True)]
        over = sum(w * w for w in weight)
        part = sum(m * w for m, w in zip(more, weight, strict=True)) / over if over else 0.0
        if not -_EQUAL <= part < 1:
            return False
        rest += sum((m - part * w) ** 2 for m, w in zip(more, weight, strict=True))
        all_of_it += sum(g * g for g in given)
    return rest <= (_EQUAL**2) * all_of_it


def _may_be_meant(found: Likeness, step: Step, told: float) -> bool:
    """Whether it is a multiple that nothing explains or contradicts, as of a loss made smaller."""
    multiple = found.apart <= _EQUAL and found.ratio > 1 + _EQUAL and step.repeats == 1
    of_scaler = step.scale is not None and abs(found.ratio - step.scale) <= _EQUAL * step.scale
    return multiple and not of_scaler and abs(told - 1) <= _EQUAL


def _given(trace: Trace, step: Step, names: Collection[str] | None = None) -> Vector:
    """What the optimizers were given, as far as it is known what they should have been given.

    Of a parameter within a checkpoint that computes a part anew, the loss's graph knows nothing.
    """
    known = {*step.own, *step.stale}
    return Vector(_only(_only(step.gradients, known), names), trace.file)


def _own(trace: Trace, step: Step, names: Collection[str] | None = None) -> Vector:
    return Vector(_only(step.own, names), trace.file)


def _only(tensors: Tensors, names: Collection[str] | None) -> Tensors:
    if names is None:
        return tensors
    return {name: bits for name, bits in tensors.items() if name in names}


def _loss_wrong(steps: list[Step]) -> str:
    """Where the model itself returns its mean loss: whether a whole multiple is differentiated.

    The same at every step: what a model returns may have nothing to do with what is trained on,
    as where a preference is learnt (DPO), and be some multiple of it once by chance.
    """
    ratios = [
        step.micros[0].loss / (step.scale or 1.0) / step.micros[0].own_loss
        for step in steps
        if len(step.micros) == 1
        and step.micros[0].own_loss
        and math.isfinite(step.micros[0].own_loss)
    ]
    multiples = {_whole_multiple(ratio) for ratio in ratios}
    if len(multiples) != 1 or None in multiples:
        return ""
    return (
        f"the gradient of {ratios[0]:.4g} times the loss that the model returns is taken, with one"
        " micro-batch a step: look at what scales the loss before backward"
    )


def _whole_multiple(ratio: float) -> tuple[int | None, int | None] | None:
    """Whether it is a whole number, or a whole part, other than one."""
    times = whole(ratio, _MOST, _EQUAL)
    part = whole(1 / ratio, _MOST, _EQUAL) if ratio > 0 else None
    return None if times is None and part is None else (times, part)


def _gradients_wrong(trace: Trace, steps: list[Step], *, free: bool) -> str:
    """What is wrong with what one of the optimizers was given, each looked at by itself."""
    step = steps[-1]
    for names in step.turns if len(step.turns) > 1 else (None,):
        wrong = _gradient_wrong(trace, steps, names, free=free)
        if wrong:
            return wrong
    if step.repeats > 1:
        return (
            f"the optimizer makes its step {step.repeats} times on the same gradient: step() is"
            " called again before another backward pass"
        )
    return ""


def _gradient_wrong(
    trace: Trace, steps: list[Step], names: Collection[str] | None, *, free: bool
) -> str:
    step = steps[-1]
    found = likeness(_given(trace, step, names), _own(trace, step, names), 1 / (step.scale or 1.0))
    if found is None:
        return ""
    if not found.norm and found.other:
        return (
            "the optimizer is given a gradient of zero: it is cleared (zero_grad) between backward"
            " and step"
        )
    if found.apart <= _EQUAL and (abs(found.ratio - 1) <= _EQUAL or (0 < found.ratio < 1)):
        return "" if not free or found.ratio > 1 - _EQUAL else _multiple(found.ratio)
    if found.apart <= _EQUAL:
        return _multiple(found.ratio)
    stale = [name for name in step.stale if name in step.gradients]
    if stale or (len(steps) > 1 and _older_adds(trace, steps)):
        of = f" (of `{stale[0]}`)" if stale else ""
        return (
            f"the optimizer is given this step's gradient on top of those before{of}: zero_grad is"
            " not called between steps, or not on these parameters"
        )
    return (
        "the gradient given to the optimizer points elsewhere than that of the loss"
        f" ({found.apart:.0%} of it is something else): look at what changes gradients between"
        " backward and step, and at parts that backward computes anew with other dropout masks;"
        " where it is changed on purpose, as by noise or by centring it, declare a limit"
    )


def _divided_by_counts(trace: Trace, steps: list[Step]) -> bool:
    """Whether the gradient of a sum is made that of a mean when tokens or samples are counted.

    A count differs from step to step, or is that of the samples, or none of the small numbers by
    which one divides once too often.
    """
    counts = []
    for step in steps:
        found = likeness(_given(trace, step), _own(trace, step), 1 / (step.scale or 1.0))
        if found is None or found.apart > _EQUAL or not 0 < found.ratio <= 1 + _EXACT:
            return False
        count = round(1 / found.ratio)
        if abs(1 / found.ratio - count) > _EXACT * count:
            return False
        counts.append(count)
    samples = [len(step.indices or ()) for step in steps]
    return len(set(counts)) > 1 or counts == samples or min(counts) > _FEW


def _multiple(ratio: float) -> str:
    return (
        f"the gradient given to the optimizer is {ratio:.4g} times that of the loss: look at what"
        " scales gradients between backward and step (unscaling, averaging over ranks, clipping)"
    )


def _older_adds(trace: Trace, steps: list[Step]) -> bool:
    """Whether what is too much is the gradient that was given before."""
    last, before = steps[-1], steps[-2]
    scale = 1 / (last.scale or 1.0)
    dot = over = 0.0
    for name in last.gradients:
        given, own = _given(trace, last).part(name), _own(trace, last).part(name)
        old = _given(trace, before).part(name)
        if given is None or old is None:
            return False
        own = own if own is not None else [0.0] * len(given)
        for g, mine, o in zip(given, own, old, strict=True):
            dot += (g - mine * scale) * o
            over += o * o
    return over > 0 and dot / over > 0.5  # noqa: PLR2004 - more of it than of anything else


PROOF = TrainerProof(
    id="first_update",
    claim="The gradient that reaches the optimizer is that of the loss, no more and no less",
    why="A gradient that is a multiple, stale or cleared trains otherwise than the log says.",
    catches=("zero_grad missing or misplaced", "a loss multiplied by the accumulation"),
    remedy="follow the gradient from backward to step; nothing but clipping may change it",
    runs=runs,
    judge=judge,
    order=10,
)
