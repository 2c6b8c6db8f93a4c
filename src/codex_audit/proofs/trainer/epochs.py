"""Where epochs end, from the indices that samplers gave."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from codex_audit.proofs.trainer.trace import Trace


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
