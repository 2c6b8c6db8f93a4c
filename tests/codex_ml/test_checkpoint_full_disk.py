"""A disk that is full while a checkpoint is written."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest
import torch

from codex_ml.checkpoint import CheckpointStore


@pytest.mark.parametrize("background", [False, True])
@pytest.mark.parametrize("part", ["weights.safetensors", "state.pt"])
def test_it_is_the_documented_error_and_the_one_before_stays(
    tmp_path: Path, part: str, background: bool
) -> None:
    store = CheckpointStore(tmp_path, background=background)
    small, large = {"w": torch.zeros(9)}, {"w": torch.zeros(10**5)}

    def save(step: int, weights: dict[str, torch.Tensor], state: dict[str, torch.Tensor]) -> None:
        store.save(step, weights, state)
        store.wait()

    save(1, small, small)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10**5, before[1]))
    try:
        with pytest.raises(OSError, match="cannot be written") as caught:
            save(2, *((large, small) if part.startswith("weights") else (small, large)))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert Path(str(caught.value.filename)).name == part
    assert store.load().step == 1
    save(3, small, small)
    assert store.load().step == 3
    assert not list(tmp_path.glob(".writing-*"))
