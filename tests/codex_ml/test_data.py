"""Splits that hold still, and positions that survive."""

from __future__ import annotations

import random
from collections import Counter
from itertools import chain
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import Dataset

from codex_ml.data import DataStateError, ResumableLoader, ResumableSampler, split_of

FRACTIONS = {"train": 0.8, "valid": 0.1, "test": 0.1}


class Numbers(Dataset[int]):
    def __init__(self, size: int) -> None:
        self.size = size

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, index: int) -> int:
        return index


class Drawn(Dataset[tuple[float, float]]):
    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int) -> tuple[float, float]:
        return random.random(), float(np.random.random())  # noqa: NPY002 - what workers must seed


def loader(size: int = 10, **options: Any) -> ResumableLoader[Any]:
    return ResumableLoader(Numbers(size), 3, seed=5, **options)


def rows(batches: Any) -> list[list[int]]:
    return [batch.tolist() for batch in batches]


def test_adding_rows_moves_none_and_shares_are_kept() -> None:
    keys = [f"row {number}" for number in range(5000)]
    before = {key: split_of(key, FRACTIONS) for key in keys[:2500]}
    after = {key: split_of(key, FRACTIONS) for key in reversed(keys)}
    assert all(after[key] == split for key, split in before.items())
    counts = Counter(after.values())
    assert all(abs(counts[name] / 5000 - share) < 0.02 for name, share in FRACTIONS.items())
    assert any(split_of(key, FRACTIONS, salt="other") != after[key] for key in keys)


def test_fractions_that_do_not_add_up_are_refused() -> None:
    for wrong in ({"train": 0.8, "test": 0.1}, {"train": 1.1, "test": -0.1}):
        with pytest.raises(ValueError, match="add up to 1"):
            split_of("key", wrong)


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
