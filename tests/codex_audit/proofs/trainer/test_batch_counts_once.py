"""Where an epoch ends and what chance may repeat, from the samples of each batch."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from codex_audit.proofs.trainer.battery.batch_counts_once import judge
from codex_audit.proofs.trainer.trace import Micro, State, Step, Trace
from codex_audit.proofs.trainer.trial import Seen

FIRST = ((0, 1, 2), (3, 4, 5), (6, 7, 8))
SECOND = ((8, 3, 1), (0, 7, 5), (4, 2, 6))


def judged(*batches: tuple[int, ...] | None) -> Any:
    steps = tuple(
        Step(
            number=number,
            micros=(Micro(loss=1.0, indices=rows),),
            before=State(),
            rates=(),
            scale=None,
            gradients={},
            grad_norm=1.0,
            after=State(),
        )
        for number, rows in enumerate(batches, 1)
    )
    trial: Any = SimpleNamespace(straight=SimpleNamespace(trace=Trace(steps=steps)))
    return judge(trial, {})


def test_epochs_whose_batches_come_once_pass() -> None:
    found = judged(*FIRST, *SECOND)
    assert isinstance(found, Seen)
    assert found.good
    assert found.measured["epochs_ended"] == 1


def test_the_last_and_the_first_batch_are_told() -> None:
    last = judged(*FIRST, FIRST[-1], *SECOND, SECOND[-1], *FIRST)
    first = judged(*FIRST, SECOND[0], *SECOND, FIRST[0], *FIRST)
    assert (last.good, first.good) == (False, False)
    assert "the last batch of an epoch is trained on twice, as after 3 batches" in last.summary
    assert "the first batch of an epoch" in first.summary


def test_what_comes_twice_elsewhere_too_is_meant() -> None:
    twice = [batch for batch in (*FIRST, *SECOND) for _ in range(2)]
    assert judged(*twice).good
    assert judged(*FIRST, FIRST[-1], SECOND[0], *SECOND[:2], SECOND[1], SECOND[2]).good


def test_what_chance_repeats_is_no_fault() -> None:
    assert judged((0,), (1,), (2,), (2,), (0,), (1,), (2,)).good


def test_without_an_end_or_samples_nothing_is_judged() -> None:
    assert "no end of an epoch" in judged(*FIRST).reason
    assert "could not be seen" in judged(FIRST[0], None).reason
