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
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

import msgspec
import torch
from torch import Tensor, nn

from codex_audit.proofs.trainer.alive import count
from codex_audit.proofs.trainer.bits import BitsFile
from codex_audit.proofs.trainer.deliveries import Deliveries
from codex_audit.proofs.trainer.digests import digest, rng_digests, tensors_in
from codex_audit.proofs.trainer.interventions import poisoned, still_dropout, worsened
from codex_audit.proofs.trainer.named import Named
from codex_audit.proofs.trainer.passes import Pass, Passes, is_traced
from codex_audit.proofs.trainer.sampling import Sampling
from codex_audit.proofs.trainer.trace import Line, Micro, State, Step
from codex_audit.proofs.trainer.turns import Turns, watch_plateaus, watch_steps

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from torch.optim import Optimizer

    from codex_audit.proofs.trainer.runs import Faults
    from codex_audit.proofs.trainer.trace import Names


class Recorder:
    """Watches this process from `install` on, and writes what it sees to `path`.

    `extra` gives further tensors of the subject, such as an average of its weights; `settle` waits
    until no save is being written any more. While it `waits`, passes belong to no step.
    """

    def __init__(self, path: Path, faults: Faults) -> None:
        self.extra: Callable[[], Mapping[str, Tensor]] = dict
        self.settle: Callable[[], None] = lambda: None
        self.steps = self.looks = 0
        self.follows = self.waits = False
        self._faults = faults
        self._file = path.open("ab", buffering=0)
        self._bits = BitsFile(path.with_suffix(".bits"))
        self._named = Named()
        self._stepped: WeakSet[Optimizer] = WeakSet()
        self._passes = Passes()
        self._turns = Turns(self._named, self._bits, seen=not faults.count_at)
        self._own_loss: float | None = None
        self._micros: list[Micro] = []
        self._before: State | None = None
        self._began = False
        self.scaler: tuple[float, int] | None = None
        self._depth, self._calls, self._calls_of_step = 0, 0, 1
        self._names: Names | None = None
        self._last: tuple[Micro, ...] = ()
        self._last_before = State()
        self._deliveries = Deliveries()
        self.sampling = Sampling(self._deliveries, faults)
        self._whole: int | None = None
        self._stepwise = self._backing = self._due = self._poisoned = False

    def install(self) -> None:
        """Start to watch; once a process."""
        if self._faults.count_at:
            gc.freeze()  # what is there already need not be gone through at each count
        if self._faults.still:
            still_dropout()
        self._watch_modules()
        self._watch_backward()
        watch_steps(self._named.add, self._step)
        self.sampling.install()
        self._watch_scaler()
        watch_plateaus(self._follow)

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

    def renew(self, models: Sequence[nn.Module]) -> None:
        """After loading, which may have made models and optimizers anew, names are theirs."""
        self._named.renew(models)

    def state(self) -> State:
        """The subject as it is now."""
        if self._faults.count_at:
            return State()
        named, write = self._named, self._bits.write
        parameters, buffers = named.parameters(), named.buffers()
        modes = ("".join("te"[not m.training] for m in root.modules()) for root in named.models)
        return State(
            parameters=write(parameters),
            buffers=write(buffers),
            optimizer=write(named.optimizer_state(parameters)),
            extra=write(dict(self.extra())),
            rng=rng_digests(),
            modes=" ".join(hashlib.sha256(each.encode()).hexdigest()[:16] for each in modes),
        )

    def gradients(self) -> dict[str, str]:
        """Hashes of the gradients that are there now and are not zero."""
        if self._faults.count_at:
            return {}
        named = self._named.parameters().items()
        there = {name: p.grad for name, p in named if p.grad is not None}
        return {name: digest(g) for name, g in there.items() if torch.any(g.to_dense() != 0)}

    @contextmanager
    def one_step(self) -> Iterator[None]:
        """Whatever optimizers step meanwhile, each after passes of its own, is one step."""
        self._kill_between_steps()
        self._whole = self.steps
        yield
        self._whole = None

    def begin_step(self) -> None:
        """Tell that a step begins, of a subject whose optimizer cannot be seen."""
        self._stepwise = True
        self._before = self.state()

    def end_step(self, loss: float | None = None) -> None:
        """Tell that it has ended; without a loss, those of its backward passes are its own."""
        before = self._before or State()
        micros = (Micro(loss=loss),) if loss is not None else self._taken()
        self._before = None
        if not micros:
            return
        self.steps += 1
        self._put_before(before)
        step = Step(
            number=self.steps,
            micros=micros,
            before=before,
            rates=(),
            scale=None,
            gradients={},
            grad_norm=0.0,
            after=self.state(),
        )
        self._put(Line(step=self._counted(step)))
        if self._faults.kill_at is not None and self._faults.kill_at[0] == self.steps:
            self._kill()

    def _put_before(self, before: State | None = None) -> None:
        before = before or self._before
        if before is not None and not self._began:
            self._began = True
            self._put(Line(before=before))

    def _follow(self) -> None:
        self.follows = True

    def _kill(self) -> None:
        """End here; a save that a thread is still to write is whole by then."""
        self.settle()
        os.kill(os.getpid(), signal.SIGKILL)

    # What the model is given

    def _watch_modules(self) -> None:
        original = nn.Module.__call__

        def called(module: nn.Module, *args: Any, **kwargs: Any) -> Any:
            if self._depth or self._backing or is_traced():
                return original(module, *args, **kwargs)
            if not torch.is_grad_enabled():
                self.looks += 1
                self._deliveries.dismiss(tensors_in((args, kwargs)))
            if not torch.is_grad_enabled() and self._faults.worsen_from is None:
                return original(module, *args, **kwargs)
            self._depth += 1
            try:
                if not torch.is_grad_enabled():
                    return self._worsened(original(module, *args, **kwargs))
                made = self._enter(module, args, kwargs)
                return self._leave(made, original(module, *args, **kwargs))
            finally:
                self._depth -= 1

        nn.Module.__call__ = called  # type: ignore[method-assign]

    def _enter(self, module: nn.Module, args: Any, kwargs: Any) -> Pass:
        self._named.meet(module)
        self._drop_dead()
        if self._before is None and not self.waits:
            self._kill_between_steps()
            self._before = self.state()
        self._put_before()
        given = [tensor for tensor in tensors_in((args, kwargs)) if not tensor.requires_grad]
        return self._passes.begin(given, [digest(tensor) for tensor in given])

    def _drop_dead(self) -> None:
        """Passes of which no loss can come any more are none of the step."""
        dead = self._passes.drop_dead()
        self.looks += len(dead)
        for each in dead:
            self._deliveries.dismiss(each.given, each.digests)
        if dead and not self._passes and not self._micros and not self._stepwise:
            self._before = None

    def _leave(self, made: Pass, output: Any) -> Any:
        loss = output.get("loss") if isinstance(output, dict) else getattr(output, "loss", None)
        if isinstance(loss, Tensor) and loss.numel() == 1:
            self._own_loss = float(loss.detach())
        self._calls += 1
        # Once, so that a trainer can give the step up: as many passes as that has.
        most = self._faults.poison_passes or self._calls_of_step
        if self._faults.poison_at == self.steps + 1 and self._calls <= most:
            self._tell_poisoned()
            made.poisoned = True
            output = poisoned(output)
        made.end(output)
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
            if self._backing:  # a part of a pass, made within it by checkpointing
                return original(tensors, *args, **kwargs)
            self._drop_dead()
            self._turns.before_pass(first=not self._micros)
            if self._faults.own_gradients:
                weights = args[0] if args else kwargs.get("grad_tensors")
                self._turns.take_own(several, weights)
            self._backing = True
            try:
                result = original(tensors, *args, **kwargs)
            finally:
                self._backing = False
            self._micro(sum(float(t.detach().sum()) for t in several))
            if self._due:  # optimizers made their steps in the pass, by a hook of a parameter
                self._due = False
                self._end_turn()
            return result

        torch.autograd.backward = backward

    @property
    def _inside(self) -> bool:
        """Whether one of several optimizers has made its part of a step."""
        return self._whole is not None and self.steps > self._whole

    def _kill_between_steps(self) -> None:
        """End here if asked to; right after a step another optimizer may have its turn."""
        if self._faults.kill_at == (self.steps, 0) and not self._inside:
            self._kill()

    def _micro(self, loss: float) -> None:
        if not self._micros:
            self._kill_between_steps()
        passes = self._passes.take()
        if self.waits:
            return
        for each in passes:
            self._deliveries.match(each.given, each.digests)
        inputs = "".join(text for each in passes for text in each.digests)
        micro = Micro(
            loss=loss,
            content=hashlib.sha256(inputs.encode()).hexdigest()[:16] if inputs else "",
            indices=self._deliveries.end_of_pass(),
            own_loss=self._own_loss,
            poisoned=any(each.poisoned for each in passes),
        )
        self._micros.append(micro)
        self._own_loss = None
        self._put(Line(micro=micro))
        if self._faults.kill_at == (self.steps, len(self._micros)) and not self._inside:
            self._kill()

    # The step

    def _step(self, optimizer: Optimizer) -> None:
        self._named.add(optimizer)
        self._stepped.add(optimizer)
        if self._backing:
            if not self._due and not self._inside:
                self._turns.begin()
            self._due = True
            self._turns.turn(optimizer)
            return
        if not self._micros and not self.steps:
            return
        if self._micros and not self._inside:
            self._turns.begin()
        self._turns.turn(optimizer)
        self._end_turn()

    def _end_turn(self) -> None:
        """Record the step; a further optimizer's turn in it makes its record anew."""
        if self._micros:
            before, micros = self._before, self._taken()
            if self._inside:
                self._last += micros
            else:
                self.steps += 1
                self._last, self._last_before = micros, before or State()
            self._calls_of_step, self._calls = max(1, self._calls), 0
        step = Step(
            number=self.steps,
            micros=self._last,
            before=self._last_before,
            rates=tuple(float(g["lr"]) for o in self._named.optimizers() for g in o.param_groups),
            scale=self.scaler[0] if self.scaler else None,
            growth=self.scaler[1] if self.scaler else None,
            after=self.state(),
            **self._turns.told(),
        )
        self._put(Line(step=self._counted(step)))
        names = self._named.untrained()
        if names != self._names:
            self._names = names
            self._put(Line(names=names))

    def _taken(self) -> tuple[Micro, ...]:
        """The micro-batches of a step that ends, each with the samples that were its own."""
        told = zip(self._micros, self._deliveries.end_of_step(), strict=True)
        self._micros, self._before = [], None
        return tuple(msgspec.structs.replace(micro, **own) for micro, own in told)

    def _counted(self, step: Step) -> Step:
        """The step with what is alive in the process, where that is asked for."""
        if self.steps not in self._faults.count_at:
            return step
        return msgspec.structs.replace(step, **count())

    # The gradient scaler

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
        self._taken()
        self._turns.give_up()
        self._put(Line(skipped=True))

    def _put(self, line: Line) -> None:
        self._file.write(line.encoded())
