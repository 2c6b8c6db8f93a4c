"""Killed and resumed in a new process, the training is the one that was never interrupted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from codex_audit.proofs.trainer import resuming
from codex_audit.proofs.trainer.bisect import as_details
from codex_audit.proofs.trainer.trial import Measured, Seen, TrainerProof

if TYPE_CHECKING:
    from collections.abc import Mapping

    from codex_audit.proofs.trainer.runs import Result
    from codex_audit.proofs.trainer.trial import Trial


def judge(trial: Trial, results: Mapping[str, Result]) -> Seen:
    """Compare every step of every resumed run with the straight run's."""
    resumes = resuming.resumes(trial, results)
    broken = [each for each in resumes if each.problem]
    measured: Measured = {
        "resumed_at": ", ".join(str(each.point) for each in resumes),
        "steps_compared": sum(each.compared for each in resumes),
        "killed": resuming.was_killed(results),
    }
    if not resuming.was_killed(results):
        words = "the interrupted run ended by itself, not by the kill: " + resuming.how_ended(
            results
        )
        return Seen(good=False, summary=words, measured=measured, method="save")
    dead = [each for each in broken if each.result.failure and not each.result.trace.steps]
    drifted = "" if dead else resuming.drifted(trial, results)
    if drifted:
        return Seen(good=False, summary=drifted, measured=measured, method="save")
    if broken:
        broken = dead or broken
        first = broken[0]
        others = f" (also at {_points(broken[1:])})" if broken[1:] else ""
        details = as_details(first.divergence) if first.divergence else {}
        measured |= {"first_different_step": details.get("step")}
        return Seen(
            good=False,
            summary=f"resumed after step {first.point}{first.where}{others}: {first.problem}",
            measured=measured,
            method="load",
            details=dict(details),
        )
    return Seen(
        good=True,
        summary=(
            f"saved after steps {_points(resumes)}, killed, and resumed in new processes to step "
            f"{trial.steps}: batches, losses, gradients, weights and optimizer equal to the bit"
        ),
        measured=measured,
        method="load",
    )


def _points(resumes: list[resuming.Resume]) -> str:
    return ", ".join(f"{each.point}{each.where}" for each in resumes)


PROOF = TrainerProof(
    id="resume_bit_exact",
    claim="A run that is killed and resumed in a new process goes on as if never interrupted",
    why=(
        "A resume that loses state trains another model without saying so; on preemptible "
        "machines every long run is resumed many times."
    ),
    catches=(
        "optimizer, scheduler, scaler, generator or data position not saved, or not restored",
        "Composer, transformers and Lightning test the same: mid-epoch, at an epoch's end, later",
    ),
    remedy="save and restore what the first different step names; `codex_ml.training.Trainer` does",
    runs=resuming.runs,
    judge=judge,
    order=3,
)
