"""One trainer: exact gradients, guarded steps, and a resume that continues bit for bit.

In several processes the model comes wrapped by torch itself, in DistributedDataParallel or by
`fully_shard`; see `codex_ml.distributed`.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import KW_ONLY, asdict, dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from codex_ml import seeding
from codex_ml.callbacks import EvaluationGate, calling_on_sigterm
from codex_ml.checkpoint import Checkpoint, CheckpointStore
from codex_ml.distributed import Ranks, ShardedStore
from codex_ml.modes import evaluating
from codex_ml.training_types import Event, Loader, LossFunction, NonFiniteError, Step, TrainerConfig

__all__ = ["Event", "Loader", "LossFunction", "NonFiniteError", "Step", "Trainer", "TrainerConfig"]

B = TypeVar("B")

_log = logging.getLogger(__name__)
_DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(eq=False, repr=False)
class Trainer(Generic[B]):
    """Trains `model` on the batches of `loader`, one epoch after another.

    The gradient of a step is that of the mean loss over all tokens of its batches, however
    they are divided among batches and ranks. A step leaves nothing behind that `save` does not
    write: weights, optimizer, loss scaler, position in the data, counters and every generator.

    Args:
        model: on the device where it is to be trained, each submodule in the mode (training
            or frozen in evaluation) that it is to be trained in.
        optimizer: of its parameters. Its learning rates are those that `schedule` scales.
        loss: (model, batch) -> (summed loss, number of tokens); moves the batch to the device.
        loader: see `codex_ml.data.ResumableLoader`; ranks have as many batches each.
        config: how to train.
        schedule: step -> factor of the learning rate, see `codex_ml.schedules`; None leaves it.
        evaluation: batches for `evaluate`, iterated anew each time; a rank's own on several.
        gate: judges evaluations: the best is saved, and without a better one the run stops.
        store: where `save` and `load` keep checkpoints. With one, the last step is saved too.
        run_config: the run's configuration, whose hash goes into each checkpoint.

    Attributes:
        metrics: of the weights as they are; empty where these were not evaluated.
        ranks: the processes that train together.

    Raises:
        ValueError: model, precision or store do not go with the number of processes, or `gate`
            and `store` do not mean the same evaluation by the best.
    """

    model: nn.Module
    optimizer: Optimizer
    loss: LossFunction[B]
    loader: Loader[B]
    config: TrainerConfig = field(default_factory=TrainerConfig)
    _: KW_ONLY
    schedule: Callable[[int], float] | None = None
    evaluation: Iterable[B] | None = None
    gate: EvaluationGate | None = None
    store: CheckpointStore | None = None
    run_config: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        gate, store = self.gate, self.store
        if gate and store and store.best_by not in (None, (gate.metric, gate.mode)):
            differing = f"{(gate.metric, gate.mode)} and what the store keeps by {store.best_by}"
            raise ValueError(f"the gate's best is by {differing}; give both the same")
        self._called = self.model
        self.ranks = Ranks(self.model)
        if self.ranks.sharded and self.config.precision == "fp16":
            raise ValueError("fp16 scales by each rank's own gradients; shard with bf16")
        if self.config.compile_backend:
            self._called = torch.compile(self.model, backend=self.config.compile_backend)  # type: ignore[assignment]
        self.model = self.ranks.model
        self.step = self.non_finite = 0
        self.metrics: dict[str, float] = {}
        self.last: Step | None = None
        self._batches: Iterator[B] | None = None
        self._asked = self._agreed = False
        self._saved: int | None = None
        self._callbacks: dict[Event, list[Callable[[Trainer[B]], None]]] = {e: [] for e in Event}
        self._device = next(self.model.parameters()).device
        self._scaler = torch.amp.GradScaler(
            self._device.type, enabled=self.config.precision == "fp16"
        )

    def on(self, event: Event, callback: Callable[[Trainer[B]], None]) -> None:
        """Call `callback` with this trainer at each `event`."""
        self._callbacks[event].append(callback)

    def stop(self) -> None:
        """Stop after the step under way (on several ranks the next), with a checkpoint."""
        self._asked = True

    def train(self, steps: int) -> list[float]:
        """Train until `steps` optimizer steps are done in all, counting those before a resume.

        On SIGTERM the step under way is finished, a checkpoint written, and this returns.

        Returns:
            The mean loss a token of each step done in this call.

        Raises:
            NonFiniteError: a loss or gradient is not finite and the configuration says "raise".
        """
        losses: list[float] = []
        self._asked = self._agreed = False
        self.optimizer.zero_grad(set_to_none=True)
        with calling_on_sigterm(self.stop):
            self._tell(Event.START)
            try:
                while self.step < steps and not self._stopping:
                    self.last = self._one_step()
                    losses.append(self.last.loss)
                    self._tell(Event.STEP)
                    better = self._due(self.config.evaluate_every) and self._judge()
                    if self.store and (better or self._due(self.config.save_every)):
                        self.save()
                if self.store and losses and self._saved != self.step:
                    self.save()
            finally:
                self._tell(Event.STOP)
            if self.store:
                self.store.wait()
        return losses

    def evaluate(self) -> dict[str, float]:
        """Mean loss a token over `evaluation`; nothing that training depends on is changed.

        That is: model, gradients, generators, and the position of an `evaluation` that has one.

        Raises:
            ValueError: there is nothing to evaluate on.
        """
        if self.evaluation is None:
            raise ValueError("no evaluation batches; give Trainer an `evaluation`")
        position: dict[str, Any] = getattr(self.evaluation, "state_dict", dict)()
        # A replica's forward would copy buffers from rank 0 and wait for the others.
        called = self.model if self.ranks.replicated else self._called
        total, tokens, batches = 0.0, 0, 0
        try:
            with seeding.untouched(), evaluating(self.model), self._autocast():
                for batch, counts in self.ranks.in_step(self.evaluation):
                    loss, count = self.loss(called, batch)
                    total += float(loss) * counts
                    tokens += count * counts
                    batches += 1
        finally:
            if position:
                self.evaluation.load_state_dict(position)  # type: ignore[attr-defined]
        total, tokens_in_all, batches_in_all = self.ranks.sum(total, tokens, batches)
        if not batches_in_all:
            raise ValueError("`evaluation` gave no batches; was it a generator, used up?")
        self.metrics = {"eval_loss": total / tokens_in_all if tokens_in_all else math.nan}
        self._tell(Event.EVALUATED)
        return self.metrics

    def save(self, store: CheckpointStore | None = None) -> Path:
        """Write a checkpoint to `store`, or to the trainer's own, and return its directory.

        Raises:
            ValueError: there is no store, or it is not for this number of processes.
            OSError: it cannot be written.
        """
        target = self._store(store)
        weights = self.model.state_dict()
        # Statistics are a rank's own, and the ranks write each of the weights once.
        names = [name for name, _ in self.model.named_buffers()] if self.ranks.world > 1 else []
        state = {
            "buffers": {name: weights[name] for name in names if name in weights},
            "optimizer": self.optimizer.state_dict(),
            "scaler": self._scaler.state_dict(),
            "loader": self.loader.state_dict(),
            "counters": {"step": self.step, "non_finite": self.non_finite},
            "gate": self.gate.state_dict() if self.gate else None,
            "trainer_config": asdict(self.config),
            "rng": seeding.capture(),
        }
        config = self.run_config
        path = target.save(self.step, weights, state, metrics=self.metrics, config=config)
        self._saved = self.step
        self._tell(Event.SAVED)
        return path

    def load(self, store: CheckpointStore | None = None, *, exact: bool = True) -> Checkpoint:
        """Continue from the newest intact checkpoint, exactly as if never interrupted.

        Args:
            store: where from, if not the trainer's own.
            exact: without it the generators stay as they are, which is all that another number
                of ranks or devices can have.

        Raises:
            ValueError: there is no store, or it is not for this number of processes.
            CheckpointError: it holds nothing intact, or another number of ranks wrote it.
            RngStateError: the number of CUDA devices differs from that of the saved run.
        """
        source = self._store(store)
        if isinstance(source, ShardedStore):
            found = source.load(like=self.model.state_dict(), exact=exact)
        else:
            found = source.load()
        state = found.state
        # Older checkpoints have them among the weights alone.
        self.model.load_state_dict({**found.weights, **state.get("buffers", {})})
        self.optimizer.load_state_dict(state["optimizer"])
        self._scaler.load_state_dict(state["scaler"])
        if self.gate and state["gate"]:
            self.gate.load_state_dict(state["gate"])
        self.metrics = {name: float(value) for name, value in found.manifest["metrics"].items()}
        self.step = self._saved = state["counters"]["step"]
        self.non_finite = state["counters"]["non_finite"]
        for name in ("accumulate", "clip_norm", "precision", "compile_backend"):
            before, now = state["trainer_config"][name], getattr(self.config, name)
            if now != before:
                _log.warning("resumed with %s=%s, was %s: not exact", name, now, before)
        self._batches = None  # they belong to the old position
        self.loader.load_state_dict(state["loader"])
        if exact:
            # Last, since building any of the above may have drawn random numbers.
            seeding.restore(state["rng"])
        else:
            _log.warning("resumed without the generators of %s: not exact", found.path)
        return found

    def _one_step(self) -> Step:
        started = time.perf_counter()
        if self.schedule:
            factor = self.schedule(self.step)
            for group in self.optimizer.param_groups:
                group["lr"] = group.setdefault("initial_lr", group["lr"]) * factor
        batches = self._window()
        # In double precision, and on the device: read once, when the step is queued.
        sums = torch.zeros((), dtype=torch.float64, device=self._device)
        tokens, divisor = 0, 0.0
        for number, batch in enumerate(batches, start=1):
            with self.ranks.synchronized(last=number == len(batches)):
                with self._autocast():
                    loss, count = self.loss(self._called, batch)
                # By the first batch's count, the same on every rank, which keeps gradients in
                # fp16's range; the true divisor, the count of all, is known only at the end.
                divisor = divisor or self.ranks.largest(max(1, count), len(batches))
                self._scaler.scale(loss / divisor).backward()  # type: ignore[no-untyped-call]
            sums += loss.detach()
            tokens += count
        total, tokens_in_all, asked = self.ranks.sum(float(sums), tokens, int(self._asked))
        self._agreed = asked > 0
        self._scaler.unscale_(self.optimizer)
        groups = self.optimizer.param_groups
        parameters = [p for group in groups for p in group["params"] if p.grad is not None]
        divided_by = divisor * self.ranks.world  # torch takes the mean over ranks
        if tokens_in_all != divided_by:
            for parameter in parameters:
                parameter.grad.mul_(divided_by / max(1, tokens_in_all))
        norm = self.ranks.whole(nn.utils.get_total_norm([p.grad for p in parameters]))
        mean, length = total / max(1, tokens_in_all), float(norm)
        applied = self._update(parameters, mean, length, norm)
        self.step += 1
        self.metrics = {}  # those of other weights
        seconds = time.perf_counter() - started
        return Step(self.step, mean, length, groups[0]["lr"], int(tokens_in_all), seconds, applied)

    def _update(
        self, parameters: list[nn.Parameter], loss: float, length: float, norm: Tensor
    ) -> bool:
        """Clip and apply the gradients, unless they are not finite. Whether they were applied."""
        finite = math.isfinite(loss) and math.isfinite(length)
        if finite:
            if self.config.clip_norm is not None:
                nn.utils.clip_grads_with_norm_(parameters, self.config.clip_norm, norm)
            self._scaler.step(self.optimizer)
        # An overflow of scaled gradients is the scaler's daily business, while it scales.
        elif not (math.isfinite(loss) and self._scaler.get_scale() > 1):
            self.non_finite += 1
            if self.config.on_non_finite == "raise":
                self.optimizer.zero_grad(set_to_none=True)
                told = f"step {self.step + 1}: loss {loss:g}, gradient norm {length:g}"
                raise NonFiniteError(f"{told}; the weights are those before this step")
            if self.config.on_non_finite == "stop":
                self._asked = self._agreed = True  # all ranks see the same loss
        self._scaler.update()
        self.optimizer.zero_grad(set_to_none=True)
        return finite

    def _window(self) -> list[B]:
        """The batches of one step: the next `accumulate` of this epoch, or what is left of it."""
        for _ in range(2):  # what is left may be nothing
            if self._batches is None:
                self._batches = iter(self.loader)
            if window := list(islice(self._batches, self.config.accumulate)):
                return window
            self._batches = None
        raise ValueError("the loader gives no batches; its dataset is empty")

    def _judge(self) -> bool:
        """Evaluate; whether a gate says that this is the best so far."""
        self.evaluate()
        if self.gate is None:
            return False
        better = self.gate.update(self.metrics, self.step)
        if self.gate.exhausted:
            self._asked = self._agreed = True  # all ranks see the same metrics
        return better

    def _store(self, store: CheckpointStore | None) -> CheckpointStore:
        found = store or self.store
        if found is None:
            raise ValueError("no checkpoint store; give Trainer a `store`")
        if self.ranks.world > 1 and not isinstance(found, ShardedStore):
            raise ValueError("several processes cannot share a CheckpointStore; use ShardedStore")
        return found

    @property
    def _stopping(self) -> bool:
        return self._agreed if self.ranks.world > 1 else self._asked

    def _autocast(self) -> AbstractContextManager[object]:
        dtype = _DTYPES.get(self.config.precision)
        return torch.autocast(self._device.type, dtype=dtype) if dtype else nullcontext()

    def _due(self, every: int | None) -> bool:
        return every is not None and self.step % every == 0

    def _tell(self, event: Event) -> None:
        for callback in self._callbacks[event]:
            callback(self)
