"""Which samples come from data loaders, as they come; and loaders that give the same ones again."""

from __future__ import annotations

from collections import deque
from copy import deepcopy
from typing import TYPE_CHECKING, Any

import torch
from torch.utils.data import DistributedSampler, RandomSampler, SubsetRandomSampler, dataloader

from codex_audit.proofs.trainer.digests import digest, tensors_in

if TYPE_CHECKING:
    from codex_audit.proofs.trainer.deliveries import Deliveries
    from codex_audit.proofs.trainer.runs import Faults


_DEEP = 4  # samplers within each other, as libraries wrap them


class Sampling:
    """Watches every DataLoader of this process from `install` on, and tells `deliveries`.

    `shuffles`: whether a sampler that is trained by says that it draws its order at random.
    """

    def __init__(self, deliveries: Deliveries, faults: Faults) -> None:
        self._deliveries = deliveries
        self._faults = faults
        self.shuffles = False
        self._repeated: dict[int, tuple[Any, Any, Any]] = {}
        self._recurring: dict[tuple[int, bool], tuple[Any, deque[Any]]] = {}

    def install(self) -> None:
        """Start to watch; once a process."""
        base = dataloader._BaseDataLoaderIter  # noqa: SLF001 - nothing public tells the indices
        next_index, next_batch = base._next_index, base.__next__  # noqa: SLF001 - as above

        def indexed(loader: Any) -> Any:
            index = next_index(loader)  # type: ignore[no-untyped-call]
            if torch.is_grad_enabled():
                self.shuffles = self.shuffles or _draws(loader._index_sampler)  # noqa: SLF001 - as above
            if self._faults.recur:
                index = self._again(loader, index)
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
            counted = loader._dataset_kind == dataloader._DatasetKind.Iterable  # noqa: SLF001 - as above
            self._deliver(batch, None if counted else index)
            return batch

        base._next_index, base.__next__ = indexed, delivered  # type: ignore[method-assign,assignment] # noqa: SLF001

    def _again(self, loader: Any, index: Any) -> Any:
        """The first few batches of a data set in turn, whatever more a sampler would give."""
        dataset = loader._dataset  # noqa: SLF001 - as above
        key = (id(dataset), torch.is_grad_enabled())
        _, known = self._recurring.setdefault(key, (dataset, deque()))
        if len(known) < self._faults.recur:
            known.append(index)
            return index
        known.rotate(-1)
        return known[-1]

    def _deliver(self, batch: Any, index: Any) -> None:
        tensors = tensors_in(batch)
        self._deliveries.add(tensors, [digest(tensor) for tensor in tensors], _rows_of(index))


def _draws(sampler: Any) -> bool:
    """Whether a sampler, or the one that it takes its samples from, draws their order."""
    for _ in range(_DEEP):
        if isinstance(sampler, RandomSampler | SubsetRandomSampler):
            return True
        if isinstance(sampler, DistributedSampler):
            return sampler.shuffle
        sampler = getattr(sampler, "sampler", getattr(sampler, "batch_sampler", None))
    return False


def _rows_of(index: Any) -> tuple[int, ...] | None:
    """The places in the data set, where a sampler gives them: alone, or within tuples.

    Of a tuple such as (place, epoch) that number counts by which a batch's samples differ.
    """
    keys = index if isinstance(index, list) else [index]
    parts = [key if isinstance(key, tuple) else (key,) for key in keys]
    if not parts or len({len(part) for part in parts}) != 1:
        return None
    columns = [column for column in zip(*parts, strict=True) if all(map(_is_place, column))]
    return max(columns, key=lambda column: len(set(column)), default=None)


def _is_place(key: Any) -> bool:
    return isinstance(key, int) and not isinstance(key, bool)
