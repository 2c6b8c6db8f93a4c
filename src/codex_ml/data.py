"""Data in a known order: splits by hash, and a loader whose place survives a restart."""

from __future__ import annotations

import hashlib
import math
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import torch
from torch.utils.data import DataLoader, Dataset, Sampler

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

T = TypeVar("T")


class DataStateError(ValueError):
    """A saved position that does not belong to this data."""


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
    total = sum(fractions.values())
    if abs(total - 1) > 1e-9 or min(fractions.values()) < 0:  # noqa: PLR2004 - rounding of a sum
        raise ValueError(f"the fractions {dict(fractions)} must be positive and add up to 1")
    digest = hashlib.sha256(f"{salt}\0{key}".encode()).digest()
    place = int.from_bytes(digest[:8], "big") / 2**64
    end = 0.0
    for name, fraction in fractions.items():
        end += fraction
        if place < end:
            return name
    return name  # the sum may round to just below 1


class ResumableSampler(Sampler[int]):
    """Indices of one epoch after another, in an order that seed and epoch alone decide.

    The order comes from a generator of its own (seeded by seed and epoch), so neither model
    nor augmentation can change it, and a position is all that needs saving.

    Args:
        size: number of samples.
        seed: decides the order of every epoch.
        shuffle: whether an epoch is a permutation or the plain order.
    """

    def __init__(self, size: int, *, seed: int, shuffle: bool = True) -> None:
        self.size = size
        self.seed = seed
        self.shuffle = shuffle
        self.epoch = 0
        self.position = 0

    def __len__(self) -> int:
        """Samples left in this epoch."""
        return self.size - self.position

    def __iter__(self) -> Iterator[int]:
        """The indices from `position` to the end of the epoch; `position` is not moved."""
        return iter(self.order(self.epoch)[self.position :])

    def order(self, epoch: int) -> list[int]:
        """All indices of `epoch`, in order."""
        if not self.shuffle:
            return list(range(self.size))
        generator = torch.Generator()
        generator.manual_seed(_mix(self.seed, epoch))
        return torch.randperm(self.size, generator=generator).tolist()

    def advance(self, samples: int) -> None:
        """Note that `samples` more have been consumed; at its end the next epoch begins."""
        self.position += samples
        if self.position >= self.size:
            self.epoch, self.position = self.epoch + 1, 0

    def state_dict(self) -> dict[str, Any]:
        """Epoch and position, and what decides the order."""
        return {
            "epoch": self.epoch,
            "position": self.position,
            "size": self.size,
            "seed": self.seed,
            "shuffle": self.shuffle,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue where `state` was taken.

        Raises:
            DataStateError: the number of samples or the shuffling differs, so the position
                means nothing here.
        """
        for name in ("size", "shuffle"):
            if state[name] != getattr(self, name):
                raise DataStateError(
                    f"the saved position is for {name}={state[name]} and this data has "
                    f"{name}={getattr(self, name)}; resume with the data that it was saved with"
                )
        self.seed = state["seed"]
        self.epoch = state["epoch"]
        self.position = state["position"]


class ResumableLoader(Generic[T]):
    """Batches of a dataset, one epoch an iteration, resuming at the batch after the last one.

    The position counts batches that were handed out, not those that workers fetched ahead.
    With `workers`, randomness in the dataset should come from a sample's index and epoch: the
    generators of worker processes start afresh on resume. Without, all resumes exactly.

    Args:
        dataset: samples by index.
        batch_size: samples a batch; the last of an epoch may be smaller.
        seed: decides order and workers' generators.
        shuffle: whether to permute each epoch.
        workers: processes that fetch; 0 fetches here.
        collate: from a list of samples to a batch; torch's default otherwise.
    """

    def __init__(
        self,
        dataset: Dataset[Any],
        batch_size: int,
        *,
        seed: int,
        shuffle: bool = True,
        workers: int = 0,
        collate: Callable[[list[Any]], T] | None = None,
    ) -> None:
        self.dataset = dataset
        self.batch_size = batch_size
        size = len(dataset)  # type: ignore[arg-type]  # a map-style dataset has a length
        self.sampler = ResumableSampler(size, seed=seed, shuffle=shuffle)
        self._workers = workers
        self._collate = collate

    def __len__(self) -> int:
        """Batches of a whole epoch."""
        return math.ceil(self.sampler.size / self.batch_size)

    def __iter__(self) -> Iterator[T]:
        """The batches left in this epoch."""
        # A loader draws a base seed from the global generator whenever it is iterated, so a
        # resumed run would draw once more than one that was not; this one has its own. From
        # that seed torch seeds itself, Python and NumPy in each worker, all differently
        # (https://docs.pytorch.org/docs/stable/data.html#data-loading-randomness).
        generator = torch.Generator()
        generator.manual_seed(_mix(self.sampler.seed, self.sampler.epoch, 1))
        loader: DataLoader[Any] = DataLoader(
            self.dataset,
            batch_size=self.batch_size,
            sampler=self.sampler,
            num_workers=self._workers,
            collate_fn=self._collate,
            generator=generator,
        )
        left = len(self.sampler)
        for batch in loader:
            self.sampler.advance(min(self.batch_size, left))
            left -= self.batch_size
            yield batch

    def state_dict(self) -> dict[str, Any]:
        """The position of the next batch, and what it depends on."""
        return {**self.sampler.state_dict(), "batch_size": self.batch_size}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue with the batch after the last one that was handed out.

        Raises:
            DataStateError: the data or the batch size differs.
        """
        if state["batch_size"] != self.batch_size:
            raise DataStateError(
                f"the saved position counts batches of {state['batch_size']}, not of "
                f"{self.batch_size}; resume with the same batch size"
            )
        self.sampler.load_state_dict(state)


def _mix(*numbers: int) -> int:
    """A 63-bit seed in which each number counts; sums would make (1, 2) equal to (2, 1)."""
    text = ",".join(str(number) for number in numbers)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1
