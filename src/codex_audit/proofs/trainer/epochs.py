"""Where epochs end, from the indices that samplers gave."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from codex_audit.proofs.trainer.trace import Trace


LEAST = 6  # samples: of so many, one order in 720 comes again by chance


def steps_of_epoch(trace: Trace) -> int | None:
    """Optimizer steps of the first epoch; None where the indices do not show its end.

    An epoch draws every sample at most once, so the first sample to come again begins the
    next one. That must fall on a step's beginning, and what came before must be most of a
    range 0..n-1: a sampler with replacement shows neither.
    """
    seen: set[int] = set()
    for place, step in enumerate(trace.steps):
        rows = step.indices
        if rows is None or len(set(rows)) != len(rows):
            return None
        again = seen.intersection(rows)
        if again:
            whole = len(seen) > max(seen) // 2
            return place if whole and place else None
        seen.update(rows)
    return None


def rows_of(trace: Trace) -> list[int] | None:
    """The samples of all steps in order; None where they are not known."""
    rows: list[int] = []
    for step in trace.steps:
        if step.indices is None:
            return None
        rows += step.indices
    return rows


def samples_of_epoch(rows: Sequence[int], part: float = 0.5) -> int | None:
    """How many samples come before one comes again, where they are more than `part` of a range.

    Of what is drawn with replacement one soon comes again, also among those that follow.
    """
    length = without_repeat(rows)
    rest = rows[length:]
    if min(length, len(rest)) < LEAST or length <= part * max(rows):
        return None
    return length if without_repeat(rest) >= min(length, len(rest)) // 2 else None


def without_repeat(rows: Sequence[int]) -> int:
    """How many samples come before the first that comes again."""
    seen: set[int] = set()
    for row in rows:
        if row in seen:
            break
        seen.add(row)
    return len(seen)
