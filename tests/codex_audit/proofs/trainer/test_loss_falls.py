"""A loss that falls in a few steps and then stays is seen to fall; chance seldom is."""

from __future__ import annotations

import random

from codex_audit.proofs.trainer.battery.loss_falls import falls_at_once, mann_kendall


def test_a_fall_in_four_steps_is_seen_though_there_is_no_trend() -> None:
    draw = random.Random(0)
    losses = [8.0, 5.0, 3.0, 2.0, *(draw.uniform(0.9, 1.1) for _ in range(36))]
    trend, needed = mann_kendall(losses)
    assert -trend < needed
    assert falls_at_once(losses)


def test_one_late_outlier_is_not_held_against_chance() -> None:
    draw = random.Random(0)
    losses = [8.0, 5.0, 3.0, 2.0, *(draw.uniform(0.9, 1.1) for _ in range(35)), 9.0]
    assert not falls_at_once(losses)


def test_noise_falls_as_seldom_as_said() -> None:
    draw = random.Random(1)
    seen = sum(falls_at_once([draw.random() for _ in range(40)]) for _ in range(10_000))
    assert seen <= 25  # once in 1001 is expected


def test_too_few_steps_show_nothing() -> None:
    assert not falls_at_once([])
    assert not falls_at_once([3.0, 2.0, 1.0, 0.5])
