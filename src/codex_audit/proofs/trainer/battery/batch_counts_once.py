"""No batch is trained on twice where an epoch ends or begins."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING

from codex_audit.proofs.trainer.trial import Measured, Seen, Skip, TrainerProof

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from codex_audit.proofs.trainer.runs import Result, Run
    from codex_audit.proofs.trainer.trial import Trial

_BY_CHANCE = 1e-4
_SHOWN = 6


def runs(trial: Trial) -> dict[str, Run]:
    """The straight run tells."""
    del trial
    return {}


def judge(trial: Trial, results: Mapping[str, Result]) -> Seen | Skip:
    """Look for batches of the same samples in the same order, one right after the other."""
    del results
    known = _batches(trial)
    if known is None:
        return Skip("which samples each batch holds could not be seen")
    borders = _borders(known)
    if not borders:
        return Skip("the trial shows no end of an epoch")
    # Of the last two batches nobody knows whether an epoch ends with them.
    again = [n for n, (one, other) in enumerate(pairwise(known[:-1])) if one == other]
    at_ends = [place for place in again if place + 2 in borders or place in {0, *borders}]
    # Elsewhere batches come twice on purpose, or those of two data sets are numbered alike.
    if len(again) > len(at_ends) or _chance(known, at_ends, 2 * len(borders) + 2) > _BY_CHANCE:
        at_ends = []
    measured: Measured = {"epochs_ended": len(borders), "batches_twice": len(at_ends)}
    if not at_ends:
        return Seen(
            good=True,
            summary=f"where {len(borders)} epochs end and begin no batch comes twice",
            measured=measured,
        )
    batch = known[at_ends[0]]
    shown = ", ".join(map(str, batch[:_SHOWN])) + (", ..." if len(batch) > _SHOWN else "")
    which = "last" if at_ends[0] + 2 in borders else "first"
    return Seen(
        good=False,
        summary=(
            f"the {which} batch of an epoch is trained on twice, as after {at_ends[0] + 1} batches"
            f" that of samples [{shown}]: what is left over is taken after a batch that had it"
            " already, or the place in the epoch counts one too few; its samples count double"
        ),
        measured=measured,
    )


def _batches(trial: Trial) -> list[tuple[int, ...]] | None:
    """The samples of each micro-batch, or of each step where nobody tells more."""
    steps = trial.straight.trace.steps
    micros = [micro.indices or () for step in steps for micro in step.micros]
    found = micros if all(micros) else [step.indices or () for step in steps]
    return found if all(found) else None


def _borders(batches: Sequence[tuple[int, ...]]) -> set[int]:
    """Places of the batches that begin a later epoch; a batch that comes again begins none."""
    found = set()
    seen = set(batches[0]) if batches else set()
    for place, (before, batch) in enumerate(pairwise(batches), 1):
        if batch == before:
            continue
        if seen.intersection(batch):
            found.add(place)
            seen = set()
        seen.update(batch)
    return found


def _chance(batches: Sequence[tuple[int, ...]], at_ends: Sequence[int], places: int) -> float:
    """How likely chance alone repeats so many, were the samples drawn anew for each batch."""
    samples = len({row for batch in batches for row in batch})
    each = (1 / math.perm(samples, len(set(batches[place]))) for place in at_ends)
    return math.comb(places, len(at_ends)) * math.prod(each)


PROOF = TrainerProof(
    id="batch_counts_once",
    claim="No batch is trained on twice where an epoch ends or begins",
    why="Samples that count double in each epoch are learnt by heart first, and no log shows it.",
    catches=(
        "the last batch taken again by what handles the remainder",
        "a first batch that a look at the loader has taken, and that is given back besides",
    ),
    remedy="count a batch as taken once it is trained on, and step for the remainder only if any",
    runs=runs,
    judge=judge,
    order=9,
)
