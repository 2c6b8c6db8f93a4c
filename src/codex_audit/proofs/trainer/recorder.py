"""Sees every step of any PyTorch training run, without the trainer's help.

What every trainer must go through is watched: `nn.Module.__call__` (what the model is given),
`autograd.backward` (the loss whose gradient is taken, wherever a log says otherwise),
`Optimizer.step` (gradients, rates, weights), `DataLoader` (which samples), `GradScaler.update`.
Nothing watched here draws a random number or changes a value, unless a proof asks for a fault.
"""

from __future__ import annotations

import gc
import hashlib
import os
import signal
from collections import deque
from contextlib import contextmanager, suppress
from copy import deepcopy
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

import msgspec
import torch
from torch import Tensor, nn
from torch.optim.optimizer import Optimizer, register_optimizer_step_post_hook
from torch.utils.data import dataloader

from codex_audit.proofs.trainer.alive import count
from codex_audit.proofs.trainer.bits import Bits, BitsFile
from codex_audit.proofs.trainer.deliveries import Deliveries
from codex_audit.proofs.trainer.digests import digest, rng_digests, tensors_in
from codex_audit.proofs.trainer.interventions import (
    own_gradients,
    poisoned,
    still_dropout,
    worsened,
)
from codex_audit.proofs.trainer.named import Named
from codex_audit.proofs.trainer.trace import Line, Micro, Names, State, Step

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from codex_audit.proofs.trainer.runs import Faults

_KILL = signal.SIGKILL


class Recorder:
    """Watches this process from `install` on, and writes what it sees to `path`.

    `extra` gives further tensors of the subject, such as an average of its weights.
    """

    def __init__(self, path: Path, faults: Faults) -> None:
        self.extra: Callable[[], Mapping[str, Tensor]] = dict
        self.steps = 0
        self._faults = faults
        self._file = path.open("ab", buffering=0)
        self._bits = BitsFile(path.with_suffix(".bits"))
        self._named = Named()
        self._stepped: WeakSet[Optimizer] = WeakSet()
        self._depth = 0
        self._inputs: list[str] = []
        self._own_loss: float | None = None
        self._micros: list[Micro] = []
        self._before: State | None = None
        self._began = False
        self.scaler: tuple[float, int] | None = None
        self._calls, self._calls_of_step = 0, 1
        self._own: dict[str, Tensor] = {}
        self._last_own: dict[str, Tensor] = {}
        self._names: Names | None = None
        self._repeated: dict[int, tuple[Any, Any, Any]] = {}
        self._last: tuple[Micro, ...] = ()
        self._last_before = State()
        self._deliveries = Deliveries()
        self._whole: int | None = None
        self._poisoned = False

    def install(self) -> None:
        """Start to watch; once a process."""
        if self._faults.count_at:
            gc.freeze()  # what is there already need not be gone through at each count
        if self._faults.still:
            still_dropout()
        self._watch_modules()
        self._watch_backward()
        self._watch_optimizers()
        self._watch_loaders()
        self._watch_scaler()

    def close(self) -> None:
        """Close the files, after which nothing more may be seen."""
        self._file.close()
        self._bits.close()

    @property
    def optimizers(self) -> int:
        """How many have made steps."""
        return len(self._stepped)

    def know(self, model: nn.Module) -> None:
        """Name parameters after `model`, which may never be called as a whole."""
        self._named.know(model)

    def know_anew(self, models: Sequence[nn.Module]) -> None:
        """Name parameters after these from now on, which loading may have made anew."""
        self._named.renew(models)

    def state(self) -> State:
        """The subject as it is now."""
        if self._faults.count_at:
            return State()
        named = self._named
        parameters, buffers = named.parameters(), named.buffers()
        modes = ("".join("te"[not m.training] for m in root.modules()) for root in named.models)
        return State(
            parameters=self._write(parameters),
            buffers=self._write(buffers),
            optimizer=self._write(named.optimizer_state(parameters)),
            extra=self._write(dict(self.extra())),
            rng=rng_digests(),
            modes=" ".join(hashlib.sha256(each.encode()).hexdigest()[:16] for each in modes),
        )

    @contextmanager
    def one_step(self) -> Iterator[None]:
        """Whatever optimizers step meanwhile, each after passes of its own, is one step."""
        self._kill_between_steps()
        self._whole = self.steps
        yield
        self._whole = None

    def begin_step(self) -> None:
        """Tell that a step begins, of a subject whose optimizer cannot be seen."""
        self._before = self.state()

    def end_step(self, loss: float) -> None:
        """Tell that it has ended."""
        before, self._before = self._before or State(), None
        self.steps += 1
        if not self._began:
            self._began = True
            self._put(Line(before=before))
        step = Step(
            number=self.steps,
            micros=(Micro(loss=loss),),
            before=before,
            rates=(),
            scale=None,
            gradients={},
            grad_norm=0.0,
            after=self.state(),
        )
        self._put(Line(step=self._counted(step)))
        if self._faults.kill_at is not None and self._faults.kill_at[0] == self.steps:
            os.kill(os.getpid(), _KILL)

    # What the model is given

    def _watch_modules(self) -> None:
        original = nn.Module.__call__

        def called(module: nn.Module, *args: Any, **kwargs: Any) -> Any:
            if self._depth or torch.compiler.is_compiling():
                return original(module, *args, **kwargs)
            if not torch.is_grad_enabled():
                self._deliveries.dismiss(tensors_in((args, kwargs)))
            if not torch.is_grad_enabled() and self._faults.worsen_from is None:
                return original(module, *args, **kwargs)
            self._depth += 1
            try:
                if not torch.is_grad_enabled():
                    return self._worsened(original(module, *args, **kwargs))
                self._enter(module, args, kwargs)
                return self._leave(original(module, *args, **kwargs))
            finally:
                self._depth -= 1

        nn.Module.__call__ = called  # type: ignore[method-assign]

    def _enter(self, module: nn.Module, args: Any, kwargs: Any) -> None:
        self._named.meet(module)
        if self._before is None:
            self._kill_between_steps()
            self._before = self.state()
        if not self._began:
            self._began = True
            self._put(Line(before=self._before))
        given = [tensor for tensor in tensors_in((args, kwargs)) if not tensor.requires_grad]
        if not given:
            return
        digests = [digest(tensor) for tensor in given]
        self._inputs += digests
        self._deliveries.match(given, digests)

    def _leave(self, output: Any) -> Any:
        loss = output.get("loss") if isinstance(output, dict) else getattr(output, "loss", None)
        if isinstance(loss, Tensor) and loss.numel() == 1:
            self._own_loss = float(loss.detach())
        self._calls += 1
        # Once, so that a trainer which gives the step up can go on: as many passes as a step has.
        if self._faults.poison_at == self.steps + 1 and self._calls <= self._calls_of_step:
            self._tell_poisoned()
            return poisoned(output)
        return output

    def _tell_poisoned(self) -> None:
        if not self._poisoned:
            self._poisoned = True
            self._put(Line(poisoned=True))

    def _worsened(self, output: Any) -> Any:
        return worsened(output) if self.steps >= (self._faults.worsen_from or 0) else output

    # The loss, and the micro-batch that ends with it

    def _watch_backward(self) -> None:
        original = torch.autograd.backward

        def backward(tensors: Any, *args: Any, **kwargs: Any) -> Any:
            several = [tensors] if isinstance(tensors, Tensor) else list(tensors)
            if self._faults.own_gradients:
                self._take_gradients(several, args[0] if args else kwargs.get("grad_tensors"))
            result = original(tensors, *args, **kwargs)
            self._micro(sum(float(t.detach().sum()) for t in several))
            return result

        torch.autograd.backward = backward

    @property
    def _inside(self) -> bool:
        """Whether one of several optimizers has made its part of a step."""
        return self._whole is not None and self.steps > self._whole

    def _kill_between_steps(self) -> None:
        """End here if asked to; right after a step another optimizer may have its turn."""
        if self._faults.kill_at == (self.steps, 0) and not self._inside:
            os.kill(os.getpid(), _KILL)

    def _take_gradients(self, tensors: list[Tensor], weights: Any) -> None:
        """Add to the gradients of this step what this pass should give."""
        wanted = {n: p for n, p in self._named.parameters().items() if p.requires_grad}
        with suppress(RuntimeError):  # then this step has none, which the proof tells
            found = own_gradients(tensors, weights, list(wanted.values()))
            for name, gradient in zip(wanted, found, strict=True):
                if gradient is not None:
                    known = self._own.get(name)
                    self._own[name] = gradient if known is None else known + gradient

    def _micro(self, loss: float) -> None:
        if not self._micros:
            self._kill_between_steps()
        content = hashlib.sha256("".join(self._inputs).encode()).hexdigest()[:16]
        micro = Micro(
            loss=loss,
            content=content if self._inputs else "",
            indices=self._deliveries.end_of_pass(),
            own_loss=self._own_loss,
        )
        self._micros.append(micro)
        self._inputs, self._own_loss = [], None
        self._put(Line(micro=micro))
        if self._faults.kill_at == (self.steps, len(self._micros)) and not self._inside:
            os.kill(os.getpid(), _KILL)

    # The step

    def _watch_optimizers(self) -> None:
        original = Optimizer.__init__

        def initialised(optimizer: Optimizer, *args: Any, **kwargs: Any) -> None:
            original(optimizer, *args, **kwargs)
            self._named.add(optimizer)

        Optimizer.__init__ = initialised  # type: ignore[method-assign,assignment]
        register_optimizer_step_post_hook(lambda optimizer, _args, _kwargs: self._step(optimizer))

    def _step(self, optimizer: Optimizer) -> None:
        self._named.add(optimizer)
        self._stepped.add(optimizer)
        if self._micros:
            rows = self._deliveries.end_of_step()
            micros = tuple(
                msgspec.structs.replace(micro, indices=own)
                for micro, own in zip(self._micros, rows, strict=True)
            )
            if self._inside:
                self._last += micros
                self._last_own |= self._own
            else:
                self._last_own = self._own
                self.steps += 1
                self._last, self._last_before = micros, self._before or State()
            self._micros, self._before = [], None
            self._calls_of_step, self._calls = max(1, self._calls), 0
            self._own = {}
        elif not self.steps:
            return
        # Else a second optimizer's turn in the same step, whose record replaces the first's.
        gradients = {n: p.grad for n, p in self._named.parameters().items() if p.grad is not None}
        norms = [float(g.detach().to_dense().double().norm()) for g in gradients.values()]
        step = Step(
            number=self.steps,
            micros=self._last,
            before=self._last_before,
            rates=tuple(float(g["lr"]) for o in self._named.optimizers() for g in o.param_groups),
            scale=self.scaler[0] if self.scaler else None,
            growth=self.scaler[1] if self.scaler else None,
            gradients={} if self._faults.count_at else self._write(gradients),
            grad_norm=sum(norm * norm for norm in norms) ** 0.5,
            own=self._write(self._last_own),
            after=self.state(),
        )
        self._put(Line(step=self._counted(step)))
        names = self._untrained()
        if names != self._names:
            self._names = names
            self._put(Line(names=names))

    def _untrained(self) -> Names:
        given = {
            id(p) for o in self._named.optimizers() for g in o.param_groups for p in g["params"]
        }
        named = self._named.parameters().items()
        return Names(
            frozen=tuple(name for name, p in named if not p.requires_grad),
            omitted=tuple(name for name, p in named if p.requires_grad and id(p) not in given),
            held=tuple(name for name, p in named if not p.requires_grad and id(p) in given),
        )

    def _counted(self, step: Step) -> Step:
        """The step with what is alive in the process, where that is asked for."""
        if self.steps not in self._faults.count_at:
            return step
        return msgspec.structs.replace(step, **count())

    # Which samples

    def _watch_loaders(self) -> None:
        base = dataloader._BaseDataLoaderIter  # noqa: SLF001 - nothing public tells the indices
        next_index, next_batch = base._next_index, base.__next__  # noqa: SLF001 - as above

        def indexed(loader: Any) -> Any:
            index = next_index(loader)  # type: ignore[no-untyped-call]
            loader.__dict__.setdefault("_codex_audit_sent", deque()).append(index)
            return index

        def delivered(loader: Any) -> Any:
            batch = next_batch(loader)
            sent = loader.__dict__.get("_codex_audit_sent")
            index = sent.popleft() if sent else None
            if self._faults.repeat_batch:
                key = id(loader._dataset)  # noqa: SLF001 - as above
                own = self._repeated.setdefault(key, (loader._dataset, deepcopy(batch), index))  # noqa: SLF001 - as above
                batch, index = deepcopy(own[1]), own[2]
            self._deliver(batch, index)
            return batch

        base._next_index, base.__next__ = indexed, delivered  # type: ignore[method-assign,assignment] # noqa: SLF001

    def _deliver(self, batch: Any, index: Any) -> None:
        rows = [index] if isinstance(index, int) else index
        known = isinstance(rows, list) and all(isinstance(row, int) for row in rows)
        tensors = tensors_in(batch)
        self._deliveries.add(
            tensors, [digest(tensor) for tensor in tensors], tuple(rows) if known else None
        )

    def _watch_scaler(self) -> None:
        kind = torch.amp.GradScaler
        step, update, scale = kind.step, kind.update, kind.scale

        def scaled(scaler: Any, outputs: Any) -> Any:
            self._look_at(scaler)
            return scale(scaler, outputs)

        def stepped(scaler: Any, *args: Any, **kwargs: Any) -> Any:
            self._look_at(scaler)
            made = self.steps
            result = step(scaler, *args, **kwargs)
            if self.steps == made and self._micros:  # infinite gradients: it made no step
                self._skip()
            return result

        def updated(scaler: Any, *args: Any, **kwargs: Any) -> None:
            update(scaler, *args, **kwargs)
            self._look_at(scaler)

        kind.step, kind.update = stepped, updated  # type: ignore[method-assign,assignment]
        kind.scale = scaled  # type: ignore[method-assign,assignment]

    def _look_at(self, scaler: Any) -> None:
        if scaler.is_enabled():
            self.scaler = (float(scaler.get_scale()), int(scaler._get_growth_tracker()))  # noqa: SLF001 - state_dict() tells the same, by a longer way

    def _skip(self) -> None:
        """The micro-batches since the last step were given up."""
        self._deliveries.end_of_step()
        self._micros, self._before, self._own = [], None, {}
        self._put(Line(skipped=True))

    # Bits

    def _write(self, tensors: Mapping[str, Tensor]) -> dict[str, Bits]:
        return self._bits.write(tensors)

    def _put(self, line: Line) -> None:
        self._file.write(line.encoded())
