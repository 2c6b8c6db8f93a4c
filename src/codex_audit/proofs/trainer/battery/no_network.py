"""The run succeeds with the network cut."""

from __future__ import annotations

from typing import TYPE_CHECKING

from codex_audit.proofs.trainer.bisect import diverge
from codex_audit.proofs.trainer.pairs import Pair
from codex_audit.proofs.trainer.trial import Seen, TrainerProof

if TYPE_CHECKING:
    from collections.abc import Mapping

    from codex_audit.proofs.trainer.runs import Result, Run
    from codex_audit.proofs.trainer.trial import Trial


def runs(trial: Trial) -> dict[str, Run]:
    """The straight run once more, to see whether it can be repeated, and without a network."""
    return {"again": trial.run(number=2), "offline": trial.run(offline=True)}


def judge(trial: Trial, results: Mapping[str, Result]) -> Seen:
    """Look for the error, and for other numbers where two runs agree otherwise."""
    offline = results["offline"]
    if not offline.completed:
        when = "" if offline.trace.steps else "it asks the network at its start: "
        return Seen(good=False, summary=f"{when}with the network cut the run {offline.ending}")
    one = trial.straight.trace
    steps = len(offline.trace.steps)
    repeatable = results["again"].completed and diverge(Pair(one, results["again"].trace)) is None
    found = diverge(Pair(one, offline.trace)) if repeatable else None
    if found is not None:
        words = f"with the network cut the run goes another way: {found}"
        return Seen(good=False, summary=words, measured={"first_different_step": found.step})
    same = "the same numbers" if repeatable else f"{steps} steps"
    return Seen(
        good=True,
        summary=f"with the network cut the run succeeds, with {same}",
        measured={"steps_compared": steps},
    )


PROOF = TrainerProof(
    id="no_network",
    claim="The run succeeds, with the same numbers, where no network can be reached",
    why="A run that asks the network fails on the node without one, or changes with what it gets.",
    catches=(
        "telemetry and version checks",
        "a data set, tokenizer or metric fetched at the start",
    ),
    remedy="fetch beforehand, pin what was fetched, and give its path",
    runs=runs,
    judge=judge,
    order=42,
)
