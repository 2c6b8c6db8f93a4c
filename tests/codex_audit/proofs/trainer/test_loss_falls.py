"""A loss that falls is seen to fall, chance seldom is, and noise is no fault of the trainer."""

from __future__ import annotations

import random
from typing import Any

import msgspec

from codex_audit.proofs.trainer.battery.loss_falls import judge, then
from codex_audit.proofs.trainer.runs import Result, Subject
from codex_audit.proofs.trainer.trace import Micro, State, Step, Trace
from codex_audit.proofs.trainer.trend import falls_at_once, mann_kendall
from codex_audit.proofs.trainer.trial import Seen, Skip, Trial


def a_run(losses: list[float], *, scale: float | None = None) -> Result:
    steps = (
        Step(
            number=number,
            micros=(Micro(loss * (scale or 1.0), content="one"),),
            before=State(),
            rates=(0.1,),
            scale=scale,
            gradients={},
            grad_norm=1.0,
            after=State(),
        )
        for number, loss in enumerate(losses, 1)
    )
    return Result(trace=Trace(steps=tuple(steps)))


def noise(count: int, seed: int = 0) -> list[float]:
    draw = random.Random(seed)
    return [draw.uniform(1, 3) for _ in range(count)]


def judged(losses: list[float], *, together: bool = False, **more: list[float]) -> Seen | Skip:
    straight = a_run(losses)
    subject = Subject(name="s", adapter="protocol", in_tree=False)
    trial = Trial(subject=subject, straight=straight, steps=len(losses), together=together)
    results = {name.replace("_", " "): a_run(values) for name, values in more.items()}
    assert not results or set(then(trial, {})) == {"longer", "one batch"}
    return judge(trial, {"straight": straight, **results})


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


def test_a_fall_that_a_longer_run_shows_is_one() -> None:
    falling = [loss - n / 60 for n, loss in enumerate(noise(80))]
    seen = judged(noise(20), longer=falling, one_batch=noise(20))
    assert isinstance(seen, Seen)
    assert seen.good


def test_no_fall_in_a_longer_run_either_is_a_failure() -> None:
    seen = judged(noise(20), longer=noise(80, 3), one_batch=[2.0] * 20)
    assert isinstance(seen, Seen)
    assert not seen.good
    assert "does not fall" in seen.summary or "no certain fall" in seen.summary


def test_a_fall_that_may_be_chance_is_not_judged() -> None:
    falling = [loss - n / 300 for n, loss in enumerate(noise(80))]
    trend, _ = mann_kendall(falling)
    assert -3 < trend < -1
    seen = judged(noise(20), longer=falling, one_batch=noise(20))
    assert isinstance(seen, Skip)
    assert "raise trainer.steps" in seen.reason


def test_what_is_learned_of_one_batch_speaks_against_a_fault() -> None:
    seen = judged(noise(20), longer=noise(80, 3), one_batch=[1 / n for n in range(1, 21)])
    assert isinstance(seen, Skip)
    assert "one batch" in seen.reason


def test_the_losses_of_adversaries_need_not_fall() -> None:
    seen = judged(noise(20), together=True, longer=noise(80, 3), one_batch=noise(20))
    assert isinstance(seen, Skip)
    assert "take turns" in seen.reason


def test_a_longer_run_that_fails_leaves_it_open() -> None:
    straight = a_run(noise(20))
    subject = Subject(name="s", adapter="protocol", in_tree=False)
    trial = Trial(subject=subject, straight=straight, steps=20)
    results: dict[str, Any] = {"straight": straight, "longer": Result(trace=Trace(), exit_code=3)}
    seen = judge(trial, results)
    assert isinstance(seen, Skip)
    assert "ended with code 3" in seen.reason


def test_a_scale_that_goes_down_is_no_fall() -> None:
    losses = noise(20)
    steps = a_run(losses).trace.steps
    scaled = tuple(
        msgspec.structs.replace(
            step, scale=2.0**-n, micros=(Micro(step.loss * 2.0**-n, content="one"),)
        )
        for n, step in enumerate(steps)
    )
    subject = Subject(name="s", adapter="protocol", in_tree=False)
    straight = Result(trace=Trace(steps=scaled))
    trial = Trial(subject=subject, straight=straight, steps=20)
    assert then(trial, {})
