"""Sets of tensors as one long vector each: how long, how alike in direction, in what ratio."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import msgspec

from codex_audit.proofs.trainer.bits import numbers_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from codex_audit.proofs.trainer.bits import Bits


_REDUCED = frozenset({"bfloat16", "float16"})


class Likeness(msgspec.Struct, frozen=True):
    """One vector beside another.

    Attributes:
        ratio: the multiple of the other that comes nearest to the one.
        apart: how far that is from the one, as a part of the one's length.
        norm: the one's length; `other` the other's.
    """

    ratio: float
    apart: float
    norm: float
    other: float

    def equal(self, tolerance: float) -> bool:
        """Whether both are the same, as a part of their length."""
        return abs(self.ratio - 1) <= tolerance and self.apart <= tolerance


def reduced(tensors: Mapping[str, Bits]) -> bool:
    """Whether some are of reduced precision themselves, as those of a model in bfloat16."""
    return any(bits.dtype in _REDUCED for bits in tensors.values())


class Vector:
    """Tensors of one trace, by name."""

    def __init__(self, tensors: Mapping[str, Bits], file: str) -> None:
        self._tensors = tensors
        self._file = file

    @property
    def names(self) -> frozenset[str]:
        """Of the tensors."""
        return frozenset(self._tensors)

    def part(self, name: str) -> list[float] | None:
        """The numbers of one tensor; zeros are the caller's affair where there is none."""
        bits = self._tensors.get(name)
        return None if bits is None else numbers_of(bits, self._file)


class Moved(Vector):
    """How far tensors have come since an earlier moment of the same trace."""

    def __init__(self, after: Mapping[str, Bits], before: Mapping[str, Bits], file: str) -> None:
        super().__init__(after, file)
        self._before = Vector(before, file)

    def part(self, name: str) -> list[float] | None:
        """The numbers of one tensor less those that it had."""
        after, before = super().part(name), self._before.part(name)
        if after is None or before is None or len(after) != len(before):
            return None
        return [x - y for x, y in zip(after, before, strict=True)]


def likeness(one: Vector, other: Vector, scale: float = 1.0) -> Likeness | None:
    """How `one` lies to `other` times `scale`; None where bits were not kept.

    A tensor that only one of them has is zero in the other, as a gradient that is None.
    """
    aa = ab = bb = 0.0
    for name in sorted(one.names | other.names):
        a, b = one.part(name), other.part(name)
        if (a is None and name in one.names) or (b is None and name in other.names):
            return None
        a = a if a is not None else [0.0] * len(b or ())
        b = b if b is not None else [0.0] * len(a)
        if len(a) != len(b):
            return None
        aa += sum(x * x for x in a)
        bb += sum(y * y for y in b) * scale * scale
        ab += sum(x * y for x, y in zip(a, b, strict=True)) * scale
    if not all(map(math.isfinite, (aa, ab, bb))):
        return None
    ratio = ab / bb if bb else (1.0 if not aa else math.inf)
    apart = math.sqrt(max(0.0, aa - ab * ab / bb) / aa) if aa and bb else 0.0
    # The difference of two large squares holds no more than this; below it, count it exactly.
    if apart < _FINE and math.isfinite(ratio) and aa:
        apart = math.sqrt(_rest(one, other, ratio * scale) / aa)
    return Likeness(ratio, apart, math.sqrt(aa), math.sqrt(bb))


_FINE = 1e-4
_FIRST = 2


def _rest(one: Vector, other: Vector, ratio: float) -> float:
    rest = 0.0
    for name in sorted(one.names | other.names):
        a, b = one.part(name), other.part(name)
        a = a if a is not None else [0.0] * len(b or ())
        b = b if b is not None else [0.0] * len(a)
        rest += sum((x - ratio * y) ** 2 for x, y in zip(a, b, strict=True))
    return rest


def whole(ratio: float, most: int, tolerance: float = 0.02) -> int | None:
    """The whole number from 2 to `most` that the ratio is, if it is one."""
    if not math.isfinite(ratio):
        return None
    nearest = round(ratio)
    near = _FIRST <= nearest <= most and abs(ratio - nearest) <= tolerance * nearest
    return nearest if near else None
