"""Generators are seeded, carried through a file, and put back."""

from __future__ import annotations

import os
import random
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Dataset

from codex_ml import seeding

if TYPE_CHECKING:
    from pathlib import Path


def draws() -> tuple[Any, ...]:
    numpy = np.random
    return random.gauss(0, 1), float(numpy.standard_normal()), torch.randn(3).tolist()


def test_the_same_seed_gives_the_same_draws_and_another_seed_others() -> None:
    seeding.seed_everything(7)
    first = draws()
    seeding.seed_everything(7)
    assert draws() == first
    seeding.seed_everything(8)
    assert all(a != b for a, b in zip(draws(), first, strict=True))


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_a_seed_that_numpy_cannot_take_is_refused(seed: int) -> None:
    with pytest.raises(ValueError, match="NumPy"):
        seeding.seed_everything(seed)


def test_the_state_survives_a_weights_only_file_in_the_middle_of_a_gaussian_pair(
    tmp_path: Path,
) -> None:
    seeding.seed_everything(7)
    draws()  # each library now holds the second half of a pair
    torch.save(seeding.capture(), tmp_path / "rng.pt")
    expected = [draws() for _ in range(3)]
    seeding.seed_everything(1)
    seeding.restore(torch.load(tmp_path / "rng.pt", weights_only=True))
    assert [draws() for _ in range(3)] == expected


def test_untouched_leaves_no_trace_even_after_an_error() -> None:
    seeding.seed_everything(7)
    expected = draws()
    seeding.seed_everything(7)

    @seeding.untouched()
    def fails() -> None:
        draws()
        raise RuntimeError("inside")

    with pytest.raises(RuntimeError, match="inside"):
        fails()
    assert draws() == expected


def test_a_state_of_another_number_of_devices_is_refused() -> None:
    state = seeding.capture()
    state["cuda"] = [*state["cuda"], torch.zeros(16, dtype=torch.uint8)]
    with pytest.raises(seeding.RngStateError, match="resume on as many devices"):
        seeding.restore(state)


def test_a_value_that_is_no_state_is_refused_before_anything_is_changed() -> None:
    seeding.seed_everything(7)
    expected = draws()
    seeding.seed_everything(7)
    with pytest.raises(seeding.RngStateError, match="lacks cuda, numpy"):
        seeding.restore({"python": random.getstate(), "torch": torch.get_rng_state()})
    state = seeding.capture()
    state["numpy"] = state["numpy"][:2]
    with pytest.raises(ValueError, match="not enough values"):
        seeding.restore(state)
    assert draws() == expected


def test_streams_are_repeatable_apart_and_touch_no_other_generator() -> None:
    before = torch.get_rng_state()
    seen = [
        torch.randint(2**40, (1,), generator=seeding.generator(*numbers)).item()
        for numbers in [(1, 2), (1, 2), (2, 1), (1,), (1, 2, 0)]
    ]
    assert seen[0] == seen[1]
    assert len(set(seen)) == 4
    assert torch.equal(torch.get_rng_state(), before)


class Draws(Dataset[list[float]]):
    """Each sample is what a worker's three generators gave."""

    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int) -> list[float]:
        numpy = np.random
        return [random.random(), float(numpy.random()), float(torch.rand(()))]


def drawn_by_workers(seed: int, **options: Any) -> list[float]:
    loader: DataLoader[Any] = DataLoader(
        Draws(), batch_size=None, num_workers=2, generator=seeding.generator(seed), **options
    )
    return [float(number) for sample in loader for number in sample]


def test_workers_draw_repeatably_and_apart_also_between_ranks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ours = {"worker_init_fn": seeding.worker_init_fn}
    first = drawn_by_workers(7, **ours)
    assert drawn_by_workers(7, **ours) == first
    assert not set(drawn_by_workers(8, **ours)) & set(first)
    bare = drawn_by_workers(7)
    monkeypatch.setenv("RANK", "1")
    assert drawn_by_workers(7) == bare, "torch alone: every rank augments alike"
    other = drawn_by_workers(7, **ours)
    assert len({*first, *other}) == len(first) + len(other) == 24


def test_determinism_is_switched_on_and_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", "")
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", True)
    try:
        seeding.deterministic()
        assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"
        assert torch.are_deterministic_algorithms_enabled()
        assert torch.backends.cudnn.deterministic
        assert not torch.backends.cudnn.benchmark
    finally:
        seeding.deterministic(enabled=False)
    assert not torch.are_deterministic_algorithms_enabled()
    assert not torch.backends.cudnn.deterministic


def test_too_late_for_cublas_is_a_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":0:0")
    with pytest.raises(seeding.DeterminismError, match="start the process with CUBLAS_WORKSPACE"):
        seeding.deterministic()
    assert not torch.are_deterministic_algorithms_enabled()
