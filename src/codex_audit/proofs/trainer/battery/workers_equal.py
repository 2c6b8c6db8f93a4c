"""One loader worker and two give the same numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from codex_audit.proofs.trainer.bisect import as_details, diverge
from codex_audit.proofs.trainer.pairs import Pair
from codex_audit.proofs.trainer.trial import Broken, Seen, Skip, TrainerProof

if TYPE_CHECKING:
    from collections.abc import Mapping

    from codex_audit.proofs.trainer.runs import Result, Run
    from codex_audit.proofs.trainer.trial import Trial

_STEPS = 10


def runs(trial: Trial) -> dict[str, Run] | Skip:
    """With one worker, twice, and with two."""
    lacks = trial.lacks("workers")
    if lacks is not None:
        return lacks
    short = trial.run(until=min(trial.steps, max(_STEPS, (trial.epoch or 0) + 2)))
    return {
        "one": short.with_knobs(workers=1),
        "one again": trial.run(until=short.until, number=2).with_knobs(workers=1),
        "two": short.with_knobs(workers=2),
    }


def judge(trial: Trial, results: Mapping[str, Result]) -> Seen | Skip | Broken:
    """Compare every step."""
    one, again, two = (results[name] for name in ("one", "one again", "two"))
    for result in (one, again):
        if not result.completed:
            return trial.unjudged("workers=1", result)
    if not two.completed:
        return Seen(good=False, summary=f"with two loader workers the run {two.ending}")
    if diverge(Pair(one.trace, again.trace)) is not None:
        return Skip("not judged: two runs with one worker each already differ")
    found = diverge(Pair(one.trace, two.trace))
    steps = len(two.trace.steps)
    if found is None:
        words = f"{steps} steps with one loader worker and with two agree to the bit"
        return Seen(good=True, summary=words, measured={"steps_compared": steps})
    twice = _twice(two) and not _twice(one)
    why = (
        "each batch comes twice, since every worker gives the whole stream; give each its own part"
        " by `get_worker_info()`"
        if twice
        else "seed what a worker draws by the sample or batch, not by the worker"
    )
    return Seen(
        good=False,
        summary=f"with two loader workers instead of one the run differs: {why}. {found}",
        measured={"steps_compared": steps, "first_different_step": found.step},
        details=dict(as_details(found)),
    )


def _twice(result: Result) -> bool:
    """Whether batches of equal content follow each other in pairs."""
    contents = [micro.content for step in result.trace.steps for micro in step.micros]
    pairs = list(zip(contents[::2], contents[1::2], strict=False))
    return bool(pairs) and all(one and one == other for one, other in pairs)


PROOF = TrainerProof(
    id="workers_equal",
    claim="Batches and losses are the same with one loader worker and with two",
    why="Otherwise a run cannot be repeated on a machine with another number of cores.",
    catches=(
        "augmentation that draws from a worker's own generator",
        "NumPy not seeded in workers",
    ),
    remedy="seed the generators by the sample or batch; `codex_ml.data.ResumableLoader` does",
    runs=runs,
    judge=judge,
    order=40,
)
