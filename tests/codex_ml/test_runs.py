"""A run's directory, what may change on a resume, and its last step."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch.utils.data import TensorDataset

from codex_ml.checkpoint import CheckpointError, CheckpointStore
from codex_ml.config import Config, ConfigError, Schema
from codex_ml.data import ResumableLoader
from codex_ml.evaluation import write_task
from codex_ml.run_config import DEFAULTS, RunConfig
from codex_ml.runs import RunError, judge, load_run, open_run, train, watched
from codex_ml.tracking import records
from codex_ml.training import Event, Trainer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SCHEMA = Schema(RunConfig)


@pytest.fixture(autouse=True)
def own_logging() -> Iterator[None]:
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    yield
    for handler in [handler for handler in root.handlers if handler not in before]:
        root.removeHandler(handler)
        handler.close()
    root.setLevel(level)
    logging.captureWarnings(capture=False)


def configured(output: Path, **changes: str) -> Config[RunConfig]:
    overrides = {
        "output": str(output), "steps": "6", "schedule.total": "20", "batch_size": "2",
        **{key.replace("__", "."): value for key, value in changes.items()},
    }  # fmt: skip
    return SCHEMA.load(DEFAULTS, environ={}, overrides=overrides)


def trainer_of(run: Config[RunConfig]) -> Trainer[Any]:
    settings = run.settings
    model = torch.nn.Sequential(torch.nn.Linear(3, 1), torch.nn.Dropout(0.5))
    data = TensorDataset(torch.arange(24.0).reshape(8, 3).sin())
    return Trainer(
        model,
        settings.optimizer.build(model.parameters()),
        lambda model, batch: (model(batch[0]).square().sum(), len(batch[0])),
        ResumableLoader(data, settings.batch_size, seed=settings.seed),
        settings.trainer,
        schedule=settings.schedule.build(settings.steps),
        evaluation=[[data.tensors[0]]],
        store=CheckpointStore(settings.output / "checkpoints", keep_last=None),
        gate=settings.gate.build(),
        run_config=run.values,
    )


def go(run: Config[RunConfig]) -> Trainer[Any]:
    open_run(run)
    trainer = trainer_of(run)
    with watched(run, trainer):
        assert train(run, trainer)
    return trainer


def test_a_run_is_seeded_saved_and_watched(tmp_path: Path) -> None:
    run = configured(tmp_path / "run", deterministic="true", report_every="4")
    try:
        trainer = go(run)
        assert torch.are_deterministic_algorithms_enabled()
    finally:
        torch.use_deterministic_algorithms(mode=False)
    again = go(configured(tmp_path / "again"))
    assert torch.equal(trainer.model[0].weight, again.model[0].weight)  # type: ignore[index]
    lines = list(records(tmp_path / "run" / "metrics.jsonl"))
    assert lines[0]["params"]["seed"] == 0
    assert lines[0]["params"]["config_hash"] == run.hash
    named = [(line["step"], name) for line in lines[1:-1] for name in line["metrics"]]
    assert [step for step, name in named if name == "eval_loss"] == [0, 6]
    assert [step for step, name in named if name == "train/loss"] == [4, 6]
    assert "eval_loss" in (tmp_path / "run" / "run.log").read_text()


def test_the_last_step_is_saved_once_with_its_own_metrics(tmp_path: Path) -> None:
    for name, every in (("due", "3"), ("not_due", "4")):
        run = configured(tmp_path / name, trainer__save_every=every, trainer__evaluate_every="4")
        trainer = go(run)
        store = CheckpointStore(tmp_path / name / "checkpoints")
        assert [p.name.split("-")[-1] for p in store.paths()].count("00000006") == 1
        found = store.load()
        assert found.step == 6
        assert found.manifest["metrics"] == trainer.metrics == trainer.evaluate()


def test_a_resumed_run_goes_further_to_the_same_bits(tmp_path: Path) -> None:
    whole = go(configured(tmp_path / "whole", steps="9"))
    go(configured(tmp_path / "parts", steps="5"))
    resumed = go(configured(tmp_path / "parts", steps="9", resume="true"))
    assert torch.equal(whole.model[0].weight, resumed.model[0].weight)  # type: ignore[index]
    done = go(configured(tmp_path / "parts", steps="9", resume="true"))
    assert done.step == 9
    assert len(CheckpointStore(tmp_path / "parts" / "checkpoints").paths()) == 2


def test_a_run_that_is_stopped_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:  # fmt: skip
    run = configured(tmp_path / "run")
    open_run(run)
    trainer = trainer_of(run)
    trainer.on(Event.STEP, lambda subject: subject.stop() if subject.step == 2 else None)
    assert not train(run, trainer)
    assert "stopped at step 2; --resume continues" in caplog.text
    assert go(configured(tmp_path / "run", resume="true")).step == 6


def test_a_run_without_a_better_evaluation_ends_and_is_done(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    patient = {"trainer__evaluate_every": "1", "gate__patience": "2", "gate__min_delta": "1e9"}
    ended = go(configured(tmp_path / "run", **patient))  # the first is the best, however little
    assert ended.step == 3
    assert "ended at step 3: none better since step 1" in caplog.text
    assert "--resume continues" not in caplog.text
    assert go(configured(tmp_path / "run", resume="true", **patient)).step == 3
    patient["gate__patience"] = "null"
    assert go(configured(tmp_path / "run", resume="true", **patient)).step == 6


def test_what_was_killed_before_its_first_checkpoint_is_resumed_from_its_beginning(
    tmp_path: Path,
) -> None:
    open_run(configured(tmp_path / "killed"))
    killed = go(configured(tmp_path / "killed", resume="true"))
    whole = go(configured(tmp_path / "whole"))
    assert torch.equal(whole.model[0].weight, killed.model[0].weight)  # type: ignore[index]


def test_a_directory_is_begun_once(tmp_path: Path) -> None:
    open_run(configured(tmp_path / "run"))
    with pytest.raises(RunError, match=r"run: holds a run; continue it with --resume, or name"):
        open_run(configured(tmp_path / "run"))
    with pytest.raises(RunError, match=r"other: holds no run to resume; leave out --resume"):
        open_run(configured(tmp_path / "other", resume="true"))


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("seed", "1", r"config\.yaml: seed: was 0 and is now 1; a run continues exactly only"),
        ("trainer__accumulate", "2", r"trainer\.accumulate: was 1 and is now 2"),
        ("schedule__total", "30", r"schedule\.total: was 20 and is now 30"),
    ],
)
def test_a_resumed_run_computes_as_it_was_begun(
    key: str, value: str, message: str, tmp_path: Path
) -> None:
    open_run(configured(tmp_path / "run"))
    before = (tmp_path / "run" / "config.yaml").read_text()
    with pytest.raises(RunError, match=message):
        open_run(configured(tmp_path / "run", resume="true", **{key: value}))
    assert (tmp_path / "run" / "config.yaml").read_text() == before
    free = {"steps": "9", "report_every": "2", "trainer__save_every": "1", "thresholds": "[mae<1]"}
    open_run(configured(tmp_path / "run", resume="true", **free))


def test_steps_may_change_only_under_a_schedule_that_does_not_end_with_them(
    tmp_path: Path,
) -> None:
    open_run(configured(tmp_path / "run", schedule__total="null"))
    with pytest.raises(RunError, match="steps: was 6 and is now 9"):
        open_run(configured(tmp_path / "run", schedule__total="null", steps="9", resume="true"))


def test_a_model_is_judged_by_the_thresholds(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_task(
        tmp_path / "ages.toml", [{"id": n, "age": n} for n in range(20)],
        metrics=["mae"], target="age",
    )  # fmt: skip

    def predict(rows: Any) -> list[dict[str, float]]:
        return [{"prediction": row["age"] + row["age"] % 3} for row in rows]

    for bound, good in (("2", True), ("0.5", False)):
        run = configured(tmp_path / bound, thresholds=f"[mae<{bound}]")
        open_run(run)
        trainer = trainer_of(run)
        with watched(run, trainer) as tracker:
            assert judge(run, trainer, tracker, tmp_path / "ages.toml", predict) is good
        report = json.loads((tmp_path / bound / "evaluation.json").read_text())
        assert report["passed"] is good
        lines = list(records(tmp_path / bound / "metrics.jsonl"))
        found = [line["metrics"] for line in lines if "test/mae" in line.get("metrics", {})]
        assert found == [{"test/mae": report["metrics"]["mae"]["value"]}]
    told = capsys.readouterr().out
    assert "holds: mae < 2" in told
    assert "FAILS: mae < 0.5" in told


def test_a_run_is_loaded_for_its_model(tmp_path: Path) -> None:
    go(configured(tmp_path / "run"))
    settings, found = load_run(SCHEMA, tmp_path / "run")
    assert (settings.steps, settings.device, found.step) == (6, "cpu", 6)
    with pytest.raises(RunError, match="give --checkpoint the directory of a run"):
        load_run(SCHEMA, None)
    with pytest.raises(ConfigError, match=r"config\.yaml: cannot be read"):
        load_run(SCHEMA, tmp_path)
    open_run(configured(tmp_path / "begun"))
    with pytest.raises(CheckpointError, match="it holds none"):
        load_run(SCHEMA, tmp_path / "begun")
