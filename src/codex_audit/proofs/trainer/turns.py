"""What optimizers are given as each has its turn within one step.

An adversary's parameters hold gradients of the other's loss until they are cleared, and a layer
that no optimizer was given holds them for ever: what counts is what an optimizer steps on.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import torch
from torch.optim.optimizer import (
    Optimizer,
    register_optimizer_step_post_hook,
    register_optimizer_step_pre_hook,
)

from codex_audit.proofs.trainer.digests import digest
from codex_audit.proofs.trainer.interventions import own_gradients

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor, nn

    from codex_audit.proofs.trainer.bits import Bits, BitsFile
    from codex_audit.proofs.trainer.named import Named


class Turns:
    """Collects that from the backward passes on; `seen` is False where nothing is kept of it."""

    def __init__(self, named: Named, bits: BitsFile, *, seen: bool) -> None:
        self._named = named
        self._bits = bits
        self._seen = seen
        self._left: set[str] = set()  # gradients that were there before the first pass
        self._own: dict[str, Tensor] = {}
        self._weights = ""
        self._turned: set[int] = set()  # optimizers, since the last backward pass
        self.begin()

    def begin(self) -> None:
        """A step begins."""
        self._gradients: dict[str, Bits] = {}
        self._stray: dict[str, Bits] = {}
        self._own_bits: dict[str, Bits] = {}
        self._squares: dict[str, float] = {}
        self._norm = self._turn_norm = 0.0
        self._turns: list[tuple[str, ...]] = []
        self._stale: dict[str, None] = {}
        self._pending: dict[str, None] = {}
        self._repeats = 1

    def before_pass(self, *, first: bool) -> None:
        """A backward pass is about to be made; `first` since an optimizer's turn."""
        if not first or not self._seen:
            return
        self._turned, self._squares, self._own = set(), {}, {}
        parameters = self._named.parameters()
        self._left = {name for name, p in parameters.items() if _not_zero(p)}

    def take_own(self, tensors: Any, weights: Any) -> None:
        """Take the gradients that a pass is about to give apart from it.

        Those of passes before it count as well, unless they have been cleared and the weights
        moved since: then the optimizer asks for the loss at several points.
        """
        wanted = {n: p for n, p in self._named.parameters().items() if p.requires_grad}
        try:
            found = own_gradients(tensors, weights, list(wanted.values()))
        except RuntimeError:  # then this step has none, which the proof tells
            return
        now = "".join(digest(parameter) for parameter in wanted.values())
        if self._own and now != self._weights and not any(map(_not_zero, wanted.values())):
            self._own = {}
        self._weights = now
        for name, gradient in zip(wanted, found, strict=True):
            if gradient is not None:
                known = self._own.get(name)
                self._own[name] = gradient if known is None else known + gradient

    def give_up(self) -> None:
        """The passes since the last turn come to nothing."""
        self._own = {}

    def turn(self, optimizer: Optimizer) -> None:
        """An optimizer has made its step on the gradients that are there."""
        if not self._seen:
            return
        if id(optimizer) in self._turned:
            self._repeats += 1
            return
        self._turned.add(id(optimizer))
        parameters = self._named.parameters()
        held = {id(p) for group in optimizer.param_groups for p in group["params"]}
        given = {id(p) for each in self._named.optimizers() for p in _held_by(each)}
        mine = {n: p.grad for n, p in parameters.items() if id(p) in held and p.grad is not None}
        stray = {
            n: p.grad for n, p in parameters.items() if id(p) not in given and p.grad is not None
        }
        stale = [n for n in (*mine, *stray) if n in self._left]
        known = {*self._gradients, *self._stray}
        self._stale |= dict.fromkeys(stale)
        self._pending |= dict.fromkeys(n for n in stale if n not in known)
        self._gradients |= self._bits.write(mine)
        self._stray |= self._bits.write(stray)
        own = {n: self._own[n] for n, p in parameters.items() if id(p) in held and n in self._own}
        self._own_bits |= self._bits.write(own)
        squares = {name: _square(gradient) for name, gradient in mine.items()}
        self._squares |= squares
        self._turn_norm = max(self._turn_norm, sum(squares.values()) ** 0.5)
        self._norm = max(self._norm, sum(self._squares.values()) ** 0.5)
        self._turns.append(tuple(mine))

    def told(self) -> dict[str, Any]:
        """All of the step so far, as the fields of `Step`."""
        return {
            "gradients": dict(self._gradients),
            "stray": dict(self._stray),
            "own": dict(self._own_bits),
            "grad_norm": self._norm,
            "turn_norm": self._turn_norm,
            "turns": tuple(self._turns),
            "stale": tuple(self._stale),
            "pending": tuple(self._pending),
            "repeats": self._repeats,
        }


def watch_steps(made: Callable[[Optimizer], None], stepped: Callable[[Optimizer], None]) -> None:
    """Tell of every optimizer that is made, and of each step, also one made within `super()`'s."""
    original = Optimizer.__init__
    depth: Counter[int] = Counter()

    def initialised(optimizer: Optimizer, *args: Any, **kwargs: Any) -> None:
        original(optimizer, *args, **kwargs)
        made(optimizer)

    def begins(optimizer: Optimizer, _args: Any, _kwargs: Any) -> None:
        depth[id(optimizer)] += 1

    def ends(optimizer: Optimizer, _args: Any, _kwargs: Any) -> None:
        depth[id(optimizer)] -= 1
        if depth[id(optimizer)] <= 0:
            del depth[id(optimizer)]
            stepped(optimizer)

    Optimizer.__init__ = initialised  # type: ignore[method-assign,assignment]
    register_optimizer_step_pre_hook(begins)
    register_optimizer_step_post_hook(ends)


def watch_plateaus(stepped: Callable[[], None]) -> None:
    """Tell when a rate follows what is evaluated."""
    kind = torch.optim.lr_scheduler.ReduceLROnPlateau
    original = kind.step

    def followed(schedule: Any, *args: Any, **kwargs: Any) -> None:
        stepped()
        original(schedule, *args, **kwargs)

    kind.step = followed  # type: ignore[method-assign,assignment]


def _held_by(optimizer: Optimizer) -> list[nn.Parameter]:
    return [p for group in optimizer.param_groups for p in group["params"]]


def _not_zero(parameter: nn.Parameter) -> bool:
    return parameter.grad is not None and bool(torch.any(parameter.grad.to_dense() != 0))


def _square(gradient: Tensor) -> float:
    norm = float(gradient.detach().to_dense().double().norm())
    return norm * norm
