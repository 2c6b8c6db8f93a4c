"""Arguments and names that are refused say what they should be."""

from __future__ import annotations

import pytest

from codex_ml.checks import Mode, at_least_one, near, one_of, unknown


def test_what_is_at_least_one_or_none_passes() -> None:
    at_least_one(every=1, patience=None)
    with pytest.raises(ValueError, match=r"^patience=0: must be at least 1$"):
        at_least_one(every=2, patience=0)


def test_only_what_a_literal_lists_passes() -> None:
    one_of(Mode, mode="max")
    with pytest.raises(ValueError, match=r"^mode='least': must be one of min, max$"):
        one_of(Mode, mode="least")


def test_a_near_name_is_proposed_and_otherwise_all_are_named() -> None:
    known = ["adam", "adamw", "sgd"]
    assert near("adam", known) == "'adamw'", "not itself"
    assert unknown("sgb", known) == "did you mean 'sgd'?"
    assert unknown("x", known) == "known are adam, adamw, sgd"
    assert unknown("x", []) == "known are none"
