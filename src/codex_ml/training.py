"""One trainer: exact gradients, guarded steps, and a resume that continues bit for bit."""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from enum import StrEnum
from itertools import islice
from typing import TYPE_CHECKING, Any, Generic, Literal, Protocol, TypeVar

import torch
from torch import Tensor, nn

from codex_ml import seeding

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path
    from types import FrameType

    from torch.optim import Optimizer

    from codex_ml.checkpoint import Checkpoint, CheckpointStore

B = TypeVar("B")
B_co = TypeVar("B_co", covariant=True)

LossFunction = Callable[[nn.Module, B], tuple[Tensor, int]]
"""(model, batch) -> (the batch's loss summed over its tokens, how many tokens that is)."""

_DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


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
        ...

    def state_dict(self) -> dict[str, Any]:
        """The position of the next batch."""
        ...

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue at the position of `state`."""
        ...


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
    """

    accumulate: int = 1
    clip_norm: float | None = 1.0
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    on_non_finite: Literal["raise", "skip", "stop"] = "raise"
    evaluate_every: int | None = None
    save_every: int | None = None

    def __post_init__(self) -> None:
        for name in ("accumulate", "evaluate_every", "save_every"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name}={value}: must be at least 1")


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


def warmup_cosine(warmup: int, total: int, floor: float = 0.0) -> Callable[[int], float]:
    """Factor of the learning rate at each step: linear warm-up, then half a cosine to `floor`.

    Loshchilov & Hutter, "SGDR", ICLR 2017, without restarts.

    Args:
        warmup: steps of the warm-up; the first step has 1/`warmup` of the rate.
        total: steps until `floor` is reached; it stays there.
        floor: the least factor.
    """

    def factor(step: int) -> float:
        if step < warmup:
            return (step + 1) / warmup
        progress = min(1.0, (step - warmup) / max(1, total - warmup))
        return floor + (1 - floor) * (1 + math.cos(math.pi * progress)) / 2

    return factor


class Trainer(Generic[B]):
    """Trains `model` on the batches of `loader`, one epoch after another.

    The gradient of a step is that of the mean loss over all tokens of its batches, however
    they are divided among them. A step leaves nothing behind that `save` does not write:
    weights, optimizer, loss scaler, position in the data, counters and every generator.

    Args:
        model: on the device where it is to be trained, each submodule in the mode (training
            or frozen in evaluation) that it is to be trained in.
        optimizer: of its parameters. Its learning rates are those that `schedule` scales.
        loss: (model, batch) -> (summed loss, number of tokens); moves the batch to the device.
        loader: see `codex_ml.data.ResumableLoader`.
        config: how to train.
        schedule: step -> factor of the learning rate; None leaves it alone. A function of the
            step alone has no state that could be lost.
        evaluation: batches for `evaluate`, iterated anew each time.
        store: where `save` and `load` keep checkpoints.
        run_config: the run's configuration, whose hash goes into each checkpoint.
    """

    def __init__(  # noqa: PLR0913 - the parts of a training run, each the caller's to choose
        self,
        model: nn.Module,
        optimizer: Optimizer,
        loss: LossFunction[B],
        loader: Loader[B],
        config: TrainerConfig | None = None,
        *,
        schedule: Callable[[int], float] | None = None,
        evaluation: Iterable[B] | None = None,
        store: CheckpointStore | None = None,
        run_config: Mapping[str, Any] | None = None,
    ) -> None:
        self.model = model
        self.optimizer = optimizer
        self.loader = loader
        self.config = config or TrainerConfig()
        self.store = store
        self.step = 0
        self.non_finite = 0
        self.metrics: dict[str, float] = {}
        self.last: Step | None = None
        self._loss = loss
        self._schedule = schedule
        self._evaluation = evaluation
        self._run_config = run_config
        self._batches: Iterator[B] | None = None
        self._stop = False
        self._callbacks: dict[Event, list[Callable[[Trainer[B]], None]]] = {e: [] for e in Event}
        self._device = next(model.parameters()).device
        self._scaler = torch.amp.GradScaler(
            self._device.type, enabled=self.config.precision == "fp16"
        )

    def on(self, event: Event, callback: Callable[[Trainer[B]], None]) -> None:
        """Call `callback` with this trainer at each `event`."""
        self._callbacks[event].append(callback)

    def stop(self) -> None:
        """Stop after the step under way, with a checkpoint where there is a store."""
        self._stop = True

    def train(self, steps: int) -> list[float]:
        """Train until `steps` optimizer steps are done in all, counting those before a resume.

        On SIGTERM the step under way is finished, a checkpoint written, and this returns.

        Returns:
            The mean loss a token of each step done in this call.

        Raises:
            NonFiniteError: a loss or gradient is not finite and the configuration says "raise".
        """
        losses: list[float] = []
        self._stop = False
        with self._stopping_on_sigterm():
            self._tell(Event.START)
            while self.step < steps and not self._stop:
                self.last = self._one_step()
                losses.append(self.last.loss)
                self._tell(Event.STEP)
                if self._due(self.config.evaluate_every):
                    self.evaluate()
                if self.store and (self._stop or self._due(self.config.save_every)):
                    self.save()
            self._tell(Event.STOP)
        return losses

    def evaluate(self) -> dict[str, float]:
        """Mean loss a token over `evaluation`; model, gradients and generators stay as they are.

        Raises:
            ValueError: there is nothing to evaluate on.
        """
        if self._evaluation is None:
            raise ValueError("no evaluation batches; give Trainer an `evaluation`")
        # A frozen submodule may be in eval mode while the rest trains, so each is remembered.
        modes = [(module, module.training) for module in self.model.modules()]
        total, tokens = 0.0, 0
        with seeding.untouched(), torch.no_grad(), self._autocast():
            self.model.eval()
            try:
                for batch in self._evaluation:
                    loss, count = self._loss(self.model, batch)
                    total += float(loss)
                    tokens += count
            finally:
                for module, training in modes:
                    module.training = training
        self.metrics = {"eval_loss": total / tokens if tokens else math.nan}
        self._tell(Event.EVALUATED)
        return self.metrics

    def save(self, store: CheckpointStore | None = None) -> Path:
        """Write a checkpoint to `store`, or to the trainer's own, and return its directory.

        Raises:
            ValueError: there is no store.
            OSError: it cannot be written.
        """
        target = store or self.store
        if target is None:
            raise ValueError("no checkpoint store; give Trainer a `store`")
        state = {
            "optimizer": self.optimizer.state_dict(),
            "scaler": self._scaler.state_dict(),
            "loader": self.loader.state_dict(),
            "counters": {"step": self.step, "non_finite": self.non_finite},
            "trainer_config": asdict(self.config),
            "rng": seeding.capture(),
        }
        path = target.save(
            self.step,
            self.model.state_dict(),
            state,
            metrics=self.metrics,
            config=self._run_config,
        )
        self._tell(Event.SAVED)
        return path

    def load(self, store: CheckpointStore | None = None) -> Checkpoint:
        """Continue from the newest intact checkpoint, exactly as if never interrupted.

        Raises:
            ValueError: there is no store.
            CheckpointError: it holds nothing intact.
            RngStateError: the number of CUDA devices differs from that of the saved run.
        """
        source = store or self.store
        if source is None:
            raise ValueError("no checkpoint store; give Trainer a `store`")
        found = source.load()
        self.model.load_state_dict(found.weights)
        self.optimizer.load_state_dict(found.state["optimizer"])
        self._scaler.load_state_dict(found.state["scaler"])
        self.loader.load_state_dict(found.state["loader"])
        self.step = found.state["counters"]["step"]
        self.non_finite = found.state["counters"]["non_finite"]
        self._batches = None  # they belong to the old position
        # Last, since building any of the above may have drawn random numbers.
        seeding.restore(found.state["rng"])
        return found

    def _one_step(self) -> Step:
        started = time.perf_counter()
        factor = self._schedule(self.step) if self._schedule else 1.0
        for group in self.optimizer.param_groups:
            group["lr"] = group.setdefault("initial_lr", group["lr"]) * factor
        self.optimizer.zero_grad(set_to_none=True)
        total = torch.zeros((), dtype=torch.float64)
        tokens = first = 0
        for batch in self._window():
            with self._autocast():
                loss, count = self._loss(self.model, batch)
            # Scaled by the first batch's count, which keeps gradients in fp16's range; the
            # true divisor, the count of the whole window, is known only at its end.
            first = first or max(1, count)
            self._scaler.scale(loss / first).backward()  # type: ignore[no-untyped-call]
            total += loss.detach().double().cpu()
            tokens += count
        self._scaler.unscale_(self.optimizer)
        parameters = [p for p in self.model.parameters() if p.grad is not None]
        if tokens != first:
            for parameter in parameters:
                parameter.grad.mul_(first / max(1, tokens))  # type: ignore[union-attr]
        norm = nn.utils.get_total_norm([p.grad for p in parameters if p.grad is not None])
        mean = float(total) / max(1, tokens)
        applied = self._update(parameters, mean, norm)
        self.step += 1
        rate = self.optimizer.param_groups[0]["lr"]
        seconds = time.perf_counter() - started
        return Step(self.step, mean, float(norm), rate, tokens, seconds, applied)

    def _update(self, parameters: list[nn.Parameter], loss: float, norm: Tensor) -> bool:
        """Clip and apply the gradients, unless they are not finite. Whether they were applied."""
        overflow = self._scaler.is_enabled() and math.isfinite(loss)
        finite = math.isfinite(loss) and bool(torch.isfinite(norm))
        if finite:
            if self.config.clip_norm is not None:
                nn.utils.clip_grads_with_norm_(parameters, self.config.clip_norm, norm)
            self._scaler.step(self.optimizer)
        elif not overflow:  # an overflow of scaled gradients is the scaler's daily business
            self.non_finite += 1
            if self.config.on_non_finite == "raise":
                self.optimizer.zero_grad(set_to_none=True)
                raise NonFiniteError(
                    f"step {self.step + 1}: loss {loss:g}, gradient norm {float(norm):g}; the "
                    "weights are those before this step"
                )
            if self.config.on_non_finite == "stop":
                self._stop = True
        if self._scaler.is_enabled():
            self._scaler.update()
        self.optimizer.zero_grad(set_to_none=True)
        return finite

    def _window(self) -> Iterator[B]:
        """The batches of one step: the next `accumulate` of this epoch, or what is left of it."""
        if self._batches is None:
            self._batches = iter(self.loader)
        window = islice(self._batches, self.config.accumulate)
        batch = next(window, None)
        if batch is None:
            self._batches = iter(self.loader)
            window = islice(self._batches, self.config.accumulate)
            batch = next(window, None)
            if batch is None:
                raise ValueError("the loader gives no batches; its dataset is empty")
        yield batch
        yield from window

    def _autocast(self) -> torch.autocast:
        dtype = _DTYPES.get(self.config.precision)
        return torch.autocast(self._device.type, dtype=dtype, enabled=dtype is not None)

    def _due(self, every: int | None) -> bool:
        return every is not None and self.step % every == 0

    def _tell(self, event: Event) -> None:
        for callback in self._callbacks[event]:
            callback(self)

    @contextmanager
    def _stopping_on_sigterm(self) -> Iterator[None]:
        def stop(number: int, frame: FrameType | None) -> None:
            del number, frame
            self._stop = True

        try:
            before = signal.signal(signal.SIGTERM, stop)
        except ValueError:  # only the main thread may; elsewhere whoever owns it calls stop()
            yield
            return
        try:
            yield
        finally:
            signal.signal(signal.SIGTERM, before)
