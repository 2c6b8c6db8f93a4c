"""Each trainable parameter gets a gradient and changes; frozen ones do not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from codex_audit.proofs.trainer.bits import numbers_of
from codex_audit.proofs.trainer.trial import Seen, Skip, TrainerProof

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from codex_audit.proofs.trainer.runs import Result, Run
    from codex_audit.proofs.trainer.trace import Trace
    from codex_audit.proofs.trainer.trial import Trial

_SHOWN = 3
_FAINT = 1e-5  # of the greatest gradient: rounding may swallow such a change
_SHRINKS = 1e-5


def runs(trial: Trial) -> dict[str, Run] | Skip:
    """The straight run is enough."""
    if trial.stepwise:
        return Skip("neither gradients nor parameters are seen")
    return {}


def judge(trial: Trial, results: Mapping[str, Result]) -> Seen | Skip:
    """Look at every parameter over the whole run."""
    del results
    trace = trial.straight.trace
    if not trace.steps:
        return Skip("no optimizer step was seen")
    first, last = trace.steps[0].before.parameters, trace.steps[-1].after.parameters
    frozen = [name for name in trace.frozen if name in first and name in last]
    trainable = [name for name in last if name in first and name not in trace.frozen]
    changed = {name for name in last if name in first and not last[name].same_as(first[name])}
    greatest = _greatest_gradients(trace)
    top = max(greatest.values(), default=0.0)
    faults = [
        _told(
            "no optimizer was given",
            trace.omitted,
            "make the optimizer after the model is whole, of all its parameters",
        ),
        _told(
            "no gradient reaches",
            [n for n in trainable if n not in {*greatest, *trace.omitted, *trace.orphans}],
            "look for detach(), no_grad or a part of the model that the loss does not use",
        ),
        _told(
            "the optimizer holds what no module has, and no gradient reaches",
            [n for n in trace.orphans if n not in greatest],
            "make the optimizer after the model is whole, of the model that is trained",
        ),
        _told(
            "the gradient is zero at every step of",
            [n for n in trainable if greatest.get(n) == 0 and n not in trace.omitted],
            "look for a part of the model that the loss does not depend on",
        ),
        _told(
            "a gradient reaches, but no step changes,",
            [
                n
                for n in trainable
                if n not in changed
                and greatest.get(n, 0.0) > _FAINT * top
                and n not in trace.omitted
            ],
            "look at the rate of its group, for what sets it back, for steps that bfloat16 rounds"
            " away",
        ),
        _told(
            "although frozen, a gradient is given to",
            [n for n in frozen if greatest.get(n, 0.0) > 0],
            "set requires_grad before the graph is built",
        ),
        _told(
            "although frozen, the optimizer changes",
            [n for n in frozen if n in changed and n in trace.held and not _shrinks(trace, n)],
            "leave frozen parameters out of its groups",
        ),
        _told(
            "although frozen, the optimizer's weight decay shrinks",
            [n for n in frozen if n in changed and n in trace.held and _shrinks(trace, n)],
            "leave frozen parameters out of its groups",
        ),
        _told(
            "although frozen, weight decay shrinks",
            [n for n in frozen if n in changed and n not in trace.held and _shrinks(trace, n)],
            "decay only what is trained",
        ),
    ]
    found = [fault for fault in faults if fault]
    return Seen(
        good=not found,
        summary="; ".join(found)
        or (
            f"each of {len(trainable)} trainable parameters gets a gradient and changes"
            + (f"; none of {len(frozen)} frozen ones is trained" if frozen else "")
        ),
        measured={"trainable": len(trainable), "frozen": len(frozen), "changed": len(changed)},
        method="factory" if trace.omitted else "train",
    )


def _told(what: str, names: Iterable[str], remedy: str) -> str:
    several = list(names)
    if not several:
        return ""
    shown = ", ".join(f"`{name}`" for name in several[:_SHOWN])
    more = f" and {len(several) - _SHOWN} more" if len(several) > _SHOWN else ""
    return f"{what} {shown}{more}: {remedy}"


def _greatest_gradients(trace: Trace) -> dict[str, float]:
    """Parameter -> the greatest absolute number in any of its gradients; none without one."""
    found: dict[str, float] = {}
    for step in trace.steps:
        for name, bits in [*step.gradients.items(), *step.stray.items()]:
            numbers = numbers_of(bits, trace.file)
            top = 1.0 if numbers is None else max((abs(x) for x in numbers), default=0.0)
            found[name] = max(found.get(name, 0.0), top)
    return found


def _shrinks(trace: Trace, name: str) -> bool:
    """Whether a parameter becomes a fraction of itself, which an average of weights does not."""
    first, last = trace.steps[0].before.parameters[name], trace.steps[-1].after.parameters[name]
    one, other = numbers_of(first, trace.file), numbers_of(last, trace.file)
    if not one or not other:
        return False
    square = sum(x * x for x in one)
    ratio = sum(x * y for x, y in zip(one, other, strict=True)) / square if square else 1.0
    rest = sum((y - ratio * x) ** 2 for x, y in zip(one, other, strict=True))
    return 0 < ratio < 1 and rest <= _SHRINKS**2 * square


PROOF = TrainerProof(
    id="every_parameter_learns",
    claim="Each trainable parameter gets a gradient and changes; frozen ones do neither",
    why="A part that silently does not learn costs accuracy and is seen in no loss curve.",
    catches=("an optimizer made before a layer was replaced", "weight decay on frozen parameters"),
    remedy="compare model.named_parameters() with the optimizer's groups",
    runs=runs,
    judge=judge,
    order=13,
)
