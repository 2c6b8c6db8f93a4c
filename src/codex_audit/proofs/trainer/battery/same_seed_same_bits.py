"""One seed, two processes: the same bits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from codex_audit.proofs.trainer.bisect import as_details, diverge
from codex_audit.proofs.trainer.pairs import Pair
from codex_audit.proofs.trainer.trial import Seen, TrainerProof

if TYPE_CHECKING:
    from collections.abc import Mapping

    from codex_audit.proofs.trainer.runs import Result, Run
    from codex_audit.proofs.trainer.trial import Trial


def runs(trial: Trial) -> dict[str, Run]:
    """The straight run once more."""
    return {"again": trial.run(number=2)}


def judge(trial: Trial, results: Mapping[str, Result]) -> Seen:
    """Compare every step of both."""
    again = results["again"]
    if not again.completed:
        return Seen(good=False, summary=f"the second run {again.ending}", method="factory")
    one = trial.straight.trace
    found = diverge(Pair(one, again.trace, streams=trial.streams, rng_counts=True))
    steps = len(again.trace.steps)
    if found is None:
        words = f"{steps} steps of two processes with one seed agree to the bit"
        return Seen(good=True, summary=words, method="factory", measured={"steps_compared": steps})
    return Seen(
        good=False,
        summary=f"two processes with one seed differ: {found}",
        measured={"steps_compared": steps, "first_different_step": found.step},
        method="factory",
        details=dict(as_details(found)),
    )


PROOF = TrainerProof(
    id="same_seed_same_bits",
    claim="Two processes with one seed give the same losses, weights and optimizer state",
    why="Without it no result can be repeated, no fault bisected, and no resume can be exact.",
    catches=("a generator that is not seeded", "an order that depends on a set or on the clock"),
    remedy="seed every generator before the model is made; `codex_ml.seeding` does",
    runs=runs,
    judge=judge,
    order=7,
)
