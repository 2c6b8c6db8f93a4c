"""The gate's judgements, and the progress bar in a terminal and outside of one."""

from __future__ import annotations

import io
import math
import sys
from typing import Any

import pytest
import torch

from codex_ml.callbacks import EvaluationGate, GateError, show_progress
from codex_ml.training import Trainer


def judged(gate: EvaluationGate, *values: float) -> list[bool]:
    return [gate.update({gate.metric: value}, step) for step, value in enumerate(values, start=1)]


def test_the_best_counts_and_patience_ends() -> None:
    gate = EvaluationGate(patience=2)
    assert judged(gate, 3.0, 2.0, 2.5) == [True, True, False]
    assert (gate.best, gate.best_step, gate.exhausted) == (2.0, 2, False)
    assert not gate.update({"eval_loss": math.nan}, 4)
    assert gate.exhausted
    assert gate.update({"eval_loss": 1.0}, 5)
    assert not gate.exhausted


def test_a_gate_goes_on_where_its_state_was_taken() -> None:
    first, second = EvaluationGate(patience=2), EvaluationGate(patience=2)
    judged(first, 1.0, 2.0)
    second.load_state_dict(first.state_dict())
    assert second.best_step == 1
    assert not second.update({"eval_loss": 2.0}, 3)
    assert second.exhausted


def test_larger_is_better_where_it_is_and_only_by_enough() -> None:
    gate = EvaluationGate(metric="accuracy", mode="max", min_delta=0.1)
    assert judged(gate, 0.5, 0.59, 0.61, 0.6) == [True, False, True, False]
    assert gate.best == 0.61


def test_the_threshold_is_demanded_of_the_best() -> None:
    gate = EvaluationGate(metric="accuracy", mode="max", threshold=0.8)
    with pytest.raises(GateError, match=r"accuracy must be at least 0\.8; the best is none"):
        gate.require()
    judged(gate, 0.7, 0.6)
    with pytest.raises(GateError, match=r"the best is 0\.7, at step 1"):
        gate.require()
    gate.update({"accuracy": 0.8}, 3)
    gate.require()
    EvaluationGate().require()
    loss = EvaluationGate(threshold=0.5)
    judged(loss, 0.6)
    with pytest.raises(GateError, match=r"eval_loss must be at most 0\.5"):
        loss.require()


def test_a_gate_without_its_metric_or_with_a_bad_setting_says_so() -> None:
    with pytest.raises(KeyError, match=r"no metric 'accuracy'.*'eval_loss'"):
        EvaluationGate(metric="accuracy").update({"eval_loss": 1.0}, 1)
    with pytest.raises(ValueError, match="mode='least'"):
        EvaluationGate(mode="least")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="patience=0"):
        EvaluationGate(patience=0)


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


class Numbers:
    """A loader of one batch an epoch."""

    def __iter__(self) -> Any:
        return iter([torch.ones(1, 2)])

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: Any) -> None:
        del state


@pytest.mark.parametrize(
    ("screen", "rank"), [(Screen(), "0"), (Screen(), "1"), (io.StringIO(), "0")]
)
def test_the_bar_is_for_a_terminal_and_one_rank(
    monkeypatch: pytest.MonkeyPatch, screen: io.StringIO, rank: str
) -> None:
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setenv("RANK", rank)
    model = torch.nn.Linear(2, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    trainer = Trainer(model, optimizer, lambda m, b: (m(b).sum(), 1), Numbers())
    show_progress(trainer, 3)
    trainer.train(3)
    shown = screen.getvalue()
    assert ("3/3" in shown and "loss" in shown) == (screen.isatty() and rank == "0")
    assert bool(shown) == (screen.isatty() and rank == "0")


def test_a_missing_bar_is_a_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tqdm", None)
    with pytest.raises(ModuleNotFoundError, match="pip install 'codex-audit"):
        show_progress(None, 3)  # type: ignore[arg-type]
