"""A multiple of the model's own loss is one at every step, or none."""

from __future__ import annotations

from math import inf, nan

import pytest

from codex_audit.proofs.trainer.battery.first_update import _loss_wrong
from codex_audit.proofs.trainer.trace import Micro, State, Step
from codex_audit.proofs.trainer.vectors import whole


def steps(*pairs: tuple[float, float | None]) -> list[Step]:
    return [
        Step(
            number=number,
            micros=(Micro(loss=taken, own_loss=own),),
            before=State(),
            rates=(),
            scale=None,
            gradients={},
            grad_norm=1.0,
            after=State(),
        )
        for number, (taken, own) in enumerate(pairs, 1)
    ]


@pytest.mark.parametrize(
    ("pairs", "told"),
    [
        ([(4.0, 2.0), (6.0, 3.0)], "the gradient of 2 times the loss"),
        ([(1.0, 4.0), (0.5, 2.0)], "the gradient of 0.25 times the loss"),
        ([(1.0, 4.0)], "the gradient of 0.25 times the loss"),
        ([(0.6931, 3.4657), (0.69, 3.1)], ""),  # ln 2, and a model's loss that is another one
        ([(4.0, 2.0), (6.0, 2.0)], ""),
        ([(2.0, 2.0), (3.0, 3.0)], ""),
        ([(2.0, None)], ""),
    ],
)
def test_multiples(pairs: list[tuple[float, float | None]], told: str) -> None:
    found = _loss_wrong(steps(*pairs))
    assert found.startswith(told)
    assert bool(found) == bool(told)


@pytest.mark.parametrize(("ratio", "found"), [(4.0, 4), (1.0, None), (nan, None), (inf, None)])
def test_whole_numbers(ratio: float, found: int | None) -> None:
    assert whole(ratio, 64) == found
