"""Learning rates as factors of the step alone: nothing to save, nothing to lose.

Each function returns step -> factor, for `Trainer(schedule=...)` or for
`torch.optim.lr_scheduler.LambdaLR`. Steps count from 0.
"""

from __future__ import annotations

import math
from collections.abc import Callable


def warmup_cosine(warmup: int, total: int, floor: float = 0.0) -> Callable[[int], float]:
    """Linear warm-up, then half a cosine down to `floor`.

    Loshchilov & Hutter, "SGDR", ICLR 2017, without restarts.

    Args:
        warmup: steps of the warm-up; the first step has 1/`warmup` of the rate.
        total: steps until `floor` is reached; it stays there.
        floor: the least factor.
    """
    return _warmed_up(
        warmup, total, lambda done: floor + (1 - floor) * (1 + math.cos(math.pi * done)) / 2
    )


def warmup_linear(warmup: int, total: int, floor: float = 0.0) -> Callable[[int], float]:
    """Linear warm-up, then linearly down to `floor`; arguments as for `warmup_cosine`.

    Bergsma et al., "Straight to Zero", ICLR 2025, find that it beats the cosine.
    """
    return _warmed_up(warmup, total, lambda done: 1 - (1 - floor) * done)


def _warmed_up(warmup: int, total: int, decay: Callable[[float], float]) -> Callable[[int], float]:
    """`decay` is a function of the share of the steps after the warm-up that is done, 0 to 1."""

    def factor(step: int) -> float:
        if step < warmup:
            return (step + 1) / warmup
        return decay(min(1.0, (step - warmup) / max(1, total - warmup)))

    return factor
