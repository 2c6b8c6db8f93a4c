"""Tensors as bits: written by a child, compared here without torch."""

from __future__ import annotations

import ctypes
import hashlib
import math
import struct
from array import array
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

_CODES = {"float32": "f", "float64": "d", "int64": "q", "int32": "i", "int16": "h", "int8": "b"}
_CODES |= {"uint8": "B", "bool": "B"}
# Floating type -> the integer type of its bits, and how many bits there are.
_INTEGERS = {
    "float64": ("Q", 64),
    "float32": ("I", 32),
    "float16": ("H", 16),
    "bfloat16": ("H", 16),
}
_BUDGET = 64 << 20
NOT_KEPT = -1


class Bits(msgspec.Struct, frozen=True):
    """One tensor: its hash, whether all of it is finite, and where its bytes lie in the file.

    `shard` says that it is this rank's part of a larger one.
    `offset` is `NOT_KEPT` where the file would have grown beyond 64 MiB.
    """

    dtype: str
    shape: tuple[int, ...]
    offset: int
    size: int
    sha256: str
    finite: bool
    shard: bool = False

    def same_as(self, other: Bits | None) -> bool:
        """Whether both are the same, bit for bit."""
        return other is not None and (
            (self.dtype, self.shape, self.sha256) == (other.dtype, other.shape, other.sha256)
        )


class TensorDifference(msgspec.Struct, frozen=True):
    """The first of `count` tensors that differ, in words in `note`.

    `max_abs` is their greatest distance and `ulps` the same in units in the last place; None
    where that has no meaning or the bits were not kept.
    """

    name: str
    count: int
    note: str
    max_abs: float | None = None
    ulps: int | None = None


class BitsFile:
    """Tensors' bytes in one file, which is made anew; equal ones once."""

    def __init__(self, path: Path) -> None:
        self._stream = path.open("wb", buffering=0)
        self._places: dict[str, int] = {}

    def write(self, tensors: Mapping[str, Tensor]) -> dict[str, Bits]:
        """Append the tensors' bytes and describe them. Draws no random number."""
        return {name: self._one(tensor) for name, tensor in tensors.items()}

    def close(self) -> None:
        """Close the file; what was written stays."""
        self._stream.close()

    def _one(self, tensor: Tensor) -> Bits:
        import torch  # noqa: PLC0415 - only a child may

        flat, data = flat_bytes(tensor)
        sha256, offset = self._keep(data)
        return Bits(
            dtype=str(tensor.dtype).removeprefix("torch."),
            shape=tuple(flat.shape) if flat.numel() != tensor.numel() else tuple(tensor.shape),
            offset=offset,
            size=len(data),
            sha256=sha256,
            finite=bool(torch.isfinite(flat).all()),
            shard=flat.numel() != tensor.numel(),
        )

    def raw(self, data: bytes, dtype: str, shape: tuple[int, ...] | None = None) -> Bits:
        """Append bytes whose type is known without torch; bytes of no type are "uint8"."""
        sha256, offset = self._keep(data)
        numbers = _numbers(dtype, data) or ()
        return Bits(
            dtype=dtype,
            shape=(len(data),) if shape is None else shape,
            offset=offset,
            size=len(data),
            sha256=sha256,
            finite=all(map(math.isfinite, numbers)) if dtype in _INTEGERS else True,
        )

    def _keep(self, data: bytes) -> tuple[str, int]:
        sha256 = hashlib.sha256(data).hexdigest()
        offset = self._places.get(sha256, NOT_KEPT)
        end = self._stream.tell()
        if offset == NOT_KEPT and end + len(data) <= _BUDGET:
            self._stream.write(data)
            offset = self._places[sha256] = end
        return sha256, offset


def flat_bytes(tensor: Tensor) -> tuple[Tensor, bytes]:
    """A tensor of one dimension on the CPU with this process's values, and their bytes."""
    import torch  # noqa: PLC0415 - only a child may

    flat = getattr(tensor, "to_local", lambda: tensor)().detach()  # a DTensor's own shard
    if flat.layout is not torch.strided:
        flat = flat.to_dense()
    flat = flat.cpu().contiguous().reshape(-1)
    return flat, raw_bytes(flat) if flat.numel() else b""


def difference(
    one: Mapping[str, Bits], file: str, other: Mapping[str, Bits], other_file: str
) -> TensorDifference | None:
    """The first tensor, in the order of `one`, whose bits differ in `other`; None if none does.

    What a library names anew as it loads (`dense_1` for `dense`) is the same if its bits are.
    """
    other = _renamed(one, other)
    names = [*one, *(name for name in other if name not in one)]
    different = [
        name for name in names if name not in one or not one[name].same_as(other.get(name))
    ]
    if not different:
        return None
    name, count = different[0], len(different)
    first, second = one.get(name), other.get(name)
    if first is None or second is None:
        return TensorDifference(name, count, "it exists in one run only")
    if (first.dtype, first.shape) != (second.dtype, second.shape):
        note = f"{first.dtype}{list(first.shape)} against {second.dtype}{list(second.shape)}"
        return TensorDifference(name, count, note)
    data, others = _data(file, first), _data(other_file, second)
    if data is None or others is None:
        return TensorDifference(name, count, f"bits of {first.dtype}")
    values, counterparts = _numbers(first.dtype, data), _numbers(first.dtype, others)
    if values is None or counterparts is None:
        return TensorDifference(name, count, f"bits of {first.dtype}")
    distance = max(abs(a - b) for a, b in zip(values, counterparts, strict=True))
    note = f"max abs distance {distance:.3g}"
    ulps = None
    if first.dtype in _INTEGERS and math.isfinite(distance):
        pairs = zip(_ordered(first.dtype, data), _ordered(first.dtype, others), strict=True)
        ulps = max(abs(a - b) for a, b in pairs)
        note += f", {ulps} ULP"
    return TensorDifference(name, count, note, distance, ulps)


def _renamed(one: Mapping[str, Bits], other: Mapping[str, Bits]) -> Mapping[str, Bits]:
    """`other` with the names of `one` for tensors that only their names tell apart."""
    alone = [name for name in one if name not in other]
    if not alone:
        return other
    free = {name: bits for name, bits in other.items() if name not in one}
    found = dict(other)
    for name in alone:
        same = next((each for each, bits in free.items() if bits.same_as(one[name])), None)
        if same is not None:
            found[name] = found.pop(same)
            del free[same]
    return found


def numbers_of(bits: Bits, file: str) -> list[float] | None:
    """A tensor's values; None where its bits were not kept or its type is not known here."""
    data = _data(file, bits)
    return None if data is None else _numbers(bits.dtype, data)


def _data(file: str, bits: Bits) -> bytes | None:
    if bits.offset == NOT_KEPT:
        return None
    with Path(file).open("rb") as stream:
        stream.seek(bits.offset)
        data = stream.read(bits.size)
    return data if len(data) == bits.size else None  # a kill may have cut it off


def _numbers(dtype: str, data: bytes) -> list[float] | None:
    if dtype in _CODES:
        return list(array(_CODES[dtype], data))
    if dtype == "float16":
        return list(struct.unpack(f"{len(data) // 2}e", data))
    if dtype == "bfloat16":  # the upper half of a float32
        return list(array("f", array("I", (half << 16 for half in array("H", data))).tobytes()))
    return None


def _ordered(dtype: str, data: bytes) -> list[int]:
    """The bits of floating numbers as integers in the numbers' own order, both zeros as 0."""
    code, width = _INTEGERS[dtype]
    sign = 1 << (width - 1)
    return [-(bits - sign) if bits & sign else bits for bits in array(code, data)]


def raw_bytes(flat: Tensor) -> bytes:
    """The memory of a dense tensor of the CPU; torch works without NumPy, its `numpy()` not."""
    return ctypes.string_at(flat.data_ptr(), flat.numel() * flat.element_size())
