"""What is written by torch is read without it, and nothing is disturbed on the way."""

from __future__ import annotations

import random
from contextlib import closing
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from codex_audit.proofs.trainer.bits import Bits, BitsFile, TensorDifference, difference
from codex_audit.proofs.trainer.digests import rng_digests

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

Taken = tuple[dict[str, Bits], str]


def taken(path: Path, tensors: Mapping[str, torch.Tensor]) -> Taken:
    with closing(BitsFile(path)) as file:
        return file.write(tensors), str(path)


def compared(one: Taken, other: Taken) -> TensorDifference | None:
    return difference(*one, *other)


@pytest.mark.parametrize(
    "dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.uint8]
)
def test_the_greatest_distance_is_found_in_every_type(tmp_path: Path, dtype: torch.dtype) -> None:
    one, other = torch.ones(2, 3, dtype=dtype), torch.ones(2, 3, dtype=dtype)
    other[0, 1], other[1, 2] = 2, 4
    first = taken(tmp_path / "one", {"same": one, "w": one})
    second = taken(tmp_path / "other", {"same": one, "w": other})
    found = compared(first, second)
    assert found is not None
    assert (found.name, found.max_abs, found.count) == ("w", 3, 1)
    assert compared(first, first) is None


def test_distances_are_counted_in_units_in_the_last_place(tmp_path: Path) -> None:
    one = torch.tensor([1.0, -1.0, 0.0])
    other = torch.tensor([1.0, -1.0, 0.0])
    for _ in range(3):
        other[1] = torch.nextafter(other[1], torch.tensor(1.0))
    first, second = taken(tmp_path / "a", {"w": one}), taken(tmp_path / "b", {"w": other})
    found = compared(first, second)
    assert found is not None
    assert found.ulps == 3


def test_minus_zero_and_shapes_are_differences(tmp_path: Path) -> None:
    zero = taken(tmp_path / "a", {"w": torch.tensor(0.0)})
    minus = taken(tmp_path / "b", {"w": torch.tensor(-0.0)})
    wide = taken(tmp_path / "c", {"w": torch.zeros(1)})
    found = compared(zero, minus)
    assert found is not None
    assert (found.max_abs, found.ulps) == (0.0, 0)
    found = compared(zero, wide)
    assert found is not None
    assert found.note == "float32[] against float32[1]"


def test_views_empty_tensors_and_nan_are_written(tmp_path: Path) -> None:
    base = torch.arange(6.0).reshape(2, 3)
    shot, _ = taken(
        tmp_path / "a", {"t": base.t(), "empty": torch.empty(0), "nan": torch.tensor([torch.nan])}
    )
    same, _ = taken(tmp_path / "b", {"t": base.t().contiguous(), "empty": torch.empty(0)})
    assert shot["t"].sha256 == same["t"].sha256
    assert not shot["nan"].finite
    assert shot["empty"].finite


def test_equal_tensors_are_kept_once(tmp_path: Path) -> None:
    one = torch.arange(6.0)
    shot, _ = taken(tmp_path / "a", {"one": one, "same": one.clone()})
    assert shot["one"].offset == shot["same"].offset
    assert (tmp_path / "a").stat().st_size == 24


def test_digests_tell_generators_apart_and_leave_no_trace() -> None:
    random.seed(3)
    np.random.seed(3)  # noqa: NPY002 - the global generator is what is compared
    torch.manual_seed(3)
    digests = rng_digests()
    assert rng_digests() == digests
    for stream, draw in (
        ("python", random.random),
        ("numpy", np.random.random),
        ("torch", lambda: torch.rand(())),
    ):
        draw()
        moved = rng_digests()
        assert [name for name in moved if moved[name] != digests[name]] == [stream]
        digests = moved


def test_bits_and_generators_are_read_without_numpy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = rng_digests()["torch"], taken(tmp_path / "one", {"w": torch.ones(3)})[0]["w"].sha256

    def unavailable(_: torch.Tensor) -> None:
        raise RuntimeError("Numpy is not available")

    monkeypatch.setattr(torch.Tensor, "numpy", unavailable)
    found = taken(tmp_path / "other", {"w": torch.ones(3)})[0]["w"].sha256
    assert (rng_digests()["torch"], found) == whole


def test_a_name_that_changes_is_no_difference_if_the_bits_do_not(tmp_path: Path) -> None:
    weights, bias = torch.arange(4.0), torch.zeros(2)
    one = taken(tmp_path / "one", {"dense/w": weights, "dense/b": bias})
    same = taken(tmp_path / "same", {"dense_1/b": bias, "dense_1/w": weights})
    lost = taken(tmp_path / "lost", {"dense_1/b": bias, "dense_1/w": weights + 1})
    assert compared(one, same) is None
    found = compared(one, lost)
    assert found is not None
    assert (found.name, found.count) == ("dense/w", 2)
