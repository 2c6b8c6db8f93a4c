"""Rows of ids as one block: padded to a common length, or packed without padding."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from codex_ml.checks import at_least_one


@dataclass(frozen=True, slots=True)
class Batch:
    """Texts as ids, padded to one length.

    Attributes:
        ids: one row a text, all of the same length.
        mask: 1 for a token, 0 for padding, of the same shape.
    """

    ids: list[list[int]]
    mask: list[list[int]]


def pad(
    rows: Sequence[list[int]],
    pad_id: int,
    *,
    length: int | None = None,
    side: Literal["left", "right"] = "right",
) -> Batch:
    """Rows filled with `pad_id` at `side`, up to `length` or the longest row's.

    Raises:
        ValueError: a row is longer than `length`.
    """
    longest = max(map(len, rows), default=0)
    length = longest if length is None else length
    if longest > length:
        raise ValueError(f"pad_to={length}: a text has {longest} ids; set max_length too")
    gaps = [length - len(row) for row in rows]
    if side == "left":
        return Batch(
            ids=[[pad_id] * gap + row for row, gap in zip(rows, gaps, strict=True)],
            mask=[[0] * gap + [1] * (length - gap) for gap in gaps],
        )
    return Batch(
        ids=[row + [pad_id] * gap for row, gap in zip(rows, gaps, strict=True)],
        mask=[[1] * (length - gap) + [0] * gap for gap in gaps],
    )


def pack(rows: Iterable[Sequence[int]], length: int) -> Iterator[list[int]]:
    """Rows laid end to end and cut into blocks of `length`; what is left over is dropped.

    For training a language model without padding, on rows that end in an end token.

    Raises:
        ValueError: `length` is less than 1.
    """
    at_least_one(length=length)
    block: list[int] = []
    for row in rows:
        block += row
        full = len(block) - len(block) % length
        for start in range(0, full, length):
            yield block[start : start + length]
        del block[:full]
