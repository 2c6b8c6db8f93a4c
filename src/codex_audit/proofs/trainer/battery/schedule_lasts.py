"""A schedule that is planned for the run's length is not over long before it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from codex_audit.proofs.trainer.trial import Broken, Seen, Skip, TrainerProof

if TYPE_CHECKING:
    from collections.abc import Mapping

    from codex_audit.proofs.trainer.runs import Result, Run
    from codex_audit.proofs.trainer.trial import Trial

_LONGER, _LEAST = 2, 2


def runs(trial: Trial) -> dict[str, Run] | Skip:
    """None at first: the straight run shows the rates."""
    if not trial.straight.trace.steps:
        return Skip("not judged: the straight run shows no steps")
    return {}


def then(trial: Trial, results: Mapping[str, Result]) -> dict[str, Run]:
    """A run that is planned for twice as long, if the rates come to an end within this one."""
    del results
    if _over(trial.straight) is None:
        return {}
    return {"longer": trial.run(horizon=_LONGER * trial.steps)}


def judge(trial: Trial, results: Mapping[str, Result]) -> Seen | Skip | Broken:
    """Rates of zero until the end, which come later where the end does."""
    steps = len(trial.straight.trace.steps)
    over = _over(trial.straight)
    if len({step.rates for step in trial.straight.trace.steps}) < 2:  # noqa: PLR2004 - a constant
        return Skip("the learning rate is the same at every step: no schedule is seen")
    if over is None:
        return Seen(
            good=True,
            summary=f"no schedule is over more than a step before the last of {steps}",
            measured={"steps": steps},
        )
    longer = results["longer"]
    if not longer.completed:
        return trial.unjudged(f"a horizon of {_LONGER * steps} steps", longer)
    later = _over(longer)
    if later == over or not over:
        return Skip(
            f"not judged: the rate is zero from step {over + 1} on, also where twice as many steps"
            " are planned for: that end is none that was planned by the run's length"
        )
    return Seen(
        good=False,
        summary=(
            f"the learning rate is zero from step {over + 1} of {steps} on, though the schedule is"
            f" planned for all {steps} (planned for {_LONGER * steps}, it is not): it goes on more"
            " than once a step; step it in one place, once for each step of the optimizer"
        ),
        measured={"over_after": over, "steps": steps},
    )


def _over(result: Result) -> int | None:
    """After how many steps all rates are zero, to the end and for more than the last step."""
    steps = result.trace.steps
    left = len(steps)
    while left and steps[left - 1].rates and not any(steps[left - 1].rates):
        left -= 1
    return left if len(steps) - left >= _LEAST else None


PROOF = TrainerProof(
    id="schedule_lasts",
    claim="A schedule that is planned for the run's length is not over long before its end",
    why="Steps at a rate of zero cost what others do, and change nothing.",
    catches=(
        "a schedule that a callback steps besides the trainer",
        "a schedule planned in steps that goes on with each micro-batch",
    ),
    remedy="step the schedule in one place, once for each step of the optimizer",
    runs=runs,
    judge=judge,
    then=then,
    order=27,
)
