"""The last, shorter window of an epoch makes a step of its own, with its own weight."""

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
    """Look at the first window of each division that has fewer micro-batches than the others."""
    short = 0
    why = accumulating.why_not(trial, results)
    if why is not None:
        return why
    for k, b, many, one in accumulating.pairs(results):
        told = accumulating.compare(trial, many.trace, one.trace, k)
        if isinstance(told, Skip):
            continue
        wrong = told.wrong
        if wrong is not None and wrong.short:
            return Seen(
                good=False,
                summary=f"{k} micro-batches of {b} against one batch of {k * b}, {wrong.summary}",
                measured={"first_bad_step": wrong.step, "ratio": round(wrong.ratio, 6)},
            )
        short += told.short
    if not short:
        return Skip("no epoch of the trial ended in a shorter window that could be compared")
    return Seen(
        good=True,
        summary=f"{short} shorter windows at an epoch's end give the gradient of one batch",
        measured={"short_windows": short},
    )


PROOF = TrainerProof(
    id="last_window_counts",
    claim="The shorter window at an epoch's end makes a step, weighed by what it holds",
    why="Its samples would otherwise train less than others, or not at all, in every epoch.",
    catches=(
        "a last window that is divided by k (transformers up to 4.48 with a plain model)",
        "a last window that makes no step, or is mixed into the next epoch's first",
    ),
    remedy="step at the epoch's end too, and divide by the micro-batches that there are",
    runs=runs,
    judge=judge,
    order=12,
)
