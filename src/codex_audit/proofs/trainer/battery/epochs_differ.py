"""What is drawn at random is drawn anew in each epoch: the order, and what the generators give."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from codex_audit.proofs.trainer.epochs import LEAST, rows_of, samples_of_epoch, without_repeat
from codex_audit.proofs.trainer.runs import OTHER_SEED
from codex_audit.proofs.trainer.trial import Broken, Measured, Seen, Skip, TrainerProof

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from codex_audit.proofs.trainer.runs import Result, Run
    from codex_audit.proofs.trainer.trial import Trial

_OTHER = "other"
_FEW_STEPS = 5
_STREAMS = {"python": "Python's", "numpy": "NumPy's", "torch": "torch's"}


def runs(trial: Trial) -> dict[str, Run]:
    """A short run under another seed, whose order tells whether it is drawn at random."""
    return {_OTHER: trial.run(seed=OTHER_SEED, until=min(trial.steps, _FEW_STEPS))}


def judge(trial: Trial, results: Mapping[str, Result]) -> Seen | Skip | Broken:
    """Look for generators that come back to a state, then for an order that comes again."""
    trace, other = trial.straight.trace, results[_OTHER]
    if not other.completed:
        return trial.unjudged("another seed", other)
    back = _come_back(trial)
    if back is not None:
        stream, first, second = back
        name = _STREAMS.get(stream, f"the {stream}")
        return Seen(
            good=False,
            summary=(
                f"after step {second} {name} generator is where it was after step {first}, though"
                " it had moved: the same numbers are drawn again, so that dropout, augmentation"
                " and what else it gives repeat from epoch to epoch; seed it once, or by the epoch"
            ),
            measured={"generator_repeats_after": second - first},
        )
    rows = rows_of(trace)
    if rows is None:
        return Skip("the generators move on; which samples are trained on could not be seen")
    length = samples_of_epoch(rows)
    if length is None:
        return Skip(
            "the generators move on; the trial shows no second epoch that could be compared with"
            " the first"
        )
    measured: Measured = {"samples_of_an_epoch": length}
    again = _same_epochs(rows)
    if again is None:
        words = f"the epoch after the first {length} samples has another order"
        return Seen(good=True, summary=f"{words}, and no generator comes back", measured=measured)
    start, order = again
    if not start and not _drawn(order, other, shuffles=trial.straight.shuffles):
        words = f"each epoch of {length} samples has an order of its own, which no seed changes"
        return Seen(good=True, summary=f"{words}; no generator comes back", measured=measured)
    return Seen(
        good=False,
        summary=(
            f"each epoch of {length} samples comes in the same order, though that is drawn at"
            " random: the sampler is seeded anew and alike (set_epoch is not called, a generator"
            " is made with the same seed), or the first epoch's batches are kept (itertools.cycle)"
        ),
        measured=measured,
    )


def _come_back(trial: Trial) -> tuple[str, int, int] | None:
    """The first generator that is again where it was, after it had moved; and after which steps."""
    steps = trial.straight.trace.steps
    found = []
    for stream in sorted(trial.streams):
        states = [steps[0].before.rng.get(stream), *(step.after.rng.get(stream) for step in steps)]
        seen: dict[str | None, int] = {}
        for place, (last, state) in enumerate(pairwise([None, *states])):
            if state != last and state in seen:
                found.append((place, stream, seen[state]))
                break
            seen.setdefault(state, place)
    if not found:
        return None
    place, stream, first = min(found)
    return stream, first, place


def _same_epochs(rows: Sequence[int]) -> tuple[int, Sequence[int]] | None:
    """The first epoch that comes again: after how many samples it begins, and its order."""
    start = 0
    while start < len(rows):
        length = without_repeat(rows[start:])
        if length >= LEAST and _comes_again(rows[start:], length):
            return start, rows[start : start + length]
        start += length
    return None


def _comes_again(rows: Sequence[int], length: int) -> bool:
    """Whether what follows the first epoch is that again; some are added to fill a batch."""
    for begin in range(length, min(2 * length, len(rows) - LEAST) + 1):
        count = min(length, len(rows) - begin)
        if list(rows[begin : begin + count]) == list(rows[:count]):
            return True
    return False


def _drawn(order: Sequence[int], other: Result, *, shuffles: bool) -> bool:
    """Whether chance made the order: another seed gives another, or its sampler says so."""
    if list(order) == sorted(order):
        return False
    rows = rows_of(other.trace)
    return shuffles or (rows is not None and rows[: len(order)] != list(order[: len(rows)]))


PROOF = TrainerProof(
    id="epochs_differ",
    claim="An order that is drawn at random, and every generator, is another in each epoch",
    why="A model that meets its data in one order, with one dropout, learns that order by heart.",
    catches=(
        "set_epoch that is never called (transformers issue 4398)",
        "itertools.cycle over a loader, which keeps the first epoch's batches",
        "a seed that is set again at each epoch's start",
    ),
    remedy="call sampler.set_epoch(epoch), or seed the order by (seed, epoch); seed the rest once",
    runs=runs,
    judge=judge,
    order=9,
)
