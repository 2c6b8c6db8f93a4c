"""What a trainer and its store make of evaluations: whose metrics a checkpoint has, and the best."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from test_training import make

from codex_ml.callbacks import EvaluationGate
from codex_ml.checkpoint import CheckpointStore
from codex_ml.training import Event, Trainer, TrainerConfig

BATCHES = [next(iter(make().loader))]


def metrics(store: CheckpointStore) -> dict[int, dict[str, float]]:
    found = [store.load(path) for path in store.paths()]
    return {one.step: one.manifest["metrics"] for one in found}


def test_a_checkpoint_has_the_metrics_of_its_own_weights(tmp_path: Path) -> None:
    config = TrainerConfig(evaluate_every=4, save_every=1)

    def run(directory: Path) -> Trainer[Any]:
        store = CheckpointStore(directory, keep_last=None)
        return make(config, store=store, evaluation=BATCHES)

    straight = run(tmp_path / "straight")
    straight.train(6)
    found = metrics(CheckpointStore(tmp_path / "straight"))
    assert [step for step in found if found[step]] == [4]
    run(tmp_path / "resumed").train(4)
    resumed = run(tmp_path / "resumed")
    resumed.load()
    assert resumed.metrics == found[4]
    resumed.train(6)
    assert metrics(CheckpointStore(tmp_path / "resumed")) == found


def test_the_gate_s_best_stays_whatever_the_store_was_told(tmp_path: Path) -> None:
    values = iter([3.0, 1.0, *[2.0] * 6])
    store = CheckpointStore(tmp_path)  # the last three
    config = TrainerConfig(evaluate_every=1, save_every=1)
    trainer = make(config, store=store, gate=EvaluationGate(), evaluation=BATCHES)
    trainer.on(Event.EVALUATED, lambda t: t.metrics.update(eval_loss=next(values)))
    trainer.train(8)
    assert trainer.gate is not None
    assert trainer.gate.best_step == 2
    assert [int(path.name[-2:]) for path in store.paths()] == [2, 6, 7, 8]


def test_an_older_checkpoint_without_buffers_of_each_rank_is_resumed(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path)
    trainer = make(store=store)
    trainer.train(3)
    found = store.load()
    del found.state["buffers"]
    store.save(found.step, found.weights, found.state)
    resumed = make(store=store)
    assert "buffers" not in resumed.load().state
    assert resumed.train(5) == trainer.train(5)


@pytest.mark.parametrize("gate", [{"metric": "accuracy"}, {"mode": "max"}])
def test_a_gate_and_a_store_that_differ_on_the_best_are_refused(
    tmp_path: Path, gate: dict[str, Any]
) -> None:
    with pytest.raises(ValueError, match=r"keeps by \('eval_loss', 'min'\); give both the same"):
        make(store=CheckpointStore(tmp_path), gate=EvaluationGate(**gate))
    alike = EvaluationGate(metric="accuracy", mode="max")
    make(store=CheckpointStore(tmp_path, metric="accuracy", mode="max"), gate=alike)
    make(store=CheckpointStore(tmp_path, metric=None), gate=alike)
    make(store=CheckpointStore(tmp_path, keep_last=None), gate=alike)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"clip_norm": -1.0}, "clip_norm=-1.0: must be positive"),
        ({"clip_norm": float("nan")}, "clip_norm=nan: must be positive"),
        ({"precision": "bfloat16"}, "precision='bfloat16': must be one of fp32, bf16, fp16"),
        ({"on_non_finite": "ignore"}, "must be one of raise, skip, stop"),
    ],
)
def test_settings_that_would_train_otherwise_than_meant_are_refused(
    settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        TrainerConfig(**settings)
