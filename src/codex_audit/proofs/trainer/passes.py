"""Forward passes of which a loss can still be made: those before a backward pass are its own.

A loop may also call its model for other ends while gradients are on: to evaluate, or for a batch
that it then gives up. Once nothing holds the graph of such a pass, no loss can come of it.
"""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

import torch

from codex_audit.proofs.trainer.digests import tensors_in

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor


class _Mark:
    """Lives as long as the node of the graph that carries it."""

    __slots__ = ("__weakref__",)


class Pass:
    """One call of a module: what it was given, and whether what it gave is alive."""

    def __init__(self, given: Sequence[Tensor], digests: Sequence[str]) -> None:
        self.given = tuple(given)
        self.digests = tuple(digests)
        self.poisoned = False
        self._signs: list[weakref.ref[Any]] = []
        self._ended = False

    def end(self, output: Any) -> None:
        """It gave `output`."""
        self._ended = True
        for tensor in _tensors_of(output):
            if tensor.grad_fn is None:
                self._signs.append(weakref.ref(tensor))
                continue
            mark = _Mark()
            node: Any = tensor.grad_fn  # whose metadata torch's own types take for a method
            node.metadata["codex_audit"] = mark
            self._signs.append(weakref.ref(mark))

    @property
    def alive(self) -> bool:
        """Whether a loss may still be made of it, as far as can be told."""
        return not self._ended or not self._signs or any(sign() is not None for sign in self._signs)


class Passes:
    """Those since the last backward pass, in order."""

    def __init__(self) -> None:
        self._open: list[Pass] = []

    def __bool__(self) -> bool:
        return bool(self._open)

    def begin(self, given: Sequence[Tensor], digests: Sequence[str]) -> Pass:
        """A module is called."""
        made = Pass(given, digests)
        self._open.append(made)
        return made

    def drop_dead(self) -> list[Pass]:
        """Forget those of which no loss can come any more, and return them."""
        dead = [each for each in self._open if not each.alive]
        self._open = [each for each in self._open if each.alive]
        return dead

    def take(self) -> list[Pass]:
        """All that are open; from now on there are none."""
        taken, self._open = self._open, []
        return taken


def _tensors_of(output: Any) -> list[Tensor]:
    """Also those in objects that torch's trees do not know, such as a model's output class."""
    found = tensors_in(output)
    if not found and hasattr(output, "__dict__"):
        found = tensors_in(dict(vars(output)))
    return found


def is_traced() -> bool:
    """Whether tensors stand for others now, of which no number can be read."""
    transformed = getattr(torch._C, "_are_functorch_transforms_active", bool)  # noqa: SLF001 - nothing public tells
    return torch.compiler.is_compiling() or transformed()
