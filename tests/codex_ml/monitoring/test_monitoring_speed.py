"""Reports of a real trainer, and the formulas against counted operations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import TensorDataset
from torch.utils.flop_counter import FlopCounterMode

from codex_ml.data import ResumableLoader
from codex_ml.monitoring import StepReport, flops_per_token
from codex_ml.tracking import JsonlTracker, records
from codex_ml.training import Event, Step, Trainer, TrainerConfig

if TYPE_CHECKING:
    from pathlib import Path


def loss(model: nn.Module, batch: Any) -> tuple[Tensor, int]:
    (rows,) = batch
    return model(rows).square().sum(), rows.numel()


def make(**options: Any) -> Trainer[Any]:
    model = nn.Linear(4, 4)
    data: Any = TensorDataset(torch.ones(8, 4))
    loader: ResumableLoader[Any] = ResumableLoader(data, 2, seed=1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    held_out = [(torch.ones(2, 4),)]
    return Trainer(model, optimizer, loss, loader, TrainerConfig(**options), evaluation=held_out)


def test_a_report_is_the_mean_since_the_one_before(tmp_path: Path) -> None:
    tracker = JsonlTracker(tmp_path)
    trainer = make(evaluate_every=4)
    seen: list[Step] = []
    trainer.on(Event.STEP, lambda t: seen.append(t.last) if t.last else None)
    StepReport(tracker, every=3, flops_per_token=1e3, peak_flops=1e9).attach(trainer)
    trainer.train(5)
    first, evaluated, rest = records(tracker.path)
    assert [first["step"], evaluated["step"], rest["step"]] == [3, 4, 5]
    assert list(evaluated["metrics"]) == ["eval_loss"]
    seconds = sum(step.seconds for step in seen[:3])
    metrics = first["metrics"]
    assert metrics["train/loss"] == pytest.approx(sum(step.loss for step in seen[:3]) / 3)
    assert metrics["train/step_seconds"] == pytest.approx(seconds / 3)
    assert metrics["train/tokens_per_second"] == pytest.approx(24 / seconds)
    assert metrics["train/mfu"] == pytest.approx(24 / seconds * 1e3 / 1e9)
    assert metrics["train/learning_rate"] == 0.01
    assert metrics["train/skipped_steps"] == 0
    assert rest["metrics"]["train/loss"] == pytest.approx((seen[3].loss + seen[4].loss) / 2)


def test_utilisation_is_of_one_device_where_tokens_are_of_all_ranks(tmp_path: Path) -> None:
    tracker, trainer = JsonlTracker(tmp_path), make()
    trainer.ranks.world = 4
    StepReport(tracker, flops_per_token=1e3, peak_flops=1e9).attach(trainer)
    trainer.ranks.world = 1  # only its tokens would be counted together
    trainer.train(1)
    (line,) = records(tracker.path)
    own = line["metrics"]["train/tokens_per_second"] / 4
    assert line["metrics"]["train/mfu"] == pytest.approx(own * 1e3 / 1e9)


def test_steps_that_changed_nothing_are_counted_and_utilisation_needs_both_figures(
    tmp_path: Path,
) -> None:
    tracker = JsonlTracker(tmp_path)
    trainer = make(on_non_finite="skip")
    with torch.no_grad():
        next(trainer.model.parameters()).fill_(float("nan"))
    StepReport(tracker, every=2, flops_per_token=1e3).attach(trainer)
    trainer.train(2)
    (line,) = records(tracker.path)
    assert line["metrics"]["train/skipped_steps"] == 2
    assert line["metrics"]["train/loss"] == "NaN"
    assert "train/mfu" not in line["metrics"]


def test_a_report_of_no_steps_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="every=0"):
        StepReport(JsonlTracker(tmp_path), every=0)


class Attention(nn.Module):
    """Layers of attention and its projections alone, written as plain matrix products."""

    def __init__(self, layers: int, width: int) -> None:
        super().__init__()
        self.products = nn.ModuleList(
            nn.Linear(width, width, bias=False) for _ in range(4 * layers)
        )

    def forward(self, x: Tensor) -> Tensor:
        products = list(self.products)
        for query, key, value, out in zip(*(products[n::4] for n in range(4)), strict=True):
            x = out((query(x) @ key(x).transpose(1, 2)).softmax(-1) @ value(x))
        return x


def test_the_formula_is_what_a_transformer_costs() -> None:
    layers, width, sequence, batch = 3, 16, 8, 2
    model = Attention(layers, width)
    # An input that wants its gradient, as that of a layer in the middle does.
    tokens = torch.ones(batch, sequence, width, requires_grad=True)
    with FlopCounterMode(display=False) as counter:
        model(tokens).sum().backward()
    parameters = sum(parameter.numel() for parameter in model.parameters())
    expected = flops_per_token(parameters, layers, width, sequence)
    assert counter.get_total_flops() == expected * batch * sequence
