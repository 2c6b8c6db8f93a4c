"""The settings of a run: complete defaults, components by name, used by a real trainer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
import torch
from torch.utils.data import TensorDataset

from codex_ml.checkpoint import CheckpointStore
from codex_ml.config import ConfigError, Schema
from codex_ml.data import ResumableLoader
from codex_ml.run_config import DEFAULTS, RunConfig
from codex_ml.training import Trainer

if TYPE_CHECKING:
    from pathlib import Path

SCHEMA = Schema(RunConfig)


def _stack(samples: list[tuple[torch.Tensor]]) -> torch.Tensor:
    return torch.stack([sample for (sample,) in samples])


def test_every_setting_has_its_default_in_the_file() -> None:
    found = SCHEMA.load(DEFAULTS, environ={})
    assert set(found.sources) == set(SCHEMA.keys)
    assert set(found.sources.values()) == {str(DEFAULTS)}


@pytest.mark.parametrize(
    ("key", "text", "message"),
    [
        ("optimizer.name", "adamv", r"optimizer\.name: .*did you mean 'adamw'\?"),
        ("schedule.name", "linear", r"schedule\.name: .*did you mean 'warmup_linear'\?"),
        ("trainer.accumulate", "0", r"trainer\.accumulate: .*must be at least 1"),
        ("trainer.clip", "1", r"trainer\.clip: unknown key; did you mean 'trainer\.clip_norm'"),
        ("seed", "4294967296", r"seed: Expected `int` <= 4294967295"),
        ("device", "gpu", r"device: device=gpu: torch knows none of that name; give cpu"),
        ("device", "cuda:99", r"device: device=cuda:99: there are \d+ CUDA devices here"),
        ("thresholds", "[accuracy]", r"thresholds: thresholds=accuracy: .* is no threshold"),
        ("trackers", "[paper]", r"trackers\[0\]: Invalid enum value 'paper'"),
        ("optimizer.learning_rate", "0", r"optimizer\.learning_rate: Expected `float` > 0"),
    ],
)
def test_a_bad_setting_is_refused_before_the_run(key: str, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=f"^command line: {message}"):
        SCHEMA.load(DEFAULTS, environ={}, overrides={key: text})


def test_a_schedule_ends_where_it_says_or_with_the_run() -> None:
    schedule = SCHEMA.load(DEFAULTS, environ={}).settings.schedule
    assert schedule.build(200)(200) == 0
    ending = SCHEMA.load(
        DEFAULTS, environ={}, overrides={"schedule.total": "400"}
    ).settings.schedule
    assert ending.build(200)(200) == ending.build(300)(200) > 0
    assert ending.build(200)(400) == 0


def test_a_program_extends_the_settings_and_trains_by_them(tmp_path: Path) -> None:
    @dataclass(frozen=True, kw_only=True)
    class Settings(RunConfig):
        width: int

    own = tmp_path / "own.yaml"
    own.write_text("schema_version: 1\nwidth: 4\noptimizer: {name: sgd, learning_rate: 0.5}\n")
    overrides = {"steps": "3", "batch_size": "2", "output": str(tmp_path / "run")}
    found = Schema(Settings).load(DEFAULTS, own, environ={}, overrides=overrides)
    settings = found.settings
    model = torch.nn.Linear(settings.width, 1)
    optimizer = settings.optimizer.build(model.parameters(), momentum=0.9)
    assert type(optimizer) is torch.optim.SGD
    assert optimizer.defaults["momentum"] == 0.9
    assert optimizer.defaults["lr"] == 0.5
    schedule = settings.schedule.build(settings.steps)
    assert [schedule(step) for step in (0, settings.schedule.warmup - 1)] == [0.01, 1.0]
    data = TensorDataset(torch.ones(8, settings.width))
    trainer = Trainer(
        model,
        optimizer,
        lambda model, batch: (model(batch).square().sum() * 1e-4, len(batch)),
        ResumableLoader(data, settings.batch_size, seed=settings.seed, collate=_stack),
        settings.trainer,
        schedule=schedule,
        run_config=found.values,
    )
    assert len(trainer.train(settings.steps)) == 3
    store = CheckpointStore(settings.output)
    trainer.save(store)
    assert store.load().manifest["config_hash"] == found.hash
