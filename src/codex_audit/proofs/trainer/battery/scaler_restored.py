"""After a resume the loss scale, and the steps since it changed, are what they were."""

from __future__ import annotations

from typing import TYPE_CHECKING

from codex_audit.proofs.trainer.trial import Broken, Seen, Skip, TrainerProof

if TYPE_CHECKING:
    from collections.abc import Mapping

    from codex_audit.proofs.trainer.runs import Knob, Result, Run
    from codex_audit.proofs.trainer.trial import Measured, Trial

_AFTER, _FURTHER = 3, 2


def runs(trial: Trial) -> dict[str, Run] | Skip:
    """A run in fp16 that saves, and one that resumes from it."""
    scaled = any(step.scale is not None for step in trial.straight.trace.steps)
    lacks = trial.lacks("precision")
    if lacks is not None and not scaled:
        return lacks
    knobs: dict[str, Knob] = {} if scaled else {"precision": "fp16"}
    point = min(_AFTER, trial.steps - _FURTHER)
    source = trial.run(saves=(point,), until=point + _FURTHER).with_knobs(**knobs)
    resumed = trial.run(source=source, source_step=point, until=point + _FURTHER)
    return {"saves": source, "resumes": resumed.with_knobs(**knobs)}


def judge(trial: Trial, results: Mapping[str, Result]) -> Seen | Skip | Broken:
    """Compare the scaler at the first step after loading with the one that was saved."""
    source, resumed = results["saves"], results["resumes"]
    if not source.completed:
        return trial.unjudged("precision=fp16", source)
    if not source.saves:
        return Skip("not judged: in fp16 nothing is saved")
    save = source.saves[0]
    later = source.trace.steps[save.made :]
    if save.scaler is None or not later:
        return Skip("no gradient scaler is used in fp16, so none could be lost")
    if not resumed.trace.steps:
        return Skip(f"not judged: in fp16 the resumed run {resumed.ending}")
    first = resumed.trace.steps[0]
    if first.scale is None:
        return Seen(
            good=False,
            summary=f"resumed after step {save.step} in fp16, no gradient scaler is used any more",
            method="load",
        )
    # As the same step of the run that saved saw it: one that overflows changes the scale itself.
    scale, growth = later[0].scale or 0.0, later[0].growth
    measured: Measured = {"scale": scale, "scale_after": first.scale}
    if first.scale != scale:
        seen = f"the loss scale is {first.scale:g} instead of {scale:g}"
    elif first.growth != growth:
        seen = (
            f"the gradient scaler counts {first.growth} steps since its scale changed instead of "
            f"{growth}"
        )
    else:
        words = (
            f"in fp16 the scale ({scale:g}) and its {growth} steps without overflow are restored"
        )
        return Seen(good=True, summary=words, measured=measured, method="load")
    return Seen(
        good=False,
        summary=f"resumed after step {save.step} in fp16, {seen}: save and load its state_dict",
        measured=measured,
        method="load",
    )


PROOF = TrainerProof(
    id="scaler_restored",
    claim="After a resume in fp16 the gradient scaler is what it was",
    why="A scale at its default overflows, and steps are skipped that were not skipped before.",
    catches=("a GradScaler that is not saved, or saved and not loaded",),
    remedy="save and load the scaler's state_dict beside the optimizer's",
    runs=runs,
    judge=judge,
    order=27,
)
