"""Two ranks stay one model, resume exactly, and meet another number of ranks in the open."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from codex_audit.proofs.trainer import parting, refusals, resuming, shares
from codex_audit.proofs.trainer.bisect import Divergence, as_details, diverge
from codex_audit.proofs.trainer.bits import difference
from codex_audit.proofs.trainer.pairs import GRADIENT, PARAMETER, RNG, UPDATE, Pair
from codex_audit.proofs.trainer.runs import Faults
from codex_audit.proofs.trainer.trial import Seen, Skip, TrainerProof

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from codex_audit.proofs.trainer.runs import Result, Run
    from codex_audit.proofs.trainer.trace import Trace
    from codex_audit.proofs.trainer.trial import Trial

_POINT, _PAST = 5, 3
_LATE = 0.3  # seconds
_ENDED = "ended"
_TURNED, _TURNED_RESUMED = "the other late", "resumed where the other was late"


class _Wrong(msgspec.Struct, frozen=True):
    """What is wrong with a resume: in words, by component, and the first difference if known."""

    words: str
    components: frozenset[str]
    divergence: Divergence | None = None


def runs(trial: Trial) -> dict[str, Run] | Skip:
    """Two ranks that save, two that resume, and one alone that resumes."""
    if "distributed" not in trial.subject.abilities:
        return Skip("the subject does not say that it runs in several processes")
    if trial.device != "cpu":
        return Skip("two ranks need two devices; they are tried on the CPU")
    point = min(_POINT, trial.steps - 2)
    until = min(trial.steps, point + _PAST)
    # No two ranks come to a save at the same moment: once one is late, then the other.
    saves = tuple(sorted({max(1, point - 2), point}))
    source = trial.run(ranks=2, saves=saves, until=until, faults=Faults(late=_LATE))
    resumed = trial.run(ranks=2, source=source, source_step=point, until=until)
    alone = trial.run(ranks=1, source=source, source_step=point, until=until)
    return {"two": source, "resumed": resumed, "alone": alone}


def then(trial: Trial, results: Mapping[str, Result]) -> dict[str, Run]:
    """What shows whose fault it is: the other rank late to that save; resumes of one process."""
    point = min(_POINT, trial.steps - 2)
    ended = _ended(_ranks(results["two"]))
    if refusals.words(_ranks(results["two"])) or (not ended and _agree(_ranks(results["two"]))):
        return {}
    if not ended and _resumed_wrong(trial, results, point) is None:
        return {}
    first = runs(trial)
    if isinstance(first, Skip):
        return {}
    source, done = first["two"], min(len(each.saves) for each in _ranks(results["two"]))
    number = min(done, len(source.saves) - 1)
    turned = msgspec.structs.replace(
        source, saves=source.saves[number:], faults=Faults(late=_LATE, late_first=1 - number % 2)
    )
    further = {_TURNED: turned}
    if number == len(source.saves) - 1:
        further[_TURNED_RESUMED] = msgspec.structs.replace(first["resumed"], source=turned)
    return further if ended else further | resuming.runs(trial)


def judge(trial: Trial, results: Mapping[str, Result]) -> Seen | Skip:
    """Compare the ranks with each other, each with itself resumed, and the one that is alone."""
    two = results["two"]
    ranks = _ranks(two)
    words = refusals.words(ranks)
    if words:
        return Skip(f"the subject refuses 2 ranks before its first step: {words}")
    problem = _ended(ranks)
    if problem:
        return Seen(good=False, summary=f"on 2 ranks {problem}{_by_lateness(trial, results)}")
    problem = _agree(ranks)
    if problem:
        return Seen(good=False, summary=problem)
    point = min(_POINT, trial.steps - 2)
    wrong = _resumed_wrong(trial, results, point)
    if wrong is not None:
        if wrong.components & _alone_components(trial, results):
            return Skip(
                f"not judged: resumed after step {point} on 2 ranks, {wrong.words}; as with one"
                " process, where other proofs tell it"
            )
        found = wrong.divergence
        return Seen(
            good=False,
            summary=(
                f"resumed after step {point} on 2 ranks, {wrong.words}"
                f"{_by_lateness(trial, results)}"
            ),
            measured={"first_different_step": found.step} if found else {},
            method="load",
            details=dict(as_details(found)) if found else {},
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


def _ended(ranks: Sequence[Result]) -> str:
    """How a rank ended otherwise: the one that failed, before those that waited for it."""
    broken = [(number, each) for number, each in enumerate(ranks) if not each.completed]
    broken.sort(key=lambda each: _waited(each[1]))
    if not broken:
        return ""
    number, first = broken[0]
    words = f"the run of rank {number} {first.ending}"
    if first.failure is None or first.failure.type != "TimeoutError":
        return words
    made = [len(each.trace.steps) + bool(each.trace.pending) for each in ranks]
    return (
        f"{words}, with {made[0]} steps of rank 0 and {made[1]} of rank 1 begun: one waits for"
        " another that does not come; give all ranks as many batches, and let all of them reach"
        " each collective call, such as a barrier"
    )


def _by_lateness(trial: Trial, results: Mapping[str, Result]) -> str:
    """What to add where all is well if it is the other rank that comes late to that save."""
    if _TURNED not in results or not _saved(results[_TURNED]):
        return ""
    if _TURNED_RESUMED in results:
        turned = {"two": results[_TURNED], "resumed": results[_TURNED_RESUMED]}
        if _resumed_wrong(trial, turned, min(_POINT, trial.steps - 2)) is not None:
            return ""
    return (
        f". It is so where one rank comes to that save {_LATE:g} s after the other, and not where"
        " the other does: a barrier is missing before one uses, moves or deletes what another makes"
    )


def _saved(first: Result) -> bool:
    return all(each.saves for each in _ranks(first))


def _ranks(first: Result) -> tuple[Result, ...]:
    return (first, *first.peers)


def _waited(result: Result) -> int:
    """How little its ending tells: it was killed, or the connection to another was gone."""
    if result.failure is None:
        return 2
    return 1 if "by peer" in result.failure.message else 0


def _resumed_wrong(trial: Trial, results: Mapping[str, Result], point: int) -> _Wrong | None:
    """What is wrong with the two ranks that resume."""
    two, resumed = results["two"], results["resumed"]
    problem = _ended(_ranks(resumed))
    if problem:
        return _Wrong(problem, frozenset({_ENDED}))
    pairs = list(zip(_ranks(two), _ranks(resumed), strict=True))
    for number, (one, other) in enumerate(pairs):
        problem = _other_weights(one, other, point)
        if problem:
            return _Wrong(f"rank {number} {problem}", frozenset({PARAMETER}))
    for number, (one, other) in enumerate(pairs):
        problem = _lost(trial, one, other, point)
        if problem:
            return _Wrong(f"rank {number} {problem}", frozenset({RNG}))
    parted = _parted(trial, pairs, point)
    if parted is None:
        return None
    number, found = parted
    return _Wrong(f"rank {number} goes another way: {found}", found.components, found)


def _alone_components(trial: Trial, results: Mapping[str, Result]) -> frozenset[str]:
    """What one process that resumes does not have back either."""
    if resuming.INTERRUPTED not in results:
        return frozenset()
    found: set[str] = set()
    for each in resuming.resumes(trial, results):
        if each.divergence is not None:
            found |= each.divergence.components
        elif each.problem:
            found.add(_ENDED)
    return frozenset(found)


def _other_weights(one: Result, other: Result, point: int) -> str:
    """Whether a rank begins with weights that are not those it had."""
    if not other.trace.steps:
        return "makes no step"
    wanted, first = one.trace.steps[point].before, other.trace.steps[0].before
    found = difference(wanted.parameters, one.trace.file, first.parameters, other.trace.file)
    if found is None:
        return ""
    return (
        f"begins with other weights (`{found.name}`, {found.note}): load on every rank, or"
        " broadcast what the first one loads"
    )


def _lost(trial: Trial, one: Result, other: Result, point: int) -> str:
    """Which of a rank's generators are another's.

    One that is as saved right after loading, or at the first step, is restored.
    """
    saved = next((save.rng for save in one.saves if save.step == point), {})
    wanted = one.trace.steps[point].before.rng
    loaded = other.loaded.rng if other.loaded else {}
    first = other.trace.steps[0].before.rng
    lost = [
        stream
        for stream in sorted(trial.streams)
        if loaded.get(stream) != saved.get(stream) and first.get(stream) != wanted.get(stream)
    ]
    if not lost:
        return ""
    return (
        f"does not have its own generators back ({', '.join(lost)}); save those of each rank, and "
        "give each its own"
    )


def _parted(
    trial: Trial, pairs: Iterable[tuple[Result, Result]], point: int
) -> tuple[int, Divergence] | None:
    """The rank that parts first from its run without a resume, by itself and not by another."""
    found = []
    for number, (one, other) in enumerate(pairs):
        a, b = one.trace, other.trace
        if number:  # what the others keep of these the first one gives them, or nobody ever uses
            a, b = _without_own(a), _without_own(b)
        pair = Pair(a, b, skip=point, resumed=True, streams=trial.streams)
        divergence = diverge(pair)
        if divergence is not None:
            shared = bool(divergence.components & {GRADIENT, UPDATE})  # made of what both did
            found.append((divergence.step, shared, number, divergence))
    return min(found, key=lambda each: each[:3])[2:] if found else None


def _agree(ranks: tuple[Result, ...]) -> str:
    """What of the ranks differs that should not, or does not differ that should."""
    one, other = ranks[0].trace, ranks[1].trace
    if not one.steps or len(one.steps) != len(other.steps):
        return f"rank 0 made {len(one.steps)} steps and rank 1 {len(other.steps)}"
    problem = parting.parted(one, other)
    if problem:
        return problem
    if shares.same_samples(one, other):
        return (
            "both ranks train on the same batches, so two do the work of one; give each its own "
            "part of the data (DistributedSampler, with `set_epoch`)"
        )
    both = shares.overlap(one, other)
    if both is not None:
        return (
            f"in their first epoch both ranks train on {both[0]} of the {both[1]} samples that each"
            " has, and on others none does: their shares are of two orders; give the sampler of"
            " each rank the same seed"
        )
    return ""


def _without_own(trace: Trace) -> Trace:
    """Without buffers and the subject's own state, such as an average of the weights."""
    replace = msgspec.structs.replace
    steps = (
        replace(
            step,
            before=replace(step.before, buffers={}, extra={}),
            after=replace(step.after, buffers={}, extra={}),
        )
        for step in trace.steps
    )
    return replace(trace, steps=tuple(steps))


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
        "a barrier that is missing around a save",
    ),
    remedy="use DistributedDataParallel and a DistributedSampler; save each rank's generators",
    runs=runs,
    judge=judge,
    then=then,
    order=46,
)  # fmt: skip
