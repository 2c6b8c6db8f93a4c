"""Micro-batches beside one large batch of the same samples: the runs, and how steps compare.

The last window of an epoch may be shorter; that it is weighed rightly is a claim of its own.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import msgspec

from codex_audit.proofs.trainer.runs import Faults
from codex_audit.proofs.trainer.trial import Broken, Skip
from codex_audit.proofs.trainer.vectors import Likeness, Moved, Vector, likeness, reduced, whole

if TYPE_CHECKING:
    from collections.abc import Mapping

    from codex_audit.proofs.trainer.runs import Knob, Result, Run
    from codex_audit.proofs.trainer.trace import State, Step, Trace
    from codex_audit.proofs.trainer.trial import Trial

# (micro-batches, samples of each).
_SINGLE = (4, 1)
_PAIRS = ((3, 2), (4, 2), (5, 2))  # the first that leaves a shorter window at an epoch's end
_NO_CLIP = 1e6
_STEPS = 8
_EQUAL = 2e-5
_DRIFTED = 0.02  # Adam makes much of what rounding leaves in a gradient near zero
_HALF = 0.02  # what reduced precision may do, where the subject cannot be asked for another
_ASKEW = 0.5
_ROUGHLY = 0.2
_ALIKE = 0.05
_ALMOST_NONE = 1e-6
_BATCH_STATISTICS = "running_mean"


class Wrong(msgspec.Struct, frozen=True):
    """The first step that does not agree; `short` if it is that of a shorter window."""

    summary: str
    step: int
    ratio: float = 1.0
    short: bool = False


class Compared(msgspec.Struct, frozen=True):
    """What two runs came to.

    Attributes:
        steps: how many agree, up to the first that does not.
        short: of them those of shorter windows.
        apart: how far the first steps are, in lengths of the gradient.
        wrong: the first that does not, if there is one.
    """

    steps: int = 0
    short: int = 0
    apart: float = 0.0
    wrong: Wrong | None = None


def runs(trial: Trial) -> dict[str, Run] | Skip:
    """Each division beside the same samples in one batch, with nothing drawn at random."""
    lacks = trial.lacks("accumulate", "batch_size")
    if lacks is not None:
        return lacks
    if trial.stepwise:
        return Skip("no gradient given to an optimizer is seen")
    before = trial.straight.trace.steps[0].before
    if any(_BATCH_STATISTICS in name for name in before.buffers):
        return Skip("batch normalisation sees the micro-batches, which changes the gradient")
    calm: dict[str, Knob] = {
        "clip_norm": _NO_CLIP,
        "dropout": False,
        "precision": "fp32",
        "workers": 0,
    }
    known = {name: value for name, value in calm.items() if name in trial.subject.knobs}
    found = {}
    for k, b in _divisions(trial):
        base = trial.run(until=_until(trial, k * b), faults=Faults(still=True))
        found[f"{k}x{b}"] = base.with_knobs(**known, accumulate=k, batch_size=b)
        found[f"1x{k * b}"] = base.with_knobs(**known, accumulate=1, batch_size=k * b)
    return found


def _divisions(trial: Trial) -> tuple[tuple[int, int], ...]:
    rows = _rows(trial)
    uneven = (pair for pair in _PAIRS if rows % (pair[0] * pair[1]))
    return _SINGLE, next(uneven, _PAIRS[0])


def _rows(trial: Trial) -> int:
    """Samples of an epoch; 0 where that is not known."""
    steps = trial.straight.trace.steps
    rows = [row for step in steps[: trial.epoch or len(steps)] for row in step.indices or ()]
    if trial.epoch is None and len(set(rows)) < len(rows):
        return max(rows) + 1  # an epoch has ended, though not between two steps
    return len(rows) if trial.epoch is not None else 0


def _until(trial: Trial, samples: int) -> int:
    """Steps until the next epoch has begun, if that is known and is soon."""
    rows = _rows(trial)
    return min(trial.steps, -(-rows // samples) + 2 if rows else _STEPS)


def pairs(results: Mapping[str, Result]) -> list[tuple[int, int, Result, Result]]:
    """Micro-batches, samples of each, the run so divided, and the one that is not."""
    found = []
    for k, b in (_SINGLE, *_PAIRS):
        if f"{k}x{b}" in results:
            found.append((k, b, results[f"{k}x{b}"], results[f"1x{k * b}"]))
    return found


def why_not(trial: Trial, results: Mapping[str, Result]) -> Skip | Broken | None:
    """Why the runs cannot be compared, if so."""
    for k, b, many, one in pairs(results):
        for times, rows, result in ((k, b, many), (1, k * b, one)):
            if not result.completed:
                return trial.unjudged(f"accumulate={times} and batch_size={rows}", result)
        if b == 1 and _compares_samples(many.trace, one.trace):
            return Skip(
                "a batch of one sample has no loss: it compares the samples of a batch, so that of"
                " smaller ones is another"
            )
    return None


def _compares_samples(alone: Trace, together: Trace) -> bool:
    """Whether samples give a loss only together, as where each is told apart from the others."""
    if not alone.steps or not together.steps:
        return False
    losses = [micro.loss for micro in alone.steps[0].micros]
    least = _ALMOST_NONE * abs(together.steps[0].loss)
    return bool(losses) and all(abs(loss) < least for loss in losses)


def compare(trial: Trial, many: Trace, one: Trace, k: int) -> Compared | Skip:
    """Step by step, the gradients that the optimizer was given, up to the first that is wrong."""
    steps, short, apart = 0, 0, 0.0
    passes = _passes(many, one, k)
    for a, b in zip(many.steps, one.steps, strict=False):
        if not steps and not _begin_alike(a, b):
            return Skip("the weights already differ before the first step of both divisions")
        made = len(a.micros) // passes
        if made > k:
            return Compared(steps, short, apart, _too_many(trial, a, one, k))
        if not _same_samples(a, b):
            if steps and _dropped(a, one, steps):
                words = (
                    f"step {a.number}: the last window of the epoch makes no step where one batch"
                    f" of its {len(b.indices or ())} samples does: they are dropped; step at the"
                    " epoch's end too"
                )
                return Compared(steps, short, apart, Wrong(words, a.number, short=True))
            if steps or made >= k:
                break
            words = (
                f"step {a.number}: it is made after {len(a.micros)} backward passes where {k} are"
                " asked for: a step too early, or `accumulate` is ignored"
            )
            return Compared(steps, short, apart, Wrong(words, a.number))
        if made < k and (a.indices is None or b.indices is None):
            break  # an epoch may be counted in batches, and hold other samples in larger ones
        found = likeness(Vector(a.gradients, many.file), Vector(b.gradients, one.file))
        if found is None:
            return Skip("the gradients were not kept or are not finite")
        wrong = _judge_step(trial, many, a, b, found, (made, k), first=not steps)
        if isinstance(wrong, Skip):
            return wrong
        if wrong is not None:
            return Compared(steps, short, apart, wrong)
        if not steps:
            apart = max(abs(found.ratio - 1), found.apart)
        steps += 1
        short += made < k
    return Compared(steps, short, apart)


def _passes(many: Trace, one: Trace, k: int) -> int:
    """Backward passes that each micro-batch takes, as where two losses have one each."""
    counts = {len(step.micros) for step in one.steps}
    each = counts.pop() if len(counts) == 1 else 1
    return each if many.steps and len(many.steps[0].micros) == k * each else 1


def _too_many(trial: Trial, a: Step, one: Trace, k: int) -> Wrong:
    """A step with more backward passes than it has micro-batches."""
    words = f"step {a.number}: {len(a.micros)} backward passes go into one step of {k}"
    rows, whole = _rows(trial), len(one.steps[0].indices or ())
    if rows and whole and a.number * whole <= rows:
        return Wrong(
            f"{words}, inside an epoch: a pass beside those of its micro-batches, such as a look at"
            " a loss with gradients on, leaves its gradient there; clear what it leaves, or take"
            " it under no_grad",
            a.number,
        )
    return Wrong(
        f"{words}: the last window of an epoch makes no step, and is dropped or mixed into the"
        " next; step at the epoch's end too",
        a.number,
        short=True,
    )


def _dropped(a: Step, one: Trace, place: int) -> bool:
    """Whether a step had the samples of the one after its counterpart, a shorter one."""
    if place + 1 >= len(one.steps) or a.indices is None:
        return False
    whole, short, next_ = (one.steps[n].indices or () for n in (0, place, place + 1))
    return 0 < len(short) < len(whole) and sorted(a.indices) == sorted(next_)


def schedule_wrong(many: Trace, one: Trace, k: int) -> Wrong | None:
    """Whether the schedule of accumulated steps goes on with each of their micro-batches."""
    a, b = [step.rates for step in many.steps], [step.rates for step in one.steps]
    first = next((n for n, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), None)
    if first is None or len(b) <= k:
        return None
    for ahead in range(k):
        known = [(n, n * k + ahead) for n in range(len(a)) if n * k + ahead < len(b)]
        if len(known) > 1 and all(a[n] == b[m] for n, m in known):
            return Wrong(
                f"step {first + 1}: the learning rate is {a[first][0]:.6g} where one batch has"
                f" {b[first][0]:.6g}: the schedule goes on with each micro-batch, {k} times as"
                " fast; step it once for each step of the optimizer",
                first + 1,
            )
    return None


def average_wrong(many: Trace, one: Trace, agreed: int) -> Wrong | None:
    """Whether an average of the weights moves another way where these move alike."""
    averages = _averages(many.steps[0].before) & _averages(one.steps[0].before)
    for a, b in list(zip(many.steps, one.steps, strict=False))[:agreed] if averages else []:
        weights = likeness(
            Moved(a.after.parameters, many.steps[0].before.parameters, many.file),
            Moved(b.after.parameters, one.steps[0].before.parameters, one.file),
        )
        if weights is None or not weights.equal(_ALIKE):
            return None
        x, x0, y, y0 = (
            {name: state.extra[name] for name in averages if name in state.extra}
            for state in (a.after, many.steps[0].before, b.after, one.steps[0].before)
        )
        found = likeness(Moved(x, x0, many.file), Moved(y, y0, one.file))
        if found is not None and found.other and abs(found.ratio - 1) > _ROUGHLY:
            return Wrong(
                f"step {a.number}: the weights agree, but their average (`{min(averages)}`) has"
                f" moved {found.ratio:.3g} times as far: it is updated with each micro-batch;"
                " update it once for each step of the optimizer",
                a.number,
                found.ratio,
            )
    return None


def _averages(state: State) -> frozenset[str]:
    """The subject's own tensors that begin as copies of weights."""
    return frozenset(
        name
        for name, bits in state.extra.items()
        if any(bits.same_as(weight) for weight in state.parameters.values())
    )


def _begin_alike(a: Step, b: Step) -> bool:
    one, other = a.before.parameters, b.before.parameters
    return one.keys() == other.keys() and all(one[n].same_as(other[n]) for n in one)


def _same_samples(a: Step, b: Step) -> bool:
    """Whether both steps had the same; where nobody tells, the gradients will."""
    if a.indices is None or b.indices is None:
        return True
    return sorted(a.indices) == sorted(b.indices)


def _judge_step(
    trial: Trial,
    many: Trace,
    a: Step,
    b: Step,
    found: Likeness,
    made_of: tuple[int, int],
    *,
    first: bool,
) -> Wrong | Skip | None:
    made, k = made_of
    if found.equal(_EQUAL if first else _DRIFTED) or (not found.norm and not found.other):
        return None
    if found.apart <= _ASKEW:
        named = _multiple(found, made, k)
        if named:
            return Wrong(f"step {a.number}: {named}", a.number, found.ratio, short=made < k)
    known = a.indices is not None and b.indices is not None
    if not first:
        # Weights have drifted apart by now: only a multiple is certain.
        return None
    exact = "precision" in trial.subject.knobs and not reduced(a.gradients)
    if not exact and found.equal(_HALF):
        return Skip(
            f"the gradients differ by {max(abs(found.ratio - 1), found.apart):.1g}, which reduced"
            " precision would do as well; give the factory a `precision`"
        )
    blind = "dropout" not in trial.subject.knobs or not (_losses_agree(a, b) or _drew_alike(a, b))
    if not known or (blind and draws(many)):
        return Skip(
            "what the model is given is drawn at random for each micro-batch, so that the two"
            " cannot be compared; give the factory a `dropout` that turns all of it off"
        )
    return Wrong(f"step {a.number}: {_uneven(found, a, b, made)}", a.number, found.ratio)


def _multiple(found: Likeness, made: int, k: int) -> str:
    """The fault where the gradient is a multiple by a number of micro-batches."""
    times, part = whole(found.ratio, k), whole(1 / found.ratio, k * k) if found.ratio > 0 else None
    words = f"the gradient is {found.ratio:.3g} times that of the large batch"
    if times is not None and times == made:
        return f"{words}: it is not divided by the number of micro-batches, {made}"
    short = abs(found.ratio - made / k) <= _HALF * made / k
    if made < k and short:
        return (
            f"{words}: the last window of the epoch has {made} micro-batches and is divided by {k};"
            " divide by the number that it has"
        )
    if part is not None and part in {made, made * made, k}:
        return f"{words}: it is divided by the number of micro-batches once too often"
    if times is not None:
        return f"{words}, with {made} micro-batches: look at what it is divided by"
    return ""


def _sums(a: Step, b: Step) -> tuple[float, float]:
    return a.loss / (a.scale or 1.0), b.loss / (b.scale or 1.0)


def _losses_agree(a: Step, b: Step) -> bool:
    one, other = _sums(a, b)
    return abs(one - other) <= 1e-4 * abs(other)


def _drew_alike(a: Step, b: Step) -> bool:
    """Whether as many numbers were drawn: then for each sample, and not for each micro-batch."""
    return a.before.rng == b.before.rng and a.after.rng == b.after.rng


def _uneven(found: Likeness, a: Step, b: Step, made: int) -> str:
    sums = _sums(a, b)
    words = f"the gradient is another ({found.apart:.2g} of its length, {found.ratio:.4g} times)"
    if found.apart <= _EQUAL and abs(sums[0] / sums[1] / found.ratio - 1) <= _EQUAL:
        return (
            f"the gradient is {found.ratio:.4g} times that of the large batch in the same"
            " direction, and so is the loss: the same sum is divided by another number, such as"
            " one that counts padding, of which a large batch has more; divide by the tokens that"
            " count"
        )
    if made > 1 and sums[1] and abs(sums[0] / sums[1] / made - 1) <= _ROUGHLY:
        return (
            f"{words}, and so are the losses: they are not divided by the number of micro-batches,"
            f" {made}; divide by the tokens of the whole window, which are unequal besides"
        )
    if _losses_agree(a, b):
        return (
            f"{words} though the losses add up to the same {sums[1]:.6g}: a part of the window's"
            " gradient is lost or scaled after backward (zero_grad between micro-batches, a step"
            " too early, a gradient that is not synchronised)"
        )
    return (
        f"{words}, and the losses add up to {sums[0]:.6g} instead of {sums[1]:.6g}: micro-batches"
        " are weighted equally though they hold unequal numbers of tokens; divide the sum over the"
        " window by the window's number of tokens"
    )


def draws(trace: Trace) -> bool:
    """Whether a global generator moves from step to step though dropout is still.

    Only until a sample comes again: with each epoch a `DataLoader` draws a seed for its workers,
    which nothing that the model is given depends on where there are none.
    """
    states, seen = [], set[int]()
    for step in trace.steps:
        rows = step.indices or ()
        if seen.intersection(rows):
            break
        seen.update(rows)
        states.append(step.after.rng)
    return any(a != b for a, b in pairwise(states))
