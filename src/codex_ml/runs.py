"""A run from its settings to its report: begun once, continued exactly, watched, and judged."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from codex_ml import evaluation, seeding
from codex_ml.checkpoint import Checkpoint, CheckpointStore
from codex_ml.config import Config, Schema, read_config
from codex_ml.environment import flattened
from codex_ml.evaluation import Predict, Threshold
from codex_ml.monitoring import MachineSampler, StepReport, setup_logging
from codex_ml.run_config import RunConfig
from codex_ml.tracking import Tracker, open_tracker, start_run
from codex_ml.training import Event, Trainer

R = TypeVar("R", bound=RunConfig)

FREE = {
    "gate.min_delta", "gate.patience", "output", "report_every", "resume", "steps", "thresholds",
    "trackers", "trainer.evaluate_every", "trainer.save_every",
}  # fmt: skip
"""What a resumed run may change: how far it goes, how it is watched and how it is judged."""
_log = logging.getLogger(__name__)


class RunError(ValueError):
    """A directory that cannot take this run; the message says why and what to do."""


def open_run(run: Config[R]) -> None:
    """Begin a run in `output`, or with `resume` continue the one there; log, seed, save settings.

    A resumed run may change what `FREE` names and no setting that it computes by; `steps` only
    where `schedule.total` says where the schedule ends. What was killed before its first
    checkpoint is resumed too, from its beginning.

    Raises:
        RunError: there is a run already, or none to continue, or it had other settings.
        ConfigError: the settings of the run to continue cannot be read.
        OSError: the directory cannot be read or written.
        DeterminismError: `deterministic`, and it is too late for it.
    """
    settings = run.settings
    path = settings.output / "config.yaml"
    if settings.resume:
        _check_same(run, path)
    elif path.exists():
        said = "holds a run; continue it with --resume, or name another --output"
        raise RunError(f"{settings.output}: {said}")
    run.save(settings.output)
    setup_logging(settings.output)
    if settings.deterministic:
        seeding.deterministic()
    seeding.seed_everything(settings.seed)


@contextmanager
def watched(run: Config[R], trainer: Trainer[Any]) -> Iterator[Tracker]:
    """Track a run while the block runs: what it is, its steps and evaluations, and the machine."""
    settings = run.settings
    with (
        open_tracker(settings.trackers, settings.output) as tracker,
        MachineSampler(tracker, settings.output, step=lambda: trainer.step),
    ):
        start_run(tracker, run.values, seed=settings.seed)
        StepReport(tracker, every=settings.report_every).attach(trainer)
        yield tracker


def train(run: Config[R], trainer: Trainer[Any]) -> bool:
    """Train to `steps`, evaluated before the first and after the last.

    With `resume` from the newest intact checkpoint of the trainer's store, if there is one.

    Returns:
        Whether it got there, or its gate ended it; if not, the log says how to go on.
    """
    if run.settings.resume and trainer.store and trainer.store.paths():
        _log.info("resumed from %s", trainer.load().path)
    steps, every = run.settings.steps, run.settings.trainer.evaluate_every

    def evaluate_the_last(subject: Trainer[Any]) -> None:
        # Before it is saved, so that its checkpoint has its own metrics.
        if subject.step == steps and (every is None or steps % every):
            subject.evaluate()

    trainer.on(Event.STEP, evaluate_the_last)
    if trainer.step == 0:
        trainer.evaluate()
    gate = trainer.gate
    if gate is None or not gate.exhausted:  # one that was resumed may have come to its end before
        trainer.train(steps)
    if trainer.step >= steps:
        return True
    if gate and gate.exhausted:
        _log.info("ended at step %d: none better since step %s", trainer.step, gate.best_step)
        return True
    _log.warning("stopped at step %d; --resume continues", trainer.step)
    return False


def judge(
    run: Config[R], trainer: Trainer[Any], tracker: Tracker, task: Path, predict: Predict
) -> bool:
    """Evaluate on a task: results in `evaluation.json`, the tracker and on the terminal.

    The tracker gets each metric as `test/<name>`.

    Returns:
        Whether all of the run's `thresholds` hold, and the task's own.
    """
    read = evaluation.read_task(task)
    thresholds = [Threshold.parse(text) for text in run.settings.thresholds]
    said = evaluation.predictions_of(read, predict)
    results = evaluation.evaluate(read, said, thresholds=thresholds)
    evaluation.save_evaluation(results, run.settings.output / "evaluation.json")
    values = {f"test/{name}": found["value"] for name, found in results["metrics"].items()}
    defined = {name: value for name, value in values.items() if value is not None}
    tracker.log_metrics(defined, trainer.step)
    print(evaluation.summary(results))
    return bool(results["passed"])


def load_run(schema: Schema[R], directory: Path | None) -> tuple[R, Checkpoint]:
    """The settings of a run and its newest intact checkpoint, for using its model on the CPU.

    `directory` is the run's `output`, with the checkpoints in `checkpoints`.

    Raises:
        RunError: no directory is given.
        ConfigError: there is no run in it, or one of other settings.
        CheckpointError: it has no intact checkpoint.
    """
    if directory is None:
        raise RunError("give --checkpoint the directory of a run")
    path = directory / "config.yaml"
    settings = schema.load(path, environ={}, overrides={"device": "cpu"}).settings
    return settings, CheckpointStore(directory / "checkpoints").load()


def _check_same(run: Config[R], path: Path) -> None:
    if not path.exists():
        raise RunError(f"{path.parent}: holds no run to resume; leave out --resume to begin one")
    before = flattened(read_config(path))
    free = FREE - ({"steps"} if run.settings.schedule.total is None else set())
    for key, value in flattened(run.values).items():
        if key not in free and before.get(key) != value:
            changed = f"was {before.get(key)!r} and is now {value!r}"
            remedy = "a run continues exactly only as it was begun: give that, or another --output"
            raise RunError(f"{path}: {key}: {changed}; {remedy}")
