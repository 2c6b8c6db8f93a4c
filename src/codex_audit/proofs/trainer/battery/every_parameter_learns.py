"""Every trainable parameter gets a gradient and changes, and no frozen one does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from codex_audit.proofs.trainer.trial import Seen, Skip, TrainerProof

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from codex_audit.proofs.trainer.runs import Result, Run
    from codex_audit.proofs.trainer.trial import Trial

_SHOWN = 3


def runs(trial: Trial) -> dict[str, Run] | Skip:
    """The straight run is enough."""
    if trial.stepwise:
        return Skip("parameters and gradients cannot be seen where no torch optimizer steps")
    return {}


def judge(trial: Trial, results: Mapping[str, Result]) -> Seen | Skip:
    """Follow each parameter from the first forward pass to the last step."""
    del trial
    trace = results["straight"].trace
    if not trace.steps or not trace.steps[0].before.parameters:
        return Skip("the subject's parameters could not be seen")
    first, last = trace.steps[0].before.parameters, trace.steps[-1].after.parameters
    frozen = set(trace.frozen)
    changed = {name for name in first if not first[name].same_as(last.get(name))}
    got = {name for step in trace.steps for name in step.gradients}
    trainable = [name for name in first if name not in frozen and name not in trace.omitted]
    faults = [
        (trace.omitted, "no optimizer was given"),
        ([n for n in trainable if n not in got], "no gradient ever reached"),
        ([n for n in trainable if n in got and n not in changed], "no step ever changed"),
        ([n for n in first if n in frozen and n in changed], "though frozen, training changed"),
    ]
    told = [f"{words} {_listed(names)}" for names, words in faults if names]
    return Seen(
        good=not told,
        summary="; ".join(told)
        or f"all {len(trainable)} trainable parameters got gradients and changed"
        + (f", and {len(frozen)} frozen ones did not" if frozen else ""),
        measured={
            "trainable": len(trainable),
            "frozen": len(frozen),
            "omitted": len(trace.omitted),
        },
    )


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(f"`{name}`" for name in names[:_SHOWN])
    return shown + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")


PROOF = TrainerProof(
    id="every_parameter_learns",
    claim="Every trainable parameter gets gradients and changes; frozen ones never change",
    why="A head that no optimizer was given stays random, and the loss still falls.",
    catches=(
        "an optimizer made before a layer was added or replaced",
        "a detach, or a no_grad, in the middle of the model",
        "weight decay on frozen parameters, or an optimizer that was given them",
    ),
    remedy="give the optimizer model.parameters() once the model is whole; freeze by requires_grad",
    runs=runs,
    judge=judge,
    order=31,
)
