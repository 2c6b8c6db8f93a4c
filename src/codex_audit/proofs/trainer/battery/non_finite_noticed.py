"""A loss that is NaN does not ruin the weights in silence."""

from __future__ import annotations

from typing import TYPE_CHECKING

from codex_audit.proofs.trainer.runs import Faults
from codex_audit.proofs.trainer.trial import Seen, Skip, TrainerProof

if TYPE_CHECKING:
    from collections.abc import Mapping

    from codex_audit.proofs.trainer.runs import Result, Run
    from codex_audit.proofs.trainer.trace import Step
    from codex_audit.proofs.trainer.trial import Trial

_BAD, _MORE = 3, 5


def runs(trial: Trial) -> dict[str, Run] | Skip:
    """One forward pass of the third step gives NaN."""
    if trial.stepwise:
        return Skip("no forward pass of a module is seen that could be made to give NaN")
    until = min(trial.steps, _BAD + _MORE)
    return {"poisoned": trial.run(until=until, faults=Faults(poison_at=_BAD))}


def judge(trial: Trial, results: Mapping[str, Result]) -> Seen | Skip:
    """It must raise, stop, or leave that step out."""
    result = results["poisoned"]
    if not result.trace.poisoned:
        return Skip("no forward pass of a module was seen that could be made to give NaN")
    until = min(trial.steps, _BAD + _MORE)
    ruined = next((step for step in result.trace.steps if _ruined(step)), None)
    last = result.trace.steps[-1].number if result.trace.steps else 0
    failure = result.failure
    if failure is not None:
        good, summary = True, f"a NaN in step {_BAD} ends the run with {failure.type}"
    elif result.exit_code:
        good, summary = True, f"a NaN in step {_BAD} ends the run with code {result.exit_code}"
    elif ruined is None and last >= until:
        good, summary = True, f"a NaN in step {_BAD} is left out, and the weights stay finite"
    elif last < until:
        good, summary = True, f"a NaN in step {_BAD} stops the run after step {last}"
    else:
        good = False
        summary = (
            f"a NaN in the loss of step {_BAD} goes into the weights, and training goes on with "
            f"them to step {last} without a word; check the loss or the gradients' norm before "
            "each step, and raise, stop or leave it out"
        )
    return Seen(
        good=good,
        summary=summary,
        measured={"steps_after": last - _BAD, "weights_finite": ruined is None},
    )


def _ruined(step: Step) -> bool:
    return any(not bits.finite for bits in step.after.parameters.values())


PROOF = TrainerProof(
    id="non_finite_noticed",
    claim="A loss that is NaN raises, stops the run, or is left out",
    why="One step with NaN makes every weight NaN; nights of training then train nothing.",
    catches=(
        "no check at all, or a check of the logged mean only",
        "a log that filters NaN (transformers' logging_nan_inf_filter)",
    ),
    remedy="check the loss and the gradients' norm before each step; `TrainerConfig.on_non_finite`",
    runs=runs,
    judge=judge,
    order=30,
)
