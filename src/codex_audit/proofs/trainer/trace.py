"""What was seen of a run, step by step: records written by the recorder, read without torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from codex_audit.proofs.trainer.bits import Bits

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_LENGTH = 4

Tensors = dict[str, Bits]


class Micro(msgspec.Struct, frozen=True):
    """One backward pass.

    Attributes:
        loss: the number whose gradient was taken, in the trainer's own scaling.
        content: digest of what the model was given; empty where it was given no tensor.
        indices: places in the data set of what the model was given, from a DataLoader's sampler.
        own_loss: the loss that the model itself returned (HF convention), before any scaling.
        poisoned: whether what the model gave was made NaN.
        delivered: digests of the tensors as a DataLoader gave them, where the pass had them whole.
    """

    loss: float
    content: str = ""
    indices: tuple[int, ...] | None = None
    own_loss: float | None = None
    poisoned: bool = False
    delivered: tuple[str, ...] = ()


class State(msgspec.Struct, frozen=True):
    """A subject at one moment.

    `rng`: stream -> digest of the generator's state. `modes`: a digest of those of each model's
    parts, in the order in which the models were met.
    """

    parameters: Tensors = {}
    buffers: Tensors = {}
    optimizer: Tensors = {}
    extra: Tensors = {}
    rng: dict[str, str] = {}
    modes: str = ""


class Step(msgspec.Struct, frozen=True):
    """One optimizer step and the micro-batches before it; `number` counts in this process, from 1.

    Attributes:
        micros: in the order of their backward passes.
        before: the subject at the first forward pass of the step.
        rates: learning rate of each parameter group.
        scale: of the gradient scaler, where one is used.
        growth: steps since that changed.
        gradients: as each optimizer was given those of its parameters, unscaled and clipped.
        grad_norm: the greatest L2 norm of those that were given between two backward passes.
        own: the sum of what the backward passes gave, taken apart from the trainer where asked.
        after: the subject after the step.
        stray: gradients of parameters that no optimizer holds.
        turn_norm: the greatest norm that a single optimizer was given.
        turns: the parameters that each optimizer was given a gradient of, in their order.
        stale: those that had a gradient, not zero, before the backward passes of a turn.
        pending: those of them whose gradient was there when the step began.
        repeats: how often an optimizer made its step on the same gradients.
        order: the samples as the subject itself tells them, which outweighs the sampler's indices.
        tensors, tensor_bytes, open_files, threads, heap: alive in the process, where it was
            counted; `heap` is every byte that C's allocator gave and did not get back.
    """

    number: int
    micros: tuple[Micro, ...]
    before: State
    rates: tuple[float, ...]
    scale: float | None
    gradients: Tensors
    grad_norm: float
    after: State
    own: Tensors = {}
    order: tuple[int, ...] | None = None
    tensors: int | None = None
    tensor_bytes: int | None = None
    open_files: int | None = None
    threads: int | None = None
    heap: int | None = None
    growth: int | None = None
    stray: Tensors = {}
    turn_norm: float = 0.0
    turns: tuple[tuple[str, ...], ...] = ()
    stale: tuple[str, ...] = ()
    pending: tuple[str, ...] = ()
    repeats: int = 1

    @property
    def loss(self) -> float:
        """The sum of the step's micro-batches' losses, as their gradients were taken."""
        return sum(micro.loss for micro in self.micros)

    @property
    def indices(self) -> tuple[int, ...] | None:
        """The samples of the step, in order; None where nobody told all."""
        if self.order is not None:
            return self.order
        rows: list[int] = []
        for micro in self.micros:
            if micro.indices is None:
                return None
            rows += micro.indices
        return tuple(rows)


class Names(msgspec.Struct, frozen=True):
    """Parameters by what is done with them.

    Attributes:
        frozen: that require no gradient.
        omitted: that require one, and that no optimizer was given.
        held: frozen ones that an optimizer was given.
        orphans: that an optimizer was given, and no module has.
    """

    frozen: tuple[str, ...] = ()
    omitted: tuple[str, ...] = ()
    held: tuple[str, ...] = ()
    orphans: tuple[str, ...] = ()


class Trace(msgspec.Struct, frozen=True):
    """A run as it was seen. `before` is the subject at its first forward pass.

    Attributes:
        file: where the tensors' bits lie.
        steps: in order; of a killed run those that it had made.
        pending: micro-batches after the last step.
        skipped: steps that a gradient scaler gave up, after which so many had been made.
        poisoned: whether a forward pass was made to give NaN, as the run asked for.
        frozen, omitted, held, orphans: parameters that were so at every step, as in `Names`.
    """

    file: str = ""
    before: State | None = None
    steps: tuple[Step, ...] = ()
    pending: tuple[Micro, ...] = ()
    skipped: tuple[int, ...] = ()
    poisoned: bool = False
    frozen: tuple[str, ...] = ()
    omitted: tuple[str, ...] = ()
    held: tuple[str, ...] = ()
    orphans: tuple[str, ...] = ()

    @property
    def losses(self) -> tuple[float, ...]:
        """The loss of each step."""
        return tuple(step.loss for step in self.steps)


class Line(msgspec.Struct, frozen=True):
    """One entry of the recorder's file: exactly one of these.

    MessagePack and not JSON, which has no NaN; each entry after its length in 4 bytes.
    """

    before: State | None = None
    step: Step | None = None
    micro: Micro | None = None
    skipped: bool = False
    poisoned: bool = False
    names: Names | None = None

    def encoded(self) -> bytes:
        """The entry as it is written."""
        data = msgspec.msgpack.encode(self)
        return len(data).to_bytes(_LENGTH, "big") + data


def _lines(data: bytes) -> Iterator[Line]:
    """All whole entries; a kill may have cut off the last."""
    start = 0
    while start + _LENGTH <= len(data):
        end = start + _LENGTH + int.from_bytes(data[start : start + _LENGTH], "big")
        if end > len(data):
            return
        yield msgspec.msgpack.decode(data[start + _LENGTH : end], type=Line)
        start = end


def read_trace(path: Path) -> Trace:
    """The trace in a recorder's file, also one that a kill cut off.

    Later lines of one step's number replace earlier ones: some trainers step two optimizers.
    """
    before: State | None = None
    names: Names | None = None
    steps: dict[int, Step] = {}
    pending: list[Micro] = []
    skipped: list[int] = []
    poisoned = False
    for line in _lines(path.read_bytes() if path.exists() else b""):
        before = before or line.before
        poisoned = poisoned or line.poisoned
        if line.names is not None:
            names = line.names if names is None else _common(names, line.names)
        if line.micro is not None:
            pending.append(line.micro)
        if line.step is not None:
            steps[line.step.number] = line.step
        if line.step is not None or line.skipped:
            pending = []
        if line.skipped:
            skipped.append(len(steps))
    return Trace(
        file=str(path.with_suffix(".bits")),
        before=before,
        steps=tuple(steps.values()),
        pending=tuple(pending),
        skipped=tuple(skipped),
        poisoned=poisoned,
        frozen=names.frozen if names else (),
        omitted=names.omitted if names else (),
        held=names.held if names else (),
        orphans=names.orphans if names else (),
    )


def _common(one: Names, other: Names) -> Names:
    def both(a: tuple[str, ...], b: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(name for name in a if name in b)

    return Names(
        frozen=both(one.frozen, other.frozen),
        omitted=both(one.omitted, other.omitted),
        held=both(one.held, other.held),
        orphans=both(one.orphans, other.orphans),
    )
