"""Splits that hold still when rows are added."""

from __future__ import annotations

import math
from collections import Counter

import pytest

from codex_ml.data import grouped_split, split_of, stratified_split

FRACTIONS = {"train": 0.8, "valid": 0.1, "test": 0.1}


def test_adding_rows_moves_none_and_shares_are_kept() -> None:
    keys = [f"row {number}" for number in range(5000)]
    before = {key: split_of(key, FRACTIONS) for key in keys[:2500]}
    after = {key: split_of(key, FRACTIONS) for key in reversed(keys)}
    assert all(after[key] == split for key, split in before.items())
    counts = Counter(after.values())
    assert all(abs(counts[name] / 5000 - share) < 0.02 for name, share in FRACTIONS.items())
    assert any(split_of(key, FRACTIONS, salt="other") != after[key] for key in keys)


def test_fractions_that_do_not_add_up_are_refused() -> None:
    for wrong in ({"train": 0.8, "test": 0.1}, {"train": 1.1, "test": -0.1}, {"all": math.nan}):
        with pytest.raises(ValueError, match="add up to 1"):
            split_of("key", wrong)


def test_a_group_is_never_divided() -> None:
    groups = {f"row {number}": f"author {number % 200}" for number in range(2000)}
    splits = grouped_split(groups, FRACTIONS)
    of_group = {(group, splits[key]) for key, group in groups.items()}
    assert len(of_group) == 200
    assert {split for _, split in of_group} == set(FRACTIONS)
    assert splits["row 7"] == split_of("author 7", FRACTIONS)


def test_every_stratum_is_divided_by_the_same_shares() -> None:
    strata = {f"row {number}": "rare" if number % 20 == 0 else "often" for number in range(2000)}
    splits = stratified_split(strata, FRACTIONS)
    assert list(splits) == list(strata)
    counts = Counter((strata[key], split) for key, split in splits.items())
    assert [counts["rare", name] for name in FRACTIONS] == [80, 10, 10]
    assert [counts["often", name] for name in FRACTIONS] == [1520, 190, 190]
    backwards = dict(reversed(strata.items()))
    assert stratified_split(backwards, FRACTIONS) == splits
    assert stratified_split(strata, FRACTIONS, salt="other") != splits


def test_what_was_assigned_stays_when_rows_are_added() -> None:
    strata = {f"row {number}": f"label {number % 3}" for number in range(300)}
    before = stratified_split(dict(list(strata.items())[:150]), FRACTIONS)
    gone = {**before, "row that is gone": "train"}
    after = stratified_split(strata, FRACTIONS, previous=gone)
    assert all(after[key] == split for key, split in before.items())
    assert Counter(after.values()) == {"train": 240, "valid": 30, "test": 30}
    anew = stratified_split(strata, FRACTIONS)
    assert any(anew[key] != split for key, split in before.items())


def test_an_earlier_split_of_other_names_is_refused() -> None:
    with pytest.raises(ValueError, match="'dev'"):
        stratified_split({"a": "x"}, FRACTIONS, previous={"a": "dev"})
    with pytest.raises(ValueError, match="add up to 1"):
        stratified_split({"a": "x"}, {"train": 0.5})
