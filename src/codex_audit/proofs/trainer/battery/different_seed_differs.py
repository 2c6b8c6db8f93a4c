"""Another seed gives another run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from codex_audit.proofs.trainer.bisect import diverge
from codex_audit.proofs.trainer.pairs import Pair
from codex_audit.proofs.trainer.runs import OTHER_SEED
from codex_audit.proofs.trainer.trial import Broken, Seen, Skip, TrainerProof

if TYPE_CHECKING:
    from collections.abc import Mapping

    from codex_audit.proofs.trainer.runs import Result, Run
    from codex_audit.proofs.trainer.trace import Trace
    from codex_audit.proofs.trainer.trial import Trial

_FEW_STEPS = 5


def runs(trial: Trial) -> dict[str, Run]:
    """A short run under another seed, and one under the first to compare it with."""
    until = min(trial.steps, _FEW_STEPS)
    return {
        "other": trial.run(seed=OTHER_SEED, until=until),
        "same": trial.run(until=until),
    }


def judge(trial: Trial, results: Mapping[str, Result]) -> Seen | Skip | Broken:
    """Compare the losses."""
    other, same = results["other"], results["same"]
    for result, asked in ((other, "another seed"), (same, "a few steps only")):
        if not result.completed:
            return trial.unjudged(asked, result)
    straight = results["straight"].trace
    if diverge(Pair(_first(straight, len(same.trace.steps)), same.trace)) is not None:
        # Then other losses say nothing of the seed.
        return Skip("not judged: one seed already gives two runs")
    one, two = same.trace.losses, other.trace.losses
    steps = min(len(one), len(two))
    step = next((n for n, (a, b) in enumerate(zip(one, two, strict=False), 1) if a != b), None)
    if step is not None:
        summary = f"another seed gives other losses from step {step}"
    else:
        summary = f"another seed gives the same {steps} losses to the bit: the seed is ignored"
    return Seen(
        good=step is not None,
        summary=summary,
        method="factory",
        measured={"steps_compared": steps, "first_different_step": step},
    )


def _first(trace: Trace, count: int) -> Trace:
    return msgspec.structs.replace(trace, steps=trace.steps[:count])


PROOF = TrainerProof(
    id="different_seed_differs",
    claim="Another seed gives another run",
    why="A seed that is ignored makes five runs of five seeds one run, and their error bars zero.",
    catches=("a seed hard-coded below the setting", "a seed set before it is read"),
    remedy="pass the seed of the settings to every generator",
    runs=runs,
    judge=judge,
    order=8,
)
