"""Into which micro-batches a trial divides: one division leaves a shorter window, if any does."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from codex_audit.proofs.trainer import accumulating
from codex_audit.proofs.trainer.runs import Result, Subject
from codex_audit.proofs.trainer.trace import Micro, State, Step, Trace
from codex_audit.proofs.trainer.trial import Skip, Trial


def trial(batches: list[tuple[int, ...]], epoch: int | None) -> Trial:
    steps = tuple(
        Step(
            number=number,
            micros=(Micro(loss=1.0, indices=rows),),
            before=State(),
            rates=(0.1,),
            scale=None,
            gradients={},
            grad_norm=1.0,
            after=State(),
        )
        for number, rows in enumerate(batches, 1)
    )
    subject = Subject(
        name="m:f", adapter="protocol", in_tree=True, knobs=frozenset({"accumulate", "batch_size"})
    )
    straight = Result(trace=Trace(steps=steps))
    return Trial(subject=subject, straight=straight, steps=40, epoch=epoch)


def epochs(samples: int, size: int) -> list[tuple[int, ...]]:
    rows = list(range(samples)) * 2
    return [tuple(rows[i : i + size]) for i in range(0, len(rows), size)]


@pytest.mark.parametrize(
    ("samples", "divided"), [(26, "3x2"), (30, "4x2"), (24, "5x2"), (120, "3x2")]
)
def test_an_epoch_is_not_divided_without_rest(samples: int, divided: str) -> None:
    found = accumulating.runs(trial(epochs(samples, 2), samples // 2))
    assert not isinstance(found, Skip)
    assert set(found) == {"4x1", "1x4", divided, f"1x{2 * int(divided[0])}"}


def test_an_epoch_that_ends_inside_a_step_is_as_long_as_its_samples_say() -> None:
    found = accumulating.runs(trial(epochs(30, 4), None))
    assert not isinstance(found, Skip)
    assert "4x2" in found
    assert found["4x2"].until == 6


@pytest.mark.parametrize(("alone", "unjudged"), [(0.0, True), (0.25, False)])
def test_a_loss_that_only_samples_together_have_is_not_compared(
    alone: float, unjudged: bool
) -> None:
    asked = trial(epochs(24, 2), 12)
    (step, *_) = asked.straight.trace.steps
    apart = replace(step, micros=(Micro(loss=alone),) * 4)
    together = replace(step, micros=(Micro(loss=1.0),))
    results = {
        "4x1": Result(trace=Trace(steps=(apart,)), final=State()),
        "1x4": Result(trace=Trace(steps=(together,)), final=State()),
    }
    found = accumulating.why_not(asked, results)
    assert isinstance(found, Skip) is unjudged
