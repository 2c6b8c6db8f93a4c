"""Samples are known by whatever key a sampler gives; a pass without a loss is forgotten."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from codex_audit.proofs.trainer.passes import Passes
from codex_audit.proofs.trainer.sampling import _rows_of


@pytest.mark.parametrize(
    ("index", "rows"),
    [
        (3, (3,)),
        ([3, 1], (3, 1)),
        ([(3, 0), (1, 0)], (3, 1)),
        ([(0, 3), (0, 1)], (3, 1)),
        ([("a", 3), ("b", 1)], (3, 1)),
        ((3, 1), (3,)),
        (["a", "b"], None),
        ([None, None], None),
        ([True, False], None),
        ([(1, 2), 3], None),
        ([], None),
        (None, None),
    ],
)
def test_the_places_of_a_batch(index: Any, rows: tuple[int, ...] | None) -> None:
    assert _rows_of(index) == rows


def opened(passes: Passes, output: Any) -> None:
    passes.begin([], []).end(output)


def test_a_pass_lives_as_long_as_a_loss_can_be_made_of_it() -> None:
    passes, model = Passes(), nn.Linear(2, 2)
    output = model(torch.ones(1, 2))
    opened(passes, {"logits": output})
    loss = output.sum()
    del output
    assert not passes.drop_dead()  # the loss holds its graph
    del loss
    assert len(passes.drop_dead()) == 1
    assert not passes


def test_a_frozen_part_lives_as_long_as_what_it_gave() -> None:
    passes, frozen = Passes(), nn.Linear(2, 2).requires_grad_(False)
    output = frozen(torch.ones(1, 2))
    opened(passes, output)
    assert not passes.drop_dead()
    del output
    assert len(passes.drop_dead()) == 1


def test_a_pass_of_which_nothing_is_seen_is_kept() -> None:
    passes = Passes()
    opened(passes, "text")
    assert not passes.drop_dead()
    assert len(passes.take()) == 1
    assert not passes
