"""Data in a known order: splits, manifests, and a loader whose place survives a restart."""

from __future__ import annotations

import hashlib
import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from itertools import accumulate
from typing import Any, Generic, TypeVar

import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from codex_ml.seeding import generator, seed_everything
from codex_ml.shards import Manifest, ManifestError, read_manifest, write_manifest

__all__ = [
    "DataStateError",
    "Manifest",
    "ManifestError",
    "ResumableLoader",
    "ResumableSampler",
    "grouped_split",
    "read_manifest",
    "split_of",
    "stratified_split",
    "write_manifest",
]

T = TypeVar("T")


class DataStateError(ValueError):
    """A saved position that does not belong to this data."""


@dataclass(eq=False)
class ResumableSampler(Sampler[int]):
    """Indices of one epoch after another, in an order that seed and epoch alone decide.

    So a position is all that needs saving. It counts the samples of all ranks, to which they are
    dealt in turn: a state saved on any rank continues on any number of ranks. All ranks get
    equally many, so that none waits for ever; the up to `world` - 1 samples left over are other
    ones each epoch.

    Args:
        size: number of samples.
        seed: decides the order of every epoch.
        shuffle: whether an epoch is a permutation or the plain order.
        rank: this process among the `world` that share the samples.
        world: how many processes that is.

    Raises:
        ValueError: there is no such rank, or there are fewer samples than ranks.
    """

    size: int
    _: KW_ONLY
    seed: int
    shuffle: bool = True
    rank: int = 0
    world: int = 1
    epoch: int = field(default=0, init=False)
    position: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        if not 0 <= self.rank < self.world:
            raise ValueError(f"rank={self.rank} is not one of world={self.world}")
        if 0 < self.size < self.world:
            raise ValueError(f"{self.size} samples for {self.world} ranks: some would get none")

    def __len__(self) -> int:
        """Samples left for this rank in this epoch."""
        return (self.size - self.position) // self.world

    def __iter__(self) -> Iterator[int]:
        """This rank's indices from `position` to the end of the epoch; it is not moved."""
        end = self.position + len(self) * self.world
        return iter(self.order(self.epoch)[self.position : end][self.rank :: self.world])

    def order(self, epoch: int) -> list[int]:
        """The indices of `epoch` for all ranks together, in order."""
        if not self.shuffle:
            return list(range(self.size))
        return torch.randperm(self.size, generator=generator(self.seed, epoch)).tolist()

    def advance(self, samples: int) -> None:
        """Note that each rank has consumed `samples` more; at the end the next epoch begins."""
        self.position += samples * self.world
        if not len(self):
            self.epoch, self.position = self.epoch + 1, 0

    def state_dict(self) -> dict[str, Any]:
        """Epoch and position, the same on all ranks, and what decides the order."""
        names = ("epoch", "position", "size", "seed", "shuffle")
        return {name: getattr(self, name) for name in names}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue where `state` was taken.

        Raises:
            DataStateError: the number of samples or the shuffling differs.
        """
        for name in ("size", "shuffle"):
            if state[name] != getattr(self, name):
                raise DataStateError(
                    f"the saved position is for {name}={state[name]}, and this data has "
                    f"{name}={getattr(self, name)}; resume with the same"
                )
        self.seed, self.epoch, self.position = state["seed"], state["epoch"], state["position"]
        self.advance(0)  # what is left may be too little for this number of ranks


@dataclass(eq=False)
class ResumableLoader(Generic[T]):
    """Batches of a dataset, one epoch an iteration, resuming at the batch after the last one.

    The position counts batches that were handed out, not those that workers fetched ahead.
    Workers seed Python, NumPy and torch anew for every batch, from seed, epoch and the
    batch's first index, so that a batch has the same augmentations whichever worker makes it,
    and after a resume: there is no state of workers, which torchdata's StatefulDataLoader saves.
    Without workers the process's own generators are drawn from, which a checkpoint restores.

    Args:
        dataset: samples by index.
        batch_size: samples a batch of this rank; the last of an epoch may be smaller.
        seed: decides order and workers' generators; the same on all ranks.
        shuffle: whether to permute each epoch.
        workers: processes that fetch; 0 fetches here.
        collate: from a list of samples to a batch; torch's default otherwise.
        rank: this process among the `world` that share the data.
        world: how many processes that is.
    """

    dataset: Dataset[Any]
    batch_size: int
    _: KW_ONLY
    seed: int
    shuffle: bool = True
    workers: int = 0
    collate: Callable[[list[Any]], T] | None = None
    rank: int = 0
    world: int = 1

    def __post_init__(self) -> None:
        size = len(self.dataset)  # type: ignore[arg-type]  # a map-style dataset has a length
        self.sampler = ResumableSampler(
            size, seed=self.seed, shuffle=self.shuffle, rank=self.rank, world=self.world
        )

    def __len__(self) -> int:
        """Batches of a whole epoch."""
        return math.ceil(self.sampler.size // self.sampler.world / self.batch_size)

    def __iter__(self) -> Iterator[T]:
        """The batches left in this epoch."""
        # A loader draws a base seed from the global generator whenever it is iterated, so a
        # resumed run would draw once more than one that was not; this one has its own. From
        # that seed torch seeds itself, Python and NumPy in each worker, all differently
        # (https://docs.pytorch.org/docs/stable/data.html#data-loading-randomness).
        own = generator(self.sampler.seed, self.sampler.epoch, 1)
        loader: DataLoader[Any] = DataLoader(
            _Seeded(self.dataset, own.initial_seed()) if self.workers else self.dataset,
            batch_size=self.batch_size,
            sampler=self.sampler,
            num_workers=self.workers,
            collate_fn=self.collate,
            generator=own,
        )
        left = len(self.sampler)
        for batch in loader:
            self.sampler.advance(min(self.batch_size, left))
            left -= self.batch_size
            yield batch

    def state_dict(self) -> dict[str, Any]:
        """The position of the next batch, the same on all ranks, and what it depends on."""
        return {**self.sampler.state_dict(), "batch_size": self._global_batch}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue with the batch after the last one that was handed out.

        Raises:
            DataStateError: the data or the batch size, that of all ranks together, differs.
        """
        if state["batch_size"] != self._global_batch:
            raise DataStateError(
                f"the saved position counts batches of {state['batch_size']}, not of "
                f"{self._global_batch}, over all ranks; resume with the same batch size"
            )
        self.sampler.load_state_dict(state)

    @property
    def _global_batch(self) -> int:
        return self.batch_size * self.sampler.world


class _Seeded(Dataset[Any]):
    """A dataset whose batches are each fetched under a seed of their own."""

    def __init__(self, dataset: Dataset[Any], seed: int) -> None:
        self._dataset = dataset
        self._seed = seed

    def __getitems__(self, indices: Sequence[int]) -> list[Any]:
        seed_everything(generator(self._seed, indices[0]).initial_seed() % 2**32)
        if several := getattr(self._dataset, "__getitems__", None):
            return list(several(indices))
        return [self._dataset[index] for index in indices]


def split_of(key: str, fractions: Mapping[str, float], *, salt: str = "") -> str:
    """The split that `key` belongs to, whatever other keys there are.

    The key's SHA-256 is read as a number in [0, 1), and the splits lie side by side on that
    line, so adding rows moves none from one split to another.

    Args:
        key: identifies a row for good (an id, a path; for a grouped split the group's id).
        fractions: split -> its share; they add up to 1.
        salt: another salt gives another, independent split.

    Raises:
        ValueError: the fractions do not add up to 1.
    """
    _check(fractions)
    digest = hashlib.sha256(f"{salt}\0{key}".encode()).digest()
    place = int.from_bytes(digest[:8], "big") / 2**64
    for name, end in zip(fractions, accumulate(fractions.values()), strict=True):
        if place < end:
            return name
    return name  # the sum may round to just below 1


def grouped_split(
    groups: Mapping[str, str], fractions: Mapping[str, float], *, salt: str = ""
) -> dict[str, str]:
    """Row -> split, all rows of a group (a patient, an author, a document) in the same one.

    `groups` has each row's group, and `fractions` are of the groups; the rest is as in `split_of`.
    """
    return {key: split_of(group, fractions, salt=salt) for key, group in groups.items()}


def stratified_split(
    strata: Mapping[str, str],
    fractions: Mapping[str, float],
    *,
    salt: str = "",
    previous: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """Row -> split, each stratum (a label, a language) divided by the same shares.

    In the order of their hashes, a stratum's rows each go to the split that lacks most of its
    share. Exact shares move rows when others are added, so a data set that grows needs `previous`:
    what it assigned stays, and new rows fill what is lacking.

    Args:
        strata: row's key -> its stratum.
        fractions: split -> its share of every stratum; they add up to 1.
        salt: another salt gives another split.
        previous: what this function returned for fewer rows; rows that are gone are ignored.

    Raises:
        ValueError: the fractions do not add up to 1, or `previous` names another split.
    """
    _check(fractions)
    kept = {key: split for key, split in (previous or {}).items() if key in strata}
    if unknown := sorted(set(kept.values()) - set(fractions)):
        raise ValueError(f"`previous` has split {unknown[0]!r}, and the fractions {[*fractions]}")
    members = defaultdict(list)
    for key, stratum in strata.items():
        members[stratum].append(key)
    assigned: dict[str, str] = {}
    for keys in members.values():
        counts = Counter(kept[key] for key in keys if key in kept)
        new = [key for key in keys if key not in kept]
        for key in sorted(new, key=lambda key: hashlib.sha256(f"{salt}\0{key}".encode()).digest()):
            size = counts.total() + 1
            split = max(fractions, key=lambda name: fractions[name] * size - counts[name])
            counts[split] += 1
            assigned[key] = split
    return {key: kept[key] if key in kept else assigned[key] for key in strata}


def _check(fractions: Mapping[str, float]) -> None:
    total = sum(fractions.values())
    if not abs(total - 1) <= 1e-9 or min(fractions.values()) < 0:  # noqa: PLR2004 - rounding of a sum
        raise ValueError(f"the fractions {dict(fractions)} must be positive and add up to 1")
