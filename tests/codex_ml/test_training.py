"""The trainer against a hand-written loop, and against itself after an interruption."""

from __future__ import annotations

import math
import os
import signal
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from codex_ml import seeding
from codex_ml.checkpoint import CheckpointStore
from codex_ml.data import ResumableLoader
from codex_ml.training import Event, NonFiniteError, Trainer, TrainerConfig, warmup_cosine

if TYPE_CHECKING:
    from pathlib import Path

SAMPLES, WIDTH = 10, 6


class Rows(Dataset[tuple[Tensor, Tensor]]):
    def __len__(self) -> int:
        return SAMPLES

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        row = torch.sin(torch.arange(WIDTH) * (index + 1.0))
        weights = (torch.arange(WIDTH) <= index % WIDTH).float()  # 1 to 6 that count
        return row, weights


def loss(model: nn.Module, batch: Any) -> tuple[Tensor, int]:
    row, weights = batch
    return ((model(row) - 1).square() * weights).sum(), int(weights.sum())


def make(
    config: TrainerConfig | None = None, *, dropout: float = 0.0, batch: int = 2, **more: Any
) -> Trainer[Any]:
    seeding.seed_everything(3)
    model = nn.Sequential(
        nn.Linear(WIDTH, WIDTH), nn.BatchNorm1d(WIDTH, momentum=0.2).eval(), nn.Dropout(dropout),
        nn.Linear(WIDTH, WIDTH),
    )  # fmt: skip
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    loader: ResumableLoader[Any] = ResumableLoader(Rows(), batch, seed=1)
    return Trainer(model, optimizer, loss, loader, config, **more)


def weights(trainer: Trainer[Any]) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in trainer.model.state_dict().items()}


def assert_same(one: dict[str, Tensor], other: dict[str, Tensor], tolerance: float = 0) -> None:
    for name, value in one.items():
        torch.testing.assert_close(value, other[name], rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize(("batch", "accumulate"), [(4, 1), (2, 2), (1, 4)])
@pytest.mark.parametrize("clip", [None, 0.5])
def test_accumulation_equals_the_large_batch_and_a_loop_by_hand(
    batch: int, accumulate: int, clip: float | None
) -> None:
    trainer = make(TrainerConfig(accumulate=accumulate, clip_norm=clip), batch=batch)
    losses = trainer.train(7)
    by_hand = make(batch=4)
    expected: list[float] = []
    model, optimizer = by_hand.model, by_hand.optimizer
    while len(expected) < 7:
        for data in by_hand.loader:
            optimizer.zero_grad()
            total, count = loss(model, data)
            mean = total / count
            mean.backward()  # type: ignore[no-untyped-call]
            if clip is not None:
                nn.utils.clip_grad_norm_(model.parameters(), clip)
            optimizer.step()
            expected.append(mean.item())
            if len(expected) == 7:
                break
    assert losses == pytest.approx(expected, rel=1e-5)
    assert_same(weights(trainer), weights(by_hand), 1e-5)


def test_an_epoch_s_last_short_step_is_neither_lost_nor_doubled() -> None:
    trainer = make(TrainerConfig(accumulate=2), batch=3)  # four batches of 3, 3, 3 and 1
    tokens = []
    trainer.on(Event.STEP, lambda t: tokens.append(t.last.tokens if t.last else 0))
    trainer.train(4)
    every = sum(int(Rows()[index][1].sum()) for index in range(SAMPLES))
    assert tokens[0] + tokens[1] == tokens[2] + tokens[3] == every


@pytest.mark.parametrize("interrupted", [1, 4, 5, 8])
@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_a_resume_continues_to_the_bit(tmp_path: Path, interrupted: int, precision: Any) -> None:
    config = TrainerConfig(accumulate=2, precision=precision, evaluate_every=3)
    options: dict[str, Any] = {
        "dropout": 0.3,
        "schedule": warmup_cosine(3, 12),
        "evaluation": list(ResumableLoader(Rows(), 5, seed=0)),
        "store": CheckpointStore(tmp_path),
    }
    straight = make(config, **options)
    expected = straight.train(12)
    draws = torch.rand(3)
    first = make(config, **options)
    losses = first.train(interrupted)
    first.save()
    first.train(12)
    resumed = make(config, **options)
    torch.rand(5)
    assert resumed.load().step == interrupted
    assert losses + resumed.train(12) == expected
    assert torch.equal(torch.rand(3), draws)
    assert_same(weights(straight), weights(resumed))


def test_going_back_in_one_process_repeats_the_run_to_the_bit(tmp_path: Path) -> None:
    trainer = make(TrainerConfig(accumulate=2), dropout=0.3, store=CheckpointStore(tmp_path))
    trainer.train(2)
    trainer.save()
    first, after = trainer.train(7), weights(trainer)
    trainer.load()
    assert trainer.train(7) == first
    assert_same(weights(trainer), after)


def test_evaluation_leaves_no_trace() -> None:
    drawing: DataLoader[Any] = DataLoader(Rows(), 5, shuffle=True)  # draws from the global one
    trainer = make(dropout=0.5, evaluation=drawing)
    trainer.train(2)
    for parameter in trainer.model.parameters():
        parameter.grad = torch.ones_like(parameter)
    modes = [module.training for module in trainer.model.modules()]
    assert False in modes
    assert True in modes
    before, state = weights(trainer), torch.get_rng_state()
    position = trainer.loader.state_dict()
    found = trainer.evaluate()
    assert math.isfinite(found["eval_loss"])
    assert trainer.evaluate() == pytest.approx(found)
    assert [module.training for module in trainer.model.modules()] == modes
    assert all(bool((p.grad == 1).all()) for p in trainer.model.parameters() if p.grad is not None)
    assert torch.equal(torch.get_rng_state(), state)
    assert trainer.loader.state_dict() == position
    assert_same(before, weights(trainer))
    with pytest.raises(ValueError, match="no evaluation batches"):
        make().evaluate()


def poisoned(config: TrainerConfig, at: int, **more: Any) -> Trainer[Any]:
    trainer = make(config, **more)
    sound = trainer._loss

    def poison(model: nn.Module, batch: Any) -> tuple[Tensor, int]:
        total, count = sound(model, batch)
        return (total * math.nan if trainer.step == at else total), count

    trainer._loss = poison
    return trainer


def test_a_nan_raises_with_the_weights_of_before() -> None:
    trainer = poisoned(TrainerConfig(), 2)
    with pytest.raises(NonFiniteError, match=r"step 3: loss nan"):
        trainer.train(5)
    untouched = make()
    untouched.train(2)
    assert_same(weights(trainer), weights(untouched))
    assert trainer.non_finite == 1


def test_a_nan_is_skipped_and_counted_or_stops_with_a_checkpoint(tmp_path: Path) -> None:
    trainer = poisoned(TrainerConfig(on_non_finite="skip"), 2)
    applied = []
    trainer.on(Event.STEP, lambda t: applied.append(t.last.applied if t.last else None))
    losses = trainer.train(5)
    assert applied == [True, True, False, True, True]
    assert math.isnan(losses[2])
    assert trainer.non_finite == 1
    assert all(bool(torch.isfinite(value).all()) for value in weights(trainer).values())
    store = CheckpointStore(tmp_path)
    stopping = poisoned(TrainerConfig(on_non_finite="stop"), 2, store=store)
    assert len(stopping.train(5)) == 3
    assert store.load().state["counters"] == {"step": 3, "non_finite": 1}


def test_sigterm_finishes_the_step_and_saves(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path)
    trainer = make(store=store)

    def terminate(subject: Trainer[Any]) -> None:
        if subject.step == 3:
            os.kill(os.getpid(), signal.SIGTERM)

    before = signal.getsignal(signal.SIGTERM)
    trainer.on(Event.STEP, terminate)
    assert len(trainer.train(10)) == 3
    assert store.load().step == 3
    assert signal.getsignal(signal.SIGTERM) == before


def test_callbacks_come_at_their_points_and_checkpoints_in_their_rhythm(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path, keep_last=None)
    config = TrainerConfig(evaluate_every=2, save_every=2)
    trainer = make(config, store=store, evaluation=list(ResumableLoader(Rows(), 5, seed=0)))
    seen: list[Event] = []
    for event in Event:
        trainer.on(event, lambda _, event=event: seen.append(event))  # type: ignore[misc]
    trainer.train(3)
    step, evaluated, saved = Event.STEP, Event.EVALUATED, Event.SAVED
    assert seen == [Event.START, step, step, evaluated, saved, step, Event.STOP]
    assert [path.name[-2:] for path in store.paths()] == ["02"]
    assert store.load().manifest["metrics"]["eval_loss"] == trainer.metrics["eval_loss"]


def test_the_rate_warms_up_falls_and_is_applied() -> None:
    factor = warmup_cosine(4, 20, floor=0.1)
    values = [factor(step) for step in range(25)]
    assert values[:4] == [0.25, 0.5, 0.75, 1.0]
    assert values[4] == 1.0
    assert all(b < a for a, b in pairwise(values[4:21]))
    assert values[20:] == pytest.approx([0.1] * 5)
    trainer = make(schedule=factor)
    rates = []
    trainer.on(Event.STEP, lambda t: rates.append(t.last.learning_rate if t.last else None))
    trainer.train(3)
    assert rates == pytest.approx([0.025, 0.05, 0.075])


def test_what_is_missing_or_wrong_is_said() -> None:
    with pytest.raises(ValueError, match="no checkpoint store"):
        make().save()
    with pytest.raises(ValueError, match="no checkpoint store"):
        make().load()
    with pytest.raises(ValueError, match="accumulate=0: must be at least 1"):
        TrainerConfig(accumulate=0)
