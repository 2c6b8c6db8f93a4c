"""Where two ranks' weights part for good, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING

from codex_audit.proofs.trainer.bits import difference
from codex_audit.proofs.trainer.vectors import Vector, likeness

if TYPE_CHECKING:
    from codex_audit.proofs.trainer.bits import TensorDifference
    from codex_audit.proofs.trainer.trace import State, Step, Tensors, Trace

_SHOWN = 3
_APART = 1e-4


def parted(one: Trace, other: Trace) -> str:
    """How the ranks' weights differ from some step on; "" where they are or become the same again.

    Right after a step they may differ: some trainers average weights instead of gradients.
    """
    steps = list(zip(one.steps, other.steps, strict=True))
    last = [
        place for place, (a, b) in enumerate(steps) if not _differ(a.before, b.before, one, other)
    ]
    place = last[-1] if last else 0
    a, b = steps[place]
    start = _differ(a.before, b.before, one, other)
    found = start if start is not None else _differ(a.after, b.after, one, other)
    if found is None:
        return ""
    if start is not None:
        return (
            f"before step {a.number} rank 0 and rank 1 differ in parameter `{found.name}`"
            f" ({found.note}): they began with other weights; broadcast those of rank 0 first"
        )
    if place + 1 == len(steps) and place and _were_apart(steps[:place], one, other):
        return ""  # as after each step before it, until they are averaged
    return (
        f"after step {a.number} rank 0 and rank 1 differ in parameter `{found.name}`"
        f" ({found.note}): {_why(steps, place, (one.file, other.file))}"
    )


def _were_apart(steps: list[tuple[Step, Step]], one: Trace, other: Trace) -> bool:
    return any(_differ(a.after, b.after, one, other) is not None for a, b in steps)


def _why(steps: list[tuple[Step, Step]], place: int, files: tuple[str, str]) -> str:
    a, b = steps[place]
    names = [name for name, bits in whole(a.gradients).items() if _apart(name, a, b, files)]
    shown = ", ".join(f"`{name}`" for name in names[:_SHOWN])
    if names and len(names) < len(a.gradients):
        return (
            f"the gradient of {shown} is not averaged over ranks, though that of the others is;"
            " reduce the gradients of all parameters, or leave it to DistributedDataParallel"
        )
    if a.gradients and all(x.same_as(b.gradients.get(n)) for n, x in a.gradients.items()):
        return (
            "both were given the same gradients, and their optimizers make another update of them:"
            " look at the rates, settings and state of each rank's optimizer"
        )
    if place and len(a.micros) < max(len(x.micros) for x, _ in steps[:place]):
        return (
            "gradients are not averaged over ranks in an epoch's last, shorter window: no_sync"
            " must end with the last micro-batch that there is, not with the k-th"
        )
    if len(a.micros) > 1:
        return (
            "gradients are not averaged over ranks; wrap the model in DistributedDataParallel,"
            " call it and not the module inside, and let no_sync end before the last micro-batch"
        )
    return (
        "gradients are not averaged over ranks; wrap the model in DistributedDataParallel, and call"
        " it and not the module inside"
    )


def _apart(name: str, a: Step, b: Step, files: tuple[str, str]) -> bool:
    """Whether a gradient has another direction on each rank; clipping changes the length alone."""
    if name not in b.gradients:
        return True
    one = Vector({name: a.gradients[name]}, files[0])
    found = likeness(one, Vector({name: b.gradients[name]}, files[1]))
    return found is None or found.apart > _APART or found.ratio < 0


def _differ(a: State, b: State, one: Trace, other: Trace) -> TensorDifference | None:
    return difference(whole(a.parameters), one.file, whole(b.parameters), other.file)


def whole(tensors: Tensors) -> Tensors:
    """Those that are no rank's part of something larger."""
    return {name: bits for name, bits in tensors.items() if not bits.shard}
