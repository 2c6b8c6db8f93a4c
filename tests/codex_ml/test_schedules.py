"""Learning rates, step by step."""

from __future__ import annotations

from itertools import pairwise

import pytest

from codex_ml.schedules import warmup_cosine, warmup_linear


def test_the_cosine_warms_up_falls_and_stays() -> None:
    factor = warmup_cosine(4, 20, floor=0.1)
    values = [factor(step) for step in range(25)]
    assert values[:4] == [0.25, 0.5, 0.75, 1.0]
    assert values[4] == 1.0
    assert all(b < a for a, b in pairwise(values[4:21]))
    assert values[12] == pytest.approx(0.55)
    assert values[20:] == pytest.approx([0.1] * 5)


def test_the_line_falls_evenly_to_nothing() -> None:
    factor = warmup_linear(2, 6)
    assert [factor(step) for step in range(8)] == [0.5, 1, 1, 0.75, 0.5, 0.25, 0, 0]
    assert warmup_linear(0, 4, floor=0.5)(2) == 0.75
