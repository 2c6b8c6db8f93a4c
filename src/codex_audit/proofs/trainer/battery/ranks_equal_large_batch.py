"""Two ranks give the gradient of one process that has the samples of both."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from codex_audit.proofs.trainer import accumulating
from codex_audit.proofs.trainer.battery import clipping_holds
from codex_audit.proofs.trainer.runs import Faults
from codex_audit.proofs.trainer.trial import Broken, Seen, Skip, TrainerProof
from codex_audit.proofs.trainer.vectors import Likeness, Vector, likeness, reduced

if TYPE_CHECKING:
    from collections.abc import Mapping

    from codex_audit.proofs.trainer.runs import Knob, Result, Run
    from codex_audit.proofs.trainer.trace import Step, Trace
    from codex_audit.proofs.trainer.trial import Trial

_STEPS = 3
_EACH = 2  # samples of a rank
_NO_CLIP = 1e6
_EQUAL = 2e-5
_HALF = 0.02
_ASKEW = 0.02
_BENT = 1e-2
_BATCH_STATISTICS = "running_mean"
_AT_RANDOM = (
    "something is drawn at random for each step; give the factory a `dropout` that turns all of it"
    " off, augmentation too"
)
_TWO, _CONTRARY, _ONE, _SMALL, _SMALL_ALONE = "two", "contrary", "one", "small", "small alone"


class _Told(msgspec.Struct, frozen=True):
    """What a comparison came to: a fault, or what it could not compare, or neither."""

    wrong: str = ""
    why_not: str = ""
    apart: float = 0.0


def runs(trial: Trial) -> dict[str, Run] | Skip:
    """Two ranks; once more with the gradients of all but the first turned; and one process."""
    if "distributed" not in trial.subject.abilities:
        return Skip("the subject does not say that it runs in several processes")
    if trial.device != "cpu":
        return Skip("two ranks need two devices; they are tried on the CPU")
    if trial.stepwise:
        return Skip("no gradient given to an optimizer is seen")
    calm: dict[str, Knob] = {"accumulate": 1, "batch_size": _EACH, "clip_norm": _NO_CLIP}
    calm |= {"dropout": False, "precision": "fp32", "workers": 0}
    known = {name: value for name, value in calm.items() if name in trial.subject.knobs}
    base = trial.run(until=min(trial.steps, _STEPS), faults=Faults(still=True)).with_knobs(**known)
    two = msgspec.structs.replace(base, ranks=2)
    contrary = msgspec.structs.replace(two, faults=Faults(still=True, contrary=True))
    found = {_TWO: two, _CONTRARY: contrary}
    both = {"batch_size": 2 * _EACH} if "batch_size" in known else {}
    found[_ONE] = base.with_knobs(**both)
    small = clipping_holds.limit_of(trial)
    if "clip_norm" in known and small:
        found[_SMALL] = two.with_knobs(clip_norm=small)
        found[_SMALL_ALONE] = base.with_knobs(**both, clip_norm=small)
    return found


def judge(trial: Trial, results: Mapping[str, Result]) -> Seen | Skip | Broken:
    """Ask whether each rank counts, then for how much, then what clipping makes of it."""
    two, contrary = results[_TWO], results[_CONTRARY]
    for result in (two, contrary):
        broken = next((each for each in (result, *result.peers) if not each.completed), None)
        if broken is not None:
            return trial.unjudged("2 ranks", broken)
    if len(two.trace.steps) < _STEPS - 1 or not two.peers[0].trace.steps:
        return Skip("the two ranks made no steps that could be compared")
    if _same_weights(two.trace, contrary.trace):
        return Seen(
            good=False,
            summary=(
                "what rank 1 computes has no influence: with its gradients turned to the other"
                f" sign rank 0 has the same weights to the bit after {len(two.trace.steps)} steps;"
                " average gradients over all ranks instead of taking those of the first"
            ),
            measured={"ranks_that_count": 1},
        )
    large = _against_one(trial, results)
    if large.wrong:
        return Seen(good=False, summary=large.wrong, measured={"apart": large.apart})
    clipped = _clipped(trial, results)
    if clipped:
        return Seen(good=False, summary=clipped)
    words = "both ranks count"
    if large.why_not:
        return Seen(good=True, summary=f"{words}; not compared with one batch: {large.why_not}")
    return Seen(
        good=True,
        summary=(
            f"{words}, and their samples give the gradient of one process that has all of them"
            f" (apart by {large.apart:.1g} of its length)"
        ),
        measured={"ranks_that_count": 2, "apart": large.apart},
    )


def _same_weights(one: Trace, other: Trace) -> bool:
    """Whether every step begins with the same weights in both, though steps change them."""
    steps = list(zip(one.steps, other.steps, strict=False))
    pairs = [(a.before.parameters, b.before.parameters) for a, b in steps]
    if not pairs or all(bits.same_as(pairs[-1][0].get(n)) for n, bits in pairs[0][0].items()):
        return False
    return all(bits.same_as(b.get(name)) for a, b in pairs for name, bits in a.items())


def _against_one(trial: Trial, results: Mapping[str, Result]) -> _Told:
    """The first step's gradient beside that of one process with the samples of both."""
    two, one = results[_TWO], results[_ONE]
    if not one.completed or not one.trace.steps:
        return _Told(why_not=f"the run of one process {one.ending}")
    a, b, c = two.trace.steps[0], two.peers[0].trace.steps[0], one.trace.steps[0]
    why_not = _unlike(a, b, c)
    if not why_not and accumulating.draws(two.trace):
        why_not = _AT_RANDOM
    if why_not:
        return _Told(why_not=why_not)
    given = likeness(Vector(b.gradients, two.peers[0].trace.file), _given(two.trace, a))
    if given is None or not given.equal(_EQUAL):
        return _Told(why_not="each rank's optimizer is given its own gradient, not their mean")
    found = likeness(_given(two.trace, a), _given(one.trace, c))
    if found is None:
        return _Told(why_not="the gradients were not kept or are not finite")
    exact = "precision" in trial.subject.knobs and not reduced(a.gradients)
    apart = max(abs(found.ratio - 1), found.apart)
    if found.equal(_EQUAL if exact else _HALF) or not found.other:
        return _Told(apart=apart)
    if not exact and apart <= _HALF:
        return _Told(why_not="reduced precision would do as much as what differs")
    return _Told(wrong=_fault(found, a, b, c), apart=apart)


def _unlike(a: Step, b: Step, c: Step) -> str:
    """Why the first step of two ranks is no other one than that of one process."""
    if any(_BATCH_STATISTICS in name for name in a.before.buffers):
        return "batch normalisation sees each rank's samples apart"
    if any(bits.shard for bits in a.before.parameters.values()):
        return "each rank has a part of the weights"
    if any(not bits.same_as(c.before.parameters.get(n)) for n, bits in a.before.parameters.items()):
        return "they begin with other weights"
    if a.indices is None or b.indices is None or c.indices is None:
        return "which samples each has could not be seen"
    if sorted(a.indices + b.indices) != sorted(c.indices):
        return "one process has other samples in its first step than the two ranks together"
    return ""


def _given(trace: Trace, step: Step) -> Vector:
    return Vector(step.gradients, trace.file)


def _fault(found: Likeness, a: Step, b: Step, c: Step) -> str:
    words = f"on 2 ranks the gradient is {found.ratio:.4g} times that of one process with the same"
    words += f" {len(c.indices or ())} samples"
    if found.apart <= _ASKEW and abs(found.ratio - 2) <= _ASKEW:
        return (
            f"{words}: gradients are summed over ranks where they are to be averaged; divide by the"
            " number of ranks"
        )
    if found.apart <= _ASKEW and abs(found.ratio - 1 / 2) <= _ASKEW:
        return f"{words}: they are divided by the number of ranks once too often"
    if found.apart <= _ASKEW:
        return f"{words}: look at what the loss is divided by on each rank"
    words = f"{words}, and {found.apart:.0%} of it is in another direction"
    mean = (a.loss + b.loss) / 2
    if abs(mean - c.loss) > _EQUAL * abs(c.loss):
        return (
            f"{words}: each rank's mean counts the same though they hold unequal numbers of tokens"
            f" or samples (their losses' mean is {mean:.6g}, that of one batch {c.loss:.6g});"
            " divide each rank's sum by the number on all ranks, times the number of ranks"
        )
    return f"{words}, though the losses agree: look at how gradients are reduced over ranks"


def _clipped(trial: Trial, results: Mapping[str, Result]) -> str:
    """What clipping makes of two ranks' gradient that it does not make of one process's."""
    limit = clipping_holds.limit_of(trial)
    pairs = ((results.get(_SMALL), results[_TWO]), (results.get(_SMALL_ALONE), results[_ONE]))
    told = []
    for small, free in pairs:
        if small is None or not small.completed or not small.trace.steps or not free.trace.steps:
            return ""
        told.append(_bent(small.trace, free.trace, limit))
    here, alone = told
    return f"on 2 ranks with clip_norm={limit:g} {here}" if here and not alone else ""


def _bent(small: Trace, free: Trace, limit: float) -> str:
    a, b = small.steps[0], free.steps[0]
    found = likeness(_given(small, a), _given(free, b))
    if found is None or b.grad_norm <= limit or len(b.turns) > 1:
        return ""
    words = f"the gradient has norm {a.turn_norm:.3g}"
    if found.apart > _BENT:
        return (
            f"{words} and {found.apart:.0%} of it is in another direction than without: each rank"
            " clips its own gradient before their mean is taken; reduce first, then clip"
        )
    if abs(a.turn_norm / limit - 1) > _ASKEW:
        return f"{words}: it is clipped before it is reduced, or not at all; reduce, then clip"
    return ""


PROOF = TrainerProof(
    id="ranks_equal_large_batch",
    claim="Two ranks give the gradient of one process that has the samples of both",
    why="Otherwise a run on more devices trains something else, at another rate, or half in vain.",
    catches=(
        "gradients that are summed where they are to be averaged",
        "the weights of rank 0 broadcast over what the others learnt",
        "a mean of ranks' means where they hold unequal numbers of tokens",
        "each rank's own gradient clipped before the mean is taken",
    ),
    remedy="divide by what all ranks hold, average over ranks, then clip, on every rank alike",
    runs=runs,
    judge=judge,
    spared=frozenset({_ONE, _SMALL, _SMALL_ALONE}),
    order=47,
)
