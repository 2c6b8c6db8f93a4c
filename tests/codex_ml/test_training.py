"""The trainer against a hand-written loop, and against itself after an interruption."""

from __future__ import annotations

import math
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from codex_ml import seeding
from codex_ml.callbacks import EvaluationGate
from codex_ml.checkpoint import CheckpointStore
from codex_ml.data import ResumableLoader
from codex_ml.schedules import warmup_cosine
from codex_ml.training import Event, NonFiniteError, Trainer, TrainerConfig

if TYPE_CHECKING:
    from collections.abc import Iterator

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
    return Trainer(model, optimizer, loss, loader, config or TrainerConfig(), **more)


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


def plain(seed: int) -> nn.Module:
    """Two layers in double precision, where 2**-52 is an ULP of one."""
    seeding.seed_everything(seed)
    return nn.Sequential(nn.Linear(WIDTH, 9), nn.Tanh(), nn.Linear(9, WIDTH)).double()


@pytest.mark.parametrize("parts", [[10], [5, 5], [1, 2, 3, 4], [7, 1, 1, 1], [1] * 10])
def test_unequal_token_counts_give_the_gradient_of_the_large_batch_to_the_ulp(
    parts: list[int],
) -> None:
    samples = [Rows()[index] for index in range(SAMPLES)]
    rows, counted = (torch.stack(part).double() for part in zip(*samples, strict=True))
    batches = list(zip(torch.split(rows, parts), torch.split(counted, parts), strict=True))

    def step(batches: list[Any]) -> tuple[dict[str, Tensor], float]:
        model = plain(3)
        optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
        config = TrainerConfig(accumulate=len(batches), clip_norm=None)
        (mean,) = Trainer(model, optimizer, loss, Fixed(batches), config).train(1)
        return dict(model.state_dict()), mean

    found, mean = step(batches)
    model = plain(3)
    expected = ((model(rows) - 1).square() * counted).sum() / counted.sum()
    expected.backward()
    for name, parameter in plain(3).named_parameters():
        grad = model.get_parameter(name).grad
        assert grad is not None
        error = (parameter.detach() - found[name] - grad).abs().max()
        assert error < 8 * 2**-52, (name, float(error))
    assert mean == pytest.approx(float(expected.detach()), rel=4e-16)


class Fixed:
    """A loader of given batches."""

    def __init__(self, batches: list[Any]) -> None:
        self.batches = batches

    def __iter__(self) -> Iterator[Any]:
        return iter(self.batches)

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: Any) -> None:
        del state


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
    losses = first.train(interrupted)  # saves its last step
    first.store = None
    first.train(12)
    resumed = make(config, **options)
    torch.rand(5)
    assert resumed.load().step == interrupted
    assert losses + resumed.train(12) == expected
    assert torch.equal(torch.rand(3), draws)
    assert_same(weights(straight), weights(resumed))


def test_training_goes_on_while_a_checkpoint_is_written_and_ends_when_all_are(
    tmp_path: Path,
) -> None:
    store = CheckpointStore(tmp_path, keep_last=None, background=True)
    trainer = make(TrainerConfig(save_every=2), dropout=0.3, store=store)
    trainer.train(7)
    assert [int(path.name[-2:]) for path in CheckpointStore(tmp_path).paths()] == [2, 4, 6, 7]
    for path in store.paths():
        straight = make(dropout=0.3)
        straight.train(store.load(path).step)
        assert_same(weights(straight), store.load(path).weights)


def test_going_back_in_one_process_repeats_the_run_to_the_bit(tmp_path: Path) -> None:
    trainer = make(TrainerConfig(accumulate=2), dropout=0.3, store=CheckpointStore(tmp_path))
    store = trainer.store
    trainer.train(2)
    trainer.store = None
    first, after = trainer.train(7), weights(trainer)
    trainer.load(store)
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


def test_evaluation_on_a_loader_with_a_place_of_its_own_gives_the_same_each_time() -> None:
    evaluation: ResumableLoader[Any] = ResumableLoader(Rows(), 4, seed=5)
    next(iter(evaluation))
    before = evaluation.state_dict()
    trainer = make(evaluation=evaluation)
    assert trainer.evaluate() == trainer.evaluate()
    assert evaluation.state_dict() == before
    once = make(evaluation=iter(list(evaluation)))
    once.evaluate()
    with pytest.raises(ValueError, match="gave no batches"):
        once.evaluate()


def test_a_gate_saves_the_best_and_stops_when_patience_ends(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path, keep_last=1, metric="eval_loss")
    gate = EvaluationGate(patience=2)
    values = iter([3.0, 1.0, 2.0, 2.5, 0.0])
    config = TrainerConfig(evaluate_every=2)
    trainer = make(config, store=store, gate=gate, evaluation=[next(iter(make().loader))])
    trainer.on(Event.EVALUATED, lambda t: t.metrics.update(eval_loss=next(values)))
    assert len(trainer.train(20)) == 8
    assert (gate.best, gate.best_step) == (1.0, 4)
    assert [int(path.name[-2:]) for path in store.paths()] == [4, 8], "the best and the last"
    resumed = make(config, store=store, gate=EvaluationGate(patience=2))
    resumed.load()
    assert resumed.gate is not None
    assert resumed.gate.exhausted
    assert resumed.gate.best_step == 4


def test_a_compiled_model_trains_alike_and_saves_under_its_own_names(tmp_path: Path) -> None:
    eager = make(dropout=0.3)
    expected = eager.train(4)
    options: dict[str, Any] = {"dropout": 0.3, "store": CheckpointStore(tmp_path)}
    compiled = make(TrainerConfig(compile_backend="aot_eager"), **options)
    assert compiled.train(4) == pytest.approx(expected, rel=1e-5)
    assert_same(weights(eager), weights(compiled), 1e-5)
    assert set(compiled.store.load().weights) == set(eager.model.state_dict())  # type: ignore[union-attr]


def test_a_resume_under_other_settings_says_that_it_is_not_exact(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    make(store=CheckpointStore(tmp_path)).train(2)
    make(store=CheckpointStore(tmp_path)).load()
    assert not caplog.text
    resumed = make(TrainerConfig(accumulate=2), store=CheckpointStore(tmp_path))
    generators = torch.get_rng_state()
    resumed.load(exact=False)
    assert "accumulate=2, was 1: not exact" in caplog.text
    assert "without the generators" in caplog.text
    assert (resumed.step, resumed.loader.state_dict()["position"]) == (2, 4)
    assert torch.equal(torch.get_rng_state(), generators)


def test_a_loss_scale_that_no_longer_helps_is_not_an_overflow() -> None:
    trainer = make(TrainerConfig(precision="fp16", on_non_finite="raise"))
    sound = trainer.loss

    def bad_gradient(model: nn.Module, batch: Any) -> tuple[Tensor, int]:
        total, count = sound(model, batch)
        return total + (total * 0).sqrt(), count  # finite, with the gradient 0 / 0

    trainer.loss = bad_gradient
    with pytest.raises(NonFiniteError, match="gradient norm nan"):
        trainer.train(30)
    assert 15 <= trainer.step < 30, "first it was taken for an overflow, down to a scale of one"


def poisoned(config: TrainerConfig, at: int, **more: Any) -> Trainer[Any]:
    trainer = make(config, **more)
    sound = trainer.loss

    def poison(model: nn.Module, batch: Any) -> tuple[Tensor, int]:
        total, count = sound(model, batch)
        return (total * math.nan if trainer.step == at else total), count

    trainer.loss = poison
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


# A run that tells each step, and takes long enough for a signal to come in between.
TERMINATED = """
import sys, time
sys.path.insert(0, {tests!r})
from test_training import Event, make
from codex_ml.checkpoint import CheckpointStore
trainer = make(store=CheckpointStore({directory!r}))
trainer.on(Event.STEP, lambda t: (print(t.step, flush=True), time.sleep(0.02)))
done = trainer.train(10_000)
print("ended", len(done), flush=True)
"""


def test_sigterm_to_a_process_finishes_the_step_saves_and_ends_well(tmp_path: Path) -> None:
    code = TERMINATED.format(tests=str(Path(__file__).parent), directory=str(tmp_path))
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None
        for line in run.stdout:
            if int(line) == 3:
                run.terminate()
                break
        steps = [line for line in run.stdout if not line.startswith("ended")]
        assert run.wait(20) == 0
    found = CheckpointStore(tmp_path).load()
    assert found.step == 3 + len(steps)
    straight = make()
    straight.train(found.step)
    assert_same(weights(straight), found.weights)


def test_the_handler_of_before_is_put_back() -> None:
    before = signal.getsignal(signal.SIGTERM)
    trainer = make()
    trainer.on(Event.STEP, lambda t: t.stop() if t.step == 3 else None)
    assert len(trainer.train(10)) == 3
    assert signal.getsignal(signal.SIGTERM) == before
    assert len(trainer.train(4)) == 1, "a stop is for one call"


def test_callbacks_come_at_their_points_and_checkpoints_in_their_rhythm(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path, keep_last=None)
    config = TrainerConfig(evaluate_every=2, save_every=2)
    trainer = make(config, store=store, evaluation=list(ResumableLoader(Rows(), 5, seed=0)))
    seen: list[Event] = []
    for event in Event:
        trainer.on(event, lambda _, event=event: seen.append(event))  # type: ignore[misc]
    trainer.train(3)
    step, evaluated, saved = Event.STEP, Event.EVALUATED, Event.SAVED
    assert seen == [Event.START, step, step, evaluated, saved, step, saved, Event.STOP]
    assert [path.name[-2:] for path in store.paths()] == ["02", "03"]
    assert trainer.train(3) == []
    assert len(store.paths()) == 2
    assert [[*store.load(path).manifest["metrics"]] for path in store.paths()] == [
        ["eval_loss"],
        [],
    ]


def test_the_rate_of_each_step_is_applied() -> None:
    factor = warmup_cosine(4, 20)
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
