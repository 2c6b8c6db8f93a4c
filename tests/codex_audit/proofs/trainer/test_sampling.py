"""Samples are known by whatever key a sampler gives; a pass without a loss is forgotten."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.data import (
    BatchSampler,
    DistributedSampler,
    RandomSampler,
    SequentialSampler,
    TensorDataset,
)

from codex_audit.proofs.trainer.deliveries import Deliveries
from codex_audit.proofs.trainer.passes import Passes
from codex_audit.proofs.trainer.sampling import _draws, _rows_of


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


def test_a_sampler_says_whether_it_draws() -> None:
    data = TensorDataset(torch.arange(3))
    assert _draws(BatchSampler(RandomSampler(data), 2, False))
    assert _draws(DistributedSampler(data, 1, 0))
    assert not _draws(DistributedSampler(data, 1, 0, shuffle=False))
    assert not _draws(BatchSampler(SequentialSampler(data), 2, False))
    assert not _draws([[0, 1], [2]])


def step_of(deliveries: Deliveries, batch: torch.Tensor, digest: str) -> dict[str, Any]:
    deliveries.match([batch], [digest])
    deliveries.end_of_pass()
    (told,) = deliveries.end_of_step()
    return told


def test_a_batch_that_the_trainer_kept_is_known_again() -> None:
    deliveries, batch = Deliveries(), torch.ones(2, 3)
    deliveries.add([batch], ["one"], (4, 7))
    expected = {"indices": (4, 7), "delivered": ("one",)}
    assert step_of(deliveries, batch, "one") == expected
    assert step_of(deliveries, batch, "one") == expected
    assert step_of(deliveries, torch.zeros(2, 3), "another")["indices"] is None


def test_a_part_of_a_batch_is_not_the_batch() -> None:
    deliveries, batch = Deliveries(), torch.ones(4, 3)
    deliveries.add([batch], ["one"], (4, 7, 1, 2))
    told = step_of(deliveries, batch[:2], "half")
    assert told == {"indices": (4, 7, 1, 2), "delivered": ()}
