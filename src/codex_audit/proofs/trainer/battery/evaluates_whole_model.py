"""Nothing drops out while the model is evaluated."""

from __future__ import annotations

from typing import TYPE_CHECKING

from codex_audit.proofs.trainer.battery.evaluation_leaves_no_trace import ASKED_AT
from codex_audit.proofs.trainer.trial import Broken, Seen, Skip, TrainerProof

if TYPE_CHECKING:
    from collections.abc import Mapping

    from codex_audit.proofs.trainer.runs import Result, Run
    from codex_audit.proofs.trainer.trial import Trial

_ASKED = "asked"


def runs(trial: Trial) -> dict[str, Run] | Skip:
    """The run in which evaluations are asked for."""
    if "evaluate" not in trial.subject.abilities:
        return Skip("the subject cannot be asked to evaluate")
    at = tuple(step for step in ASKED_AT if step < trial.steps)
    return {_ASKED: trial.run(evaluate_at=at)}


def judge(trial: Trial, results: Mapping[str, Result]) -> Seen | Skip | Broken:
    """Look for dropout that drops, in a module or in a function called by itself."""
    result = results[_ASKED]
    if not result.completed:
        return trial.unjudged("evaluations", result)
    made = len(result.evaluations)
    if not made:
        return Skip("no evaluation was seen")
    drops = sum(evaluation.drops for evaluation in result.evaluations)
    summary = f"in {made} evaluations no dropout dropped anything"
    if drops:
        summary = (
            f"in {made} evaluations dropout was active {drops} times: what is measured is not the"
            " model that will be used, and another each time; call eval() before, and give"
            " functional.dropout `training=self.training`"
        )
    return Seen(
        good=not drops,
        summary=summary,
        measured={"evaluations": made, "drops": drops},
        method="evaluate",
    )


PROOF = TrainerProof(
    id="evaluates_whole_model",
    claim="An evaluation is of the whole model: no dropout is active in it",
    why="Otherwise the best checkpoint and the moment to stop are chosen by chance.",
    catches=(
        "eval() that is forgotten, or comes after the first batch",
        "functional.dropout without `training=self.training`, which always drops",
    ),
    remedy="call model.eval() before evaluating; declare a limit where dropout is to stay (MC)",
    runs=runs,
    judge=judge,
    order=15,
)
