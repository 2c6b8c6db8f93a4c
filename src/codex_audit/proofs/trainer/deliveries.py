"""Which samples a forward pass was given, though what came from the loader may have been changed.

A batch is known again by its content, or as the very tensors that were delivered, changed in
place; it may be one that an earlier step had, which the trainer kept. Of a batch that was made
anew on the way, by normalising it or by augmentation, only the order tells: a step's passes had
the last batches that came before it.
"""

from __future__ import annotations

import weakref
from collections import deque
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    Rows = tuple[int, ...] | None

_KEPT = 32
_REMEMBERED = 256


class _Delivery:
    """One batch as a loader gave it. `fresh`: not known again, and come since the last step."""

    def __init__(self, tensors: Sequence[Tensor], digests: Sequence[str], rows: Rows) -> None:
        self.digests = set(digests)
        self.tensors = [weakref.ref(tensor) for tensor in tensors]
        self.rows = rows
        self.size = _size(tensors)
        self.fresh = True

    def common(self, tensors: Sequence[Tensor], digests: Sequence[str]) -> int:
        """How many of these it delivered, by content or as the same object."""
        same = any(ref() is tensor for ref in self.tensors for tensor in tensors)
        return max(len(self.digests.intersection(digests)), int(same))


class Deliveries:
    """The batches that loaders gave, until a pass is known to have had them."""

    def __init__(self) -> None:
        self._waiting: deque[_Delivery] = deque(maxlen=_KEPT)
        self._had: deque[_Delivery] = deque(maxlen=_REMEMBERED)
        self._pass: list[_Delivery] = []
        self._sizes: set[int] = set()
        self._passes: list[tuple[_Delivery, ...]] = []
        self._given: list[set[int]] = []

    def add(self, tensors: Sequence[Tensor], digests: Sequence[str], rows: Rows) -> None:
        """A loader gave a batch; one that was fetched without gradients is none to train on."""
        if torch.is_grad_enabled():
            self._waiting.append(_Delivery(tensors, digests, rows))

    def match(self, tensors: Sequence[Tensor], digests: Sequence[str]) -> None:
        """A module was called with these; labels may come in a later call than the inputs."""
        self._sizes.update(len(tensor) for tensor in tensors if tensor.ndim)
        if any(known.common(tensors, digests) for known in self._pass):
            return
        # The best match, the oldest of equals: labels of two batches may well be the same.
        for known in (self._waiting, self._had):
            best = max(known, key=lambda each: each.common(tensors, digests), default=None)
            if best is not None and best.common(tensors, digests):
                known.remove(best)
                self._pass.append(best)
                return

    def dismiss(self, tensors: Sequence[Tensor], digests: Sequence[str] = ()) -> None:
        """A module was called with these, and no loss comes of it: they are evaluated on."""
        known = [each for each in self._waiting if each.common(tensors, digests)]
        for each in known:
            each.fresh = False

    def end_of_pass(self) -> Rows:
        """The samples of the backward pass that has just ended, as far as is known by now."""
        self._passes.append(tuple(self._pass))
        self._given.append(self._sizes)
        self._pass, self._sizes = [], set()
        return _rows(self._passes[-1])

    def end_of_step(self) -> list[dict[str, Any]]:
        """Of each backward pass of the step that has just ended, fields of `Micro`."""
        unknown = [place for place, found in enumerate(self._passes) if not found]
        fresh = [each for each in self._waiting if each.fresh]
        if unknown and len(fresh) >= len(unknown):
            for place, delivery in zip(unknown, fresh[-len(unknown) :], strict=True):
                self._passes[place] = (delivery,)
                self._waiting.remove(delivery)
        for each in self._waiting:
            each.fresh = False
        told = [
            {"indices": _rows(found), "delivered": _digests(found, sizes)}
            for found, sizes in zip(self._passes, self._given, strict=True)
        ]
        self._had.extend(each for found in self._passes for each in found)
        self._passes, self._given = [], []
        return told


def _rows(found: Sequence[_Delivery]) -> Rows:
    rows: list[int] = []
    for each in found:
        if each.rows is None:
            return None
        rows += each.rows
    return tuple(rows) or None


def _digests(found: Sequence[_Delivery], sizes: set[int]) -> tuple[str, ...]:
    """Of the batches that a pass had whole; of one that ranks divide, each has other samples."""
    whole = (each for each in found if not sizes or each.size in sizes)
    return tuple(sorted({text for each in whole for text in each.digests}))


def _size(tensors: Sequence[Tensor]) -> int | None:
    return next((len(tensor) for tensor in tensors if tensor.ndim), None)
