"""k micro-batches of b samples give the gradient of one batch of k times b."""

from __future__ import annotations

from typing import TYPE_CHECKING

from codex_audit.proofs.trainer import accumulating
from codex_audit.proofs.trainer.accumulating import runs
from codex_audit.proofs.trainer.trial import Broken, Seen, Skip, TrainerProof

if TYPE_CHECKING:
    from collections.abc import Mapping

    from codex_audit.proofs.trainer.runs import Result
    from codex_audit.proofs.trainer.trial import Trial


def judge(trial: Trial, results: Mapping[str, Result]) -> Seen | Skip | Broken:
    """Compare the gradients that the optimizer was given, up to a window that is too short."""
    compared, apart = 0, 0.0
    divisions, skips = [], []
    why = accumulating.why_not(trial, results)
    if why is not None:
        return why
    for k, b, many, one in accumulating.pairs(results):
        told = accumulating.compare(trial, many.trace, one.trace, k)
        if isinstance(told, Skip):
            skips.append(told)
            continue
        wrong = told.wrong
        if wrong is None or wrong.short:
            wrong = accumulating.schedule_wrong(many.trace, one.trace, k)
        if wrong is None:
            wrong = accumulating.average_wrong(many.trace, one.trace, told.steps)
        if wrong is not None:
            return Seen(
                good=False,
                summary=f"{k} micro-batches of {b} against one batch of {k * b}, {wrong.summary}",
                measured={"first_bad_step": wrong.step, "ratio": round(wrong.ratio, 6)},
            )
        compared += told.steps
        divisions.append(f"{k} x {b}")
        apart = max(apart, told.apart)
    if not compared:
        return skips[0] if skips else Skip("no step of both divisions had the same samples")
    return Seen(
        good=True,
        summary=(
            f"in {compared} steps {' and '.join(divisions)} samples give"
            f" the gradient of one batch (first steps apart by {apart:.1g} of its length)"
        ),
        measured={"steps_compared": compared, "apart": apart},
    )


PROOF = TrainerProof(
    id="accumulation_equals_large_batch",
    claim="Accumulating k micro-batches gives the update of the large batch, also at unequal sizes",
    why="Otherwise the settings that fit the memory change what is trained, and no log shows it.",
    catches=(
        "transformers 4.47.0 did not divide the loss of a plain model: k times the gradient",
        "a mean of means where micro-batches hold unequal numbers of tokens",
        "an average of the weights that is updated with each micro-batch",
    ),
    remedy="divide the sum of losses over the window by its number of tokens or samples",
    runs=runs,
    judge=judge,
    order=11,
)
