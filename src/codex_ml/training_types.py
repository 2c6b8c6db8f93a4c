"""What a trainer is given and what it tells: settings, loss, loader, events and steps."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Literal, Protocol, TypeVar

from torch import Tensor, nn

from codex_ml.checks import at_least_one, one_of

B = TypeVar("B")
B_co = TypeVar("B_co", covariant=True)

Precision = Literal["fp32", "bf16", "fp16"]
OnNonFinite = Literal["raise", "skip", "stop"]

LossFunction = Callable[[nn.Module, B], tuple[Tensor, int]]
"""(model, batch) -> (the batch's loss summed over its tokens, how many tokens that is)."""


class NonFiniteError(FloatingPointError):
    """A loss or gradient is NaN or infinite; the message says at which step."""


class Event(StrEnum):
    """The points at which callbacks are called."""

    START = "start"
    STEP = "step"
    EVALUATED = "evaluated"
    SAVED = "saved"
    STOP = "stop"


class Loader(Protocol[B_co]):
    """Batches of one epoch an iteration, from a position that can be saved."""

    def __iter__(self) -> Iterator[B_co]:
        """The batches left in this epoch; after its last, the next epoch's."""

    def state_dict(self) -> dict[str, Any]:
        """The position of the next batch."""

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue at the position of `state`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainerConfig:
    """How to train.

    Attributes:
        accumulate: batches an optimizer step; the last step of an epoch may have fewer.
        clip_norm: the greatest L2 norm of all gradients together; None does not clip.
        precision: "fp32", or autocast to "bf16" or "fp16" (the latter with loss scaling).
        on_non_finite: what a NaN or infinite loss or gradient does: "raise" an error, "skip"
            the update, or "stop" with a checkpoint of the state before it. Each is counted.
        evaluate_every, save_every: optimizer steps between evaluations and checkpoints.
        compile_backend: how `torch.compile` is to compile the model ("inductor"); None does not.
    """

    accumulate: int = 1
    clip_norm: float | None = 1.0
    precision: Precision = "fp32"
    on_non_finite: OnNonFinite = "raise"
    evaluate_every: int | None = None
    save_every: int | None = None
    compile_backend: str | None = None

    def __post_init__(self) -> None:
        at_least_one(accumulate=self.accumulate)
        at_least_one(evaluate_every=self.evaluate_every, save_every=self.save_every)
        one_of(Precision, precision=self.precision)
        one_of(OnNonFinite, on_non_finite=self.on_non_finite)
        if self.clip_norm is not None and not self.clip_norm > 0:
            raise ValueError(f"clip_norm={self.clip_norm}: must be positive, or None")


@dataclass(frozen=True, slots=True)
class Step:
    """What one optimizer step did: mean loss a token, norm before clipping, rate, seconds."""

    step: int
    loss: float
    grad_norm: float
    learning_rate: float
    tokens: int
    seconds: float
    applied: bool
