"""Learning rates as factors of the step alone: nothing to save, nothing to lose.

Each function returns step -> factor, for `Trainer(schedule=...)` or for
`torch.optim.lr_scheduler.LambdaLR`. Steps count from 0.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


def warmup_cosine(warmup: int, total: int, floor: float = 0.0) -> Callable[[int], float]:
    """Linear warm-up, then half a cosine down to `floor`.

    Loshchilov & Hutter, "SGDR", ICLR 2017, without restarts.

    Args:
        warmup: steps of the warm-up; the first step has 1/`warmup` of the rate.
        total: steps until `floor` is reached; it stays there.
        floor: the least factor.
    """

    def factor(step: int) -> float:
        if step < warmup:
            return (step + 1) / warmup
        return floor + (1 - floor) * (1 + math.cos(math.pi * _done(step, warmup, total))) / 2

    return factor


def warmup_linear(warmup: int, total: int, floor: float = 0.0) -> Callable[[int], float]:
    """Linear warm-up, then linearly down to `floor`; arguments as for `warmup_cosine`.

    Bergsma et al., "Straight to Zero", ICLR 2025, find that it beats the cosine.
    """

    def factor(step: int) -> float:
        if step < warmup:
            return (step + 1) / warmup
        return 1 - (1 - floor) * _done(step, warmup, total)

    return factor


def warmup_stable_decay(
    warmup: int, total: int, decay: int, floor: float = 0.0
) -> Callable[[int], float]:
    """Linear warm-up, the full rate, and linearly down to `floor` over the last `decay` steps.

    Hu et al., "MiniCPM", COLM 2024: a run can be prolonged from its stable part.
    """
    if not 0 <= decay <= total:
        raise ValueError(f"a decay of {decay} steps does not fit into {total}")

    def factor(step: int) -> float:
        if step < warmup:
            return (step + 1) / warmup
        return 1 - (1 - floor) * _done(step, total - decay, total)

    return factor


def _done(step: int, start: int, end: int) -> float:
    """The share of `start` .. `end` that lies behind `step`, 0 to 1."""
    return min(1.0, max(0.0, (step - start) / max(1, end - start)))
