"""Two ranks stay one model, resume exactly, and meet another number of ranks in the open."""

from __future__ import annotations

from typing import TYPE_CHECKING

from codex_audit.proofs.trainer.bisect import as_details, diverge
from codex_audit.proofs.trainer.bits import difference
from codex_audit.proofs.trainer.pairs import Pair
from codex_audit.proofs.trainer.trial import Seen, Skip, TrainerProof

if TYPE_CHECKING:
    from collections.abc import Mapping

    from codex_audit.proofs.trainer.runs import Result, Run
    from codex_audit.proofs.trainer.trace import Tensors
    from codex_audit.proofs.trainer.trial import Trial

_POINT, _PAST = 5, 3


def runs(trial: Trial) -> dict[str, Run] | Skip:
    """Two ranks that save, two that resume, and one alone that resumes."""
    if "distributed" not in trial.subject.abilities:
        return Skip("the subject does not say that it runs in several processes")
    if trial.device != "cpu":
        return Skip("two ranks need two devices; they are tried on the CPU")
    point = min(_POINT, trial.steps - 2)
    until = min(trial.steps, point + _PAST)
    source = trial.run(ranks=2, saves=(point,), until=until)
    resumed = trial.run(ranks=2, source=source, source_step=point, until=until)
    alone = trial.run(ranks=1, source=source, source_step=point, until=until)
    return {"two": source, "resumed": resumed, "alone": alone}


def judge(trial: Trial, results: Mapping[str, Result]) -> Seen | Skip:
    """Compare the ranks with each other, each with itself resumed, and the one that is alone."""
    two, resumed = results["two"], results["resumed"]
    ranks = (two, *two.peers)
    for number, result in enumerate(ranks):
        if not result.completed:
            return Seen(good=False, summary=f"as rank {number} of 2 the run {result.ending}")
    problem = _agree(ranks)
    if problem:
        return Seen(good=False, summary=problem)
    point = min(_POINT, trial.steps - 2)
    for number, (one, other) in enumerate(zip(ranks, (resumed, *resumed.peers), strict=True)):
        where = f"resumed after step {point} on 2 ranks, rank {number}"
        if not other.completed:
            return Seen(good=False, summary=f"{where} {other.ending}", method="load")
        streams = trial.streams
        pair = Pair(one.trace, other.trace, point, resumed=True, streams=streams, rng_counts=True)
        found = diverge(pair)
        if found is not None:
            return Seen(
                good=False,
                summary=f"{where} goes another way: {found}",
                measured={"first_different_step": found.step},
                method="load",
                details=dict(as_details(found)),
            )
    alone = results["alone"]
    problem = _alone(alone, two, point)
    if problem:
        return Seen(good=False, summary=problem, method="load")
    handled = "goes on" if alone.completed else f"is refused ({_first_line(alone)})"
    return Seen(
        good=True,
        summary=(
            f"2 ranks agree on all weights after each of {len(two.trace.steps)} steps, each "
            f"resumes to the bit, and one process with their checkpoint {handled}"
        ),
        measured={"steps_compared": len(two.trace.steps), "world_size_change": alone.completed},
    )


def _agree(ranks: tuple[Result, ...]) -> str:
    """What of the ranks differs that should not, or does not differ that should."""
    one, other = ranks[0].trace, ranks[1].trace
    if not one.steps or len(one.steps) != len(other.steps):
        return f"rank 0 made {len(one.steps)} steps and rank 1 {len(other.steps)}"
    for a, b in zip(one.steps, other.steps, strict=True):
        found = difference(
            _whole(a.after.parameters), one.file, _whole(b.after.parameters), other.file
        )
        if found is None:
            continue
        start = difference(
            _whole(a.before.parameters), one.file, _whole(b.before.parameters), other.file
        )
        cause = (
            "they began with other weights; broadcast those of rank 0 first"
            if start is not None and a.number == 1
            else "gradients are not averaged over ranks; wrap the model in "
            "DistributedDataParallel, and call it and not the module inside"
        )
        return (
            f"after step {a.number} rank 0 and rank 1 differ in parameter `{found.name}` "
            f"({found.note}): {cause}"
        )
    contents = [[m.content for m in step.micros] for step in one.steps]
    if all(all(each) for each in contents) and contents == [
        [m.content for m in step.micros] for step in other.steps
    ]:
        return (
            "both ranks train on the same batches, so two do the work of one; give each its own "
            "part of the data (DistributedSampler, with `set_epoch`)"
        )
    return ""


def _whole(tensors: Tensors) -> Tensors:
    """Those that are no rank's part of something larger."""
    return {name: bits for name, bits in tensors.items() if not bits.shard}


def _alone(alone: Result, two: Result, point: int) -> str:
    """What is wrong with one process that is given the checkpoint of two ranks."""
    if alone.failure is not None and alone.failure.type != "TimeoutError":
        if alone.trace.steps:
            return f"one process with the checkpoint of 2 ranks {alone.ending}, after it had begun"
        return ""
    if not alone.completed:
        return f"one process with the checkpoint of 2 ranks {alone.ending}"
    if not alone.trace.steps:
        return "one process with the checkpoint of 2 ranks makes no step, and says nothing"
    wanted = two.trace.steps[point].before.parameters
    if any(bits.shard for bits in wanted.values()):
        return ""
    first = alone.trace.steps[0].before.parameters
    found = difference(wanted, two.trace.file, first, alone.trace.file)
    if found is None:
        return ""
    return (
        f"one process with the checkpoint of 2 ranks goes on with other weights: `{found.name}` "
        f"({found.note}); load the whole model, or refuse another number of ranks"
    )


def _first_line(result: Result) -> str:
    return result.failure.type if result.failure else "no reason"


PROOF = TrainerProof(
    id="ranks",
    claim="Two ranks agree on the weights, resume exactly, and another number is met in the open",
    why="Ranks that part train two models and save one; a resume with fewer must not guess.",
    catches=(
        "gradients that are not averaged", "every rank with the same samples",
        "one rank's generators restored on all", "a checkpoint of rank 0 alone",
    ),
    remedy="use DistributedDataParallel and a DistributedSampler; save each rank's generators",
    runs=runs,
    judge=judge,
    order=46,
)  # fmt: skip
