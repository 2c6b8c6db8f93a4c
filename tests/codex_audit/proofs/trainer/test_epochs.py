"""Epochs are seen in samples' numbers; what is drawn with replacement shows none."""

from __future__ import annotations

import random

import pytest

from codex_audit.proofs.trainer.epochs import samples_of_epoch


def test_an_epoch_ends_where_a_sample_comes_again() -> None:
    first, second = [3, 1, 4, 0, 5, 2, 6], [2, 6, 5, 4, 3, 1, 0]
    assert samples_of_epoch(first + second) == 7
    assert samples_of_epoch(first + second[:6]) == 7


@pytest.mark.parametrize(
    "rows",
    [
        [],
        [0, 1, 2, 3, 4, 5, 6],
        [0, 1, 2, 3, 4, 5, 6, 2],
        [0, 1, 2, 0, 1, 2, 0, 1, 2],
        [*range(0, 60, 6), *range(0, 60, 6)],
    ],
    ids=["none", "no second epoch", "too little of it", "too small", "a tenth of a range"],
)
def test_what_shows_no_epoch(rows: list[int]) -> None:
    assert samples_of_epoch(rows) is None


def test_a_rank_s_share_is_less_than_half_of_a_range() -> None:
    share = [0, 2, 4, 6, 8, 10, 15]
    assert samples_of_epoch([*share, *reversed(share)], part=1 / 3) == 7
    assert samples_of_epoch([*share, *reversed(share)]) is None


def test_samples_with_replacement_have_no_epoch() -> None:
    drawn = random.Random(1)
    assert samples_of_epoch([drawn.randrange(100) for _ in range(200)]) is None
