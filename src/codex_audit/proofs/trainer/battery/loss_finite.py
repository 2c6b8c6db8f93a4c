"""Losses, gradients and weights are finite numbers, taken where the gradient is taken."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from codex_audit.proofs.trainer.trial import Seen, TrainerProof

if TYPE_CHECKING:
    from collections.abc import Mapping

    from codex_audit.proofs.trainer.runs import Result, Run
    from codex_audit.proofs.trainer.trial import Trial


def runs(trial: Trial) -> dict[str, Run]:
    """The straight run is enough."""
    del trial
    return {}


def judge(trial: Trial, results: Mapping[str, Result]) -> Seen:
    """Look at every step's loss, gradients and weights."""
    result = results["straight"]
    steps = result.trace.steps
    bad = next((step for step in steps if not math.isfinite(step.loss)), None)
    summary = f"{len(steps)} losses, their gradients and all weights are finite"
    logged = result.losses
    if not steps:
        summary = "no optimizer step was seen: train() made none, or not by a torch optimizer"
    elif bad is not None:
        summary = f"the loss is {bad.loss} at step {bad.number}"
        if logged and math.isfinite(logged[min(bad.number, len(logged)) - 1]):
            summary += f", though train() returned {logged[bad.number - 1]:g} for it"
    elif len(steps) < trial.steps:
        summary = f"train({trial.steps}) made {len(steps)} optimizer steps"
        bad = steps[-1]
    elif logged and len(logged) != len(steps):
        summary = f"train({trial.steps}) returned {len(logged)} losses, one a step expected"
        bad = steps[-1]
    else:
        for step in steps:
            tensors = {**step.gradients, **step.after.parameters}
            name = next((name for name, bits in tensors.items() if not bits.finite), None)
            if name is not None:
                summary = f"after step {step.number} `{name}` holds NaN or infinity"
                bad = step
                break
    return Seen(
        good=bool(steps) and bad is None,
        summary=summary,
        measured={"steps": len(steps), "first_bad_step": bad.number if bad else None},
    )


PROOF = TrainerProof(
    id="loss_finite",
    claim="The loss of every step, its gradients and the weights after it are finite",
    why="One NaN in the weights ruins all that follows, and logs often do not show it.",
    catches=("a log that shows 0.0 where the loss is NaN", "division by a count of zero tokens"),
    remedy="find the first step named, lower the learning rate or clip, and stop at non-finite",
    runs=runs,
    judge=judge,
    order=1,
)
