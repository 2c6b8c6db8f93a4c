"""Positions that survive, over epochs, workers and ranks."""

from __future__ import annotations

import random
from itertools import chain
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import Dataset

from codex_ml.data import DataStateError, ResumableLoader, ResumableSampler


class Numbers(Dataset[int]):
    def __init__(self, size: int) -> None:
        self.size = size

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, index: int) -> int:
        return index


class Drawn(Dataset[tuple[float, ...]]):
    """Samples that draw from every generator, as augmentations do."""

    def __init__(self, size: int = 4) -> None:
        self.size = size

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, index: int) -> tuple[float, ...]:
        numpy = float(np.random.random())  # noqa: NPY002 - what workers must seed
        return index, random.random(), numpy, float(torch.rand(()))


class DrawnTogether(Drawn):
    """The same, with torch's protocol for fetching a whole batch."""

    def __getitems__(self, indices: list[int]) -> list[tuple[float, ...]]:
        return [self[index] for index in indices]


def loader(size: int = 10, **options: Any) -> ResumableLoader[Any]:
    return ResumableLoader(Numbers(size), 3, seed=5, **options)


def rows(batches: Any) -> list[list[int]]:
    return [batch.tolist() for batch in batches]


@pytest.mark.parametrize("size", [10, 12, 2])
def test_every_sample_comes_once_an_epoch_in_a_new_order(size: int) -> None:
    subject = loader(size)
    first, second = rows(subject), rows(subject)
    assert len(first) == len(subject)
    assert sorted(chain(*first)) == sorted(chain(*second)) == list(range(size))
    if size > 2:
        assert first != second


@pytest.mark.parametrize("taken", range(9))
def test_a_position_anywhere_in_two_epochs_resumes_exactly(taken: int) -> None:
    straight = loader()
    expected = rows(straight) + rows(straight)
    subject, seen = loader(), []
    iterator = iter(subject)
    for _ in range(taken):
        batch = next(iterator, None)
        if batch is None:
            iterator = iter(subject)
            batch = next(iterator)
        seen.append(batch.tolist())
    resumed = loader()
    resumed.load_state_dict(subject.state_dict())
    while len(seen) < len(expected):
        seen += rows(resumed)
    assert seen == expected


def test_iterating_draws_nothing_from_the_global_generator() -> None:
    torch.manual_seed(0)
    before = torch.get_rng_state()
    rows(loader())
    assert torch.equal(torch.get_rng_state(), before)


def test_another_seed_gives_another_order_and_none_gives_the_plain_one() -> None:
    assert ResumableSampler(50, seed=1).order(0) != ResumableSampler(50, seed=2).order(0)
    assert rows(loader(shuffle=False)) == [[0, 1, 2], [3, 4, 5], [6, 7, 8], [9]]


def test_a_position_of_other_data_is_refused() -> None:
    state = loader(10).state_dict()
    with pytest.raises(DataStateError, match="size=10"):
        loader(11).load_state_dict(state)
    with pytest.raises(DataStateError, match="batches of 3"):
        ResumableLoader(Numbers(10), 4, seed=5).load_state_dict(state)


def test_workers_keep_the_position_and_draw_different_numbers() -> None:
    subject = loader(10, workers=2)
    iterator = iter(subject)
    first = [next(iterator).tolist() for _ in range(2)]
    assert subject.state_dict()["position"] == 6
    assert first == rows(loader())[:2]
    del iterator
    drawn = [
        [tuple(batch) for batch in ResumableLoader(Drawn(), 1, seed=5, workers=2, collate=tuple)]
        for _ in range(2)
    ]
    assert drawn[0] == drawn[1]
    assert len(set(drawn[0])) == 4


@pytest.mark.parametrize("dataset", [Drawn(10), DrawnTogether(10)], ids=["one", "several"])
def test_augmentations_are_the_same_after_a_resume_and_with_more_workers(
    dataset: Dataset[Any],
) -> None:
    def build(workers: int) -> ResumableLoader[Any]:
        return ResumableLoader(dataset, 3, seed=5, workers=workers, collate=tuple)

    expected = list(build(1))
    stopped = build(1)
    iterator = iter(stopped)
    seen = [next(iterator), next(iterator)]
    del iterator
    resumed = build(2)
    resumed.load_state_dict(stopped.state_dict())
    assert seen + list(resumed) == expected
    numbers = [sample[1:] for batch in expected for sample in batch]
    assert len(set(chain(*numbers))) == 30


def ranked(size: int, batch: int, world: int, **options: Any) -> list[ResumableLoader[Any]]:
    return [
        ResumableLoader(Numbers(size), batch, seed=5, rank=rank, world=world, **options)
        for rank in range(world)
    ]


def together(loaders: list[ResumableLoader[Any]]) -> list[set[int]]:
    """What all ranks take in each step."""
    return [set(chain(*step)) for step in zip(*map(rows, loaders), strict=True)]


@pytest.mark.parametrize(("size", "world"), [(24, 2), (23, 2), (25, 3), (3, 3)])
def test_ranks_share_an_epoch_without_overlap_and_stay_in_step(size: int, world: int) -> None:
    loaders = ranked(size, 4, world)
    for _ in range(2):
        each = [list(chain(*rows(loader))) for loader in loaders]
        assert {len(taken) for taken in each} == {size // world}
        assert len(set(chain(*each))) == size // world * world
    assert len({str(loader.state_dict()) for loader in loaders}) == 1


@pytest.mark.parametrize(("batch", "world"), [(12, 1), (4, 3), (2, 6)])
def test_a_run_goes_on_with_another_number_of_ranks(batch: int, world: int) -> None:
    straight = together(ranked(48, 6, 2))
    stopped = ranked(48, 6, 2)
    iterators = [iter(loader) for loader in stopped]
    for _ in range(2):
        for iterator in iterators:
            next(iterator)
    resumed = ranked(48, batch, world)
    for loader in resumed:
        loader.load_state_dict(stopped[1].state_dict())
    assert together(resumed) == straight[2:]


def test_what_is_too_little_for_more_ranks_belongs_to_no_epoch() -> None:
    sampler = ResumableSampler(10, seed=5, rank=0, world=3)
    sampler.load_state_dict({**sampler.state_dict(), "position": 8})
    assert (sampler.epoch, sampler.position, len(sampler)) == (1, 0, 3)


def test_ranks_that_cannot_be_are_refused() -> None:
    with pytest.raises(ValueError, match="rank=2 is not one of world=2"):
        ResumableSampler(10, seed=5, rank=2, world=2)
    with pytest.raises(ValueError, match="3 samples for 4 ranks"):
        ResumableSampler(3, seed=5, world=4)
