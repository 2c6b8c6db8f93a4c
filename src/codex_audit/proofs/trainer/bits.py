"""Tensors and random draws as bits: dumped in a child, compared without torch."""

from __future__ import annotations

import hashlib
import importlib.util
import random
import struct
from array import array
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

_DRAWS = 4
_CODES = {"float32": "f", "float64": "d", "int64": "q", "int32": "i", "int16": "h", "int8": "b"}
_CODES |= {"uint8": "B", "bool": "B"}


class Bits(msgspec.Struct, frozen=True):
    """One tensor's bytes: where they lie in the dump, their hash, and whether all are finite."""

    dtype: str
    shape: tuple[int, ...]
    offset: int
    size: int
    sha256: str
    finite: bool


class Snapshot(msgspec.Struct, frozen=True):
    """A subject at one moment. `draws`: generator -> its next numbers, in hexadecimal."""

    file: str
    tensors: dict[str, Bits]
    draws: dict[str, str]
    order: dict[int, list[int]] | None


class TensorDifference(msgspec.Struct, frozen=True):
    """The first of `count` tensors that differ; `max_abs` is None where that has no meaning."""

    name: str
    max_abs: float | None
    count: int
    note: str


def dump(path: Path, tensors: Mapping[str, Tensor], order: Any = None) -> dict[str, Any]:
    """Write the tensors' bytes to `path`; a `Snapshot` as JSON values. Leaves no trace.

    Raises:
        TypeError: `tensors` holds something else than tensors.
    """
    import torch  # noqa: PLC0415 - only a child may

    index = {}
    with path.open("wb") as stream:
        for name, tensor in tensors.items():
            if not isinstance(tensor, torch.Tensor):
                raise TypeError(f"state()[{name!r}] is a {type(tensor).__name__}, not a tensor")
            flat = tensor.detach().cpu().contiguous().reshape(-1)
            data = flat.view(torch.uint8).numpy().tobytes() if flat.numel() else b""
            index[name] = {
                "dtype": str(tensor.dtype).removeprefix("torch."),
                "shape": list(tensor.shape),
                "offset": stream.tell(),
                "size": len(data),
                "sha256": hashlib.sha256(data).hexdigest(),
                "finite": bool(torch.isfinite(flat).all()),
            }
            stream.write(data)
    rows = None if order is None else {str(k): [int(i) for i in v] for k, v in order.items()}
    return {"file": str(path), "tensors": index, "draws": next_draws(), "order": rows}


def next_draws() -> dict[str, str]:
    """The next numbers of every global generator, which is then put back where it was."""
    import torch  # noqa: PLC0415 - only a child may

    python = random.getstate()
    drawn = [random.random() for _ in range(_DRAWS)]  # noqa: S311 - compared, not secret
    draws = {"python": struct.pack(f"{_DRAWS}d", *drawn).hex()}
    random.setstate(python)
    if importlib.util.find_spec("numpy"):
        import numpy as np  # noqa: PLC0415 - a subject may do without

        numpy_state = np.random.get_state()  # noqa: NPY002 - the global generator is on trial
        draws["numpy"] = np.random.random(_DRAWS).tobytes().hex()  # noqa: NPY002 - as above
        np.random.set_state(numpy_state)  # noqa: NPY002 - as above
    cpu = torch.get_rng_state()
    draws["torch"] = torch.rand(_DRAWS, dtype=torch.float64).numpy().tobytes().hex()
    torch.set_rng_state(cpu)
    for device in range(torch.cuda.device_count() if torch.cuda.is_available() else 0):
        cuda = torch.cuda.get_rng_state(device)
        numbers = torch.rand(_DRAWS, dtype=torch.float64, device=f"cuda:{device}")
        draws[f"cuda:{device}"] = numbers.cpu().numpy().tobytes().hex()
        torch.cuda.set_rng_state(cuda, device)
    return draws


def tensor_difference(one: Snapshot, other: Snapshot) -> TensorDifference | None:
    """The first tensor, in the order of `one`, whose bits differ in `other`; None if none does."""
    names = [*one.tensors, *(name for name in other.tensors if name not in one.tensors)]
    different = [name for name in names if not _same(one, other, name)]
    if not different:
        return None
    name = different[0]
    first, second = one.tensors.get(name), other.tensors.get(name)
    if first is None or second is None:
        return TensorDifference(name, None, len(different), "it exists in one run only")
    if (first.dtype, first.shape) != (second.dtype, second.shape):
        note = f"{first.dtype}{list(first.shape)} against {second.dtype}{list(second.shape)}"
        return TensorDifference(name, None, len(different), note)
    values, others = _numbers(one.file, first), _numbers(other.file, second)
    if values is None or others is None:
        return TensorDifference(name, None, len(different), f"bits of {first.dtype}")
    distance = max(abs(a - b) for a, b in zip(values, others, strict=True))
    return TensorDifference(name, distance, len(different), f"max abs distance {distance:.3g}")


def _same(one: Snapshot, other: Snapshot, name: str) -> bool:
    first, second = one.tensors.get(name), other.tensors.get(name)
    if first is None or second is None:
        return False
    same_form = (first.dtype, first.shape) == (second.dtype, second.shape)
    return same_form and first.sha256 == second.sha256


def _numbers(file: str, bits: Bits) -> list[float] | None:
    with Path(file).open("rb") as stream:
        stream.seek(bits.offset)
        data = stream.read(bits.size)
    if bits.dtype in _CODES:
        return list(array(_CODES[bits.dtype], data))
    if bits.dtype == "float16":
        return list(struct.unpack(f"{bits.size // 2}e", data))
    if bits.dtype == "bfloat16":  # the upper half of a float32
        return list(array("f", array("I", (half << 16 for half in array("H", data))).tobytes()))
    return None
