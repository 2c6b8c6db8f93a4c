"""What is dumped by torch is read without it, and nothing is disturbed on the way."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import msgspec
import numpy as np
import pytest
import torch

from codex_audit.proofs.trainer.bits import Snapshot, dump, next_draws, tensor_difference

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def taken(path: Path, tensors: Mapping[str, torch.Tensor]) -> Snapshot:
    return msgspec.convert(dump(path, tensors), Snapshot, strict=False)


@pytest.mark.parametrize(
    "dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.uint8]
)
def test_the_greatest_distance_is_found_in_every_type(tmp_path: Path, dtype: torch.dtype) -> None:
    one, other = torch.ones(2, 3, dtype=dtype), torch.ones(2, 3, dtype=dtype)
    other[0, 1], other[1, 2] = 2, 4
    first = taken(tmp_path / "one", {"same": one, "w": one})
    second = taken(tmp_path / "other", {"same": one, "w": other})
    difference = tensor_difference(first, second)
    assert difference is not None
    assert (difference.name, difference.max_abs, difference.count) == ("w", 3, 1)
    assert tensor_difference(first, first) is None


def test_minus_zero_and_shapes_are_differences(tmp_path: Path) -> None:
    zero = taken(tmp_path / "a", {"w": torch.tensor(0.0)})
    minus = taken(tmp_path / "b", {"w": torch.tensor(-0.0)})
    wide = taken(tmp_path / "c", {"w": torch.zeros(1)})
    assert tensor_difference(zero, minus) is not None
    difference = tensor_difference(zero, wide)
    assert difference is not None
    assert difference.note == "float32[] against float32[1]"


def test_views_empty_tensors_and_nan_are_dumped(tmp_path: Path) -> None:
    base = torch.arange(6.0).reshape(2, 3)
    shot = taken(
        tmp_path / "a", {"t": base.t(), "empty": torch.empty(0), "nan": torch.tensor([torch.nan])}
    )
    same = taken(tmp_path / "b", {"t": base.t().contiguous(), "empty": torch.empty(0)})
    assert shot.tensors["t"].sha256 == same.tensors["t"].sha256
    assert not shot.tensors["nan"].finite
    assert shot.tensors["empty"].finite


def test_what_is_no_tensor_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="is a list, not a tensor"):
        dump(tmp_path / "a", {"w": [1.0]})  # type: ignore[dict-item]


def test_draws_are_the_next_numbers_and_leave_no_trace() -> None:
    random.seed(3)
    np.random.seed(3)  # noqa: NPY002 - the global generator is what is compared
    torch.manual_seed(3)
    draws = next_draws()
    assert next_draws() == draws
    for stream, draw in (
        ("python", random.random),
        ("numpy", np.random.random),
        ("torch", lambda: torch.rand(())),
    ):
        draw()
        moved = next_draws()
        assert moved[stream] != draws[stream]
        draws = moved
