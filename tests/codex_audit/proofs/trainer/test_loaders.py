"""Loaders obey the settings of a proof, whoever makes them; those that cannot are told."""

from __future__ import annotations

import pytest
import torch
from torch.utils.data import BatchSampler, DataLoader, SequentialSampler, TensorDataset

from codex_audit.proofs.trainer.loaders import remade, require_obedience
from codex_audit.proofs.trainer.session import UnableError

ROWS = TensorDataset(torch.arange(10))


def test_batch_size_and_workers_are_as_asked() -> None:
    with remade({"batch_size": 3, "workers": 0}):
        loader = DataLoader(ROWS, 5, num_workers=2, prefetch_factor=4, persistent_workers=True)
    assert (loader.batch_size, loader.num_workers, loader.persistent_workers) == (3, 0, False)
    require_obedience(loader, {"batch_size": 3, "workers": 0})
    assert DataLoader(ROWS, 5).batch_size == 5


def test_nothing_is_changed_that_is_not_asked_for() -> None:
    with remade({"accumulate": 2}):
        assert DataLoader(ROWS, 5).batch_size == 5


def test_a_loader_that_makes_its_own_batches_cannot_be_asked() -> None:
    with remade({"batch_size": 3}):
        loader = DataLoader(ROWS, batch_sampler=BatchSampler(SequentialSampler(ROWS), 2, False))
    with pytest.raises(UnableError, match=r"`batch_size` cannot be tried: the loader \(DataLoader"):
        require_obedience(loader, {"batch_size": 3})


def test_a_loader_that_knows_no_workers_has_none() -> None:
    require_obedience([], {"workers": 0})
    with pytest.raises(UnableError, match="`workers` cannot be tried"):
        require_obedience([], {"workers": 2})
