"""What monitoring costs a training step: the same training with and without it, in one run.

    pip install 'codex-audit[trainer,monitoring]' && python benchmarks/monitoring.py

Three trainers of one model take turns of twenty steps, some five milliseconds each: one bare, one
that reports into a tracked file and a log of text and of JSON, and one beside the sampler of the
machine. Both do it far more often than by default, reports after each step and samples ten a
second: their cost then stands out from the noise of a machine that does other things too.

- `reports` and `samples` are the ratios of the processor time that a step takes with them and in
  the bare turn beside it: the median over all rounds, with the 95 % interval of a bootstrap over
  them. Processor time is that of the whole process, sampler included; others change it less than
  the time on the clock.
- `both` is the ratio by default: a tenth of what reports cost, and a hundredth of what samples do.
- `share` is what the calls for both take, as often as by default, by the time of a step.

It exits 1 if the share is above one in a hundred, or `both`.
"""

from __future__ import annotations

import argparse
import json
import logging
import random
import statistics
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.utils.data import TensorDataset

from codex_ml.data import ResumableLoader
from codex_ml.monitoring import MachineSampler, StepReport, setup_logging
from codex_ml.monitoring.machine import measure
from codex_ml.tracking import open_tracker
from codex_ml.training import Trainer

if TYPE_CHECKING:
    from collections.abc import Callable

LIMIT = 0.01
STEP_SECONDS = 0.005
INTERVAL = 10.0  # the sampler's default
EVERY = 10  # that of reports
OFTEN = 100
WIDEST = 4096


def loss(model: nn.Module, batch: Any) -> tuple[Tensor, int]:
    """Squared outputs, which need no targets."""
    (rows,) = batch
    return model(rows).square().sum(), rows.numel()


def make(width: int, count: int) -> list[Trainer[Any]]:
    """Trainers of one small network, which differ in nothing but their place in memory."""
    model = nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.Linear(width, width))
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-6)
    data: Any = TensorDataset(torch.randn(512, width))
    loaders: list[ResumableLoader[Any]] = [ResumableLoader(data, 64, seed=1) for _ in range(count)]
    return [Trainer(model, optimizer, loss, loader) for loader in loaders]


def spend(trainer: Trainer[Any], steps: int) -> tuple[float, float]:
    """Seconds of the processors and of the clock that `steps` steps take, by step."""
    processor, clock = time.process_time(), time.perf_counter()
    trainer.train(trainer.step + steps)
    return (time.process_time() - processor) / steps, (time.perf_counter() - clock) / steps


def fitting_width() -> int:
    """The width at which a step takes about `STEP_SECONDS`."""
    width = 128
    while width < WIDEST:
        (trainer,) = make(width, 1)
        trainer.train(5)
        if spend(trainer, 20)[0] >= STEP_SECONDS:
            break
        width = int(width * 1.2)
    return width


def summary(ratios: list[float]) -> dict[str, float]:
    """The median and its 95 % interval, from 2000 samples with replacement."""
    draw = random.Random(0)  # noqa: S311 - a bootstrap, not a secret
    medians = sorted(statistics.median(draw.choices(ratios, k=len(ratios))) for _ in range(2000))
    found = {"ratio": statistics.median(ratios), "low": medians[50], "high": medians[1949]}
    return {name: round(value, 4) for name, value in found.items()}


def seconds_a_call(call: Callable[[], object], after: Callable[[], object]) -> float:
    """On the clock, the median of 200 calls, each after another one of `after`.

    A call that follows itself finds in the caches what a step of training has driven out.
    """
    taken = []
    for _ in range(200):
        after()
        started = time.perf_counter()
        call()
        taken.append(time.perf_counter() - started)
    return statistics.median(taken)


def compare(rounds: int, steps: int, run: Path) -> dict[str, Any]:
    """Let the three take turns, `rounds` times, with the files of monitoring in `run`."""
    bare, reporting, sampled = make(fitting_width(), 3)
    with open_tracker("jsonl", run) as tracker:
        StepReport(tracker, every=1).attach(reporting)

        def beside_the_sampler() -> tuple[float, float]:
            with MachineSampler(tracker, run, interval=INTERVAL / OFTEN):
                return spend(sampled, steps)

        turns: dict[str, Callable[[], tuple[float, float]]] = {
            "bare": lambda: spend(bare, steps),
            "reports": lambda: spend(reporting, steps),
            "samples": beside_the_sampler,
        }
        taken: dict[str, list[tuple[float, float]]] = {name: [] for name in turns}
        for number in range(rounds + 1):
            # Each goes first as often as the others.
            names = sorted(turns, key=lambda name: (list(turns).index(name) + number) % len(turns))
            for name in names:
                spent = turns[name]()
                if number:  # the first warms up
                    taken[name].append(spent)

        # The same calls by themselves: a report, and a sample.
        hooks: list[Callable[[Trainer[Any]], None]] = []
        listener: Any = SimpleNamespace(
            on=lambda _, callback: hooks.append(callback), ranks=SimpleNamespace(world=1)
        )
        StepReport(tracker, every=1).attach(listener)

        def one_step() -> object:
            return spend(bare, 1)

        reported = seconds_a_call(lambda: hooks[0](bare), one_step) / EVERY
        measured = seconds_a_call(lambda: tracker.log_metrics(measure(run), 0), one_step)
    reports, samples = (
        [with_it[0] / plain[0] for with_it, plain in zip(taken[name], taken["bare"], strict=True)]
        for name in ("reports", "samples")
    )
    both = [
        1 + (one - 1) / EVERY + (other - 1) / OFTEN
        for one, other in zip(reports, samples, strict=True)
    ]
    step = statistics.median(clock for _, clock in taken["bare"])
    return {
        "step_ms": round(1000 * step, 3),
        "rounds": rounds,
        "reports": summary(reports),
        "samples": summary(samples),
        "both": summary(both),
        "share": round(reported / step + measured / INTERVAL, 5),
    }


def main() -> int:
    """Measure, print one JSON object and judge it."""
    parser = argparse.ArgumentParser(description="What monitoring costs a training step.")
    parser.add_argument("--rounds", type=int, default=150, help="turns of each (default: 150)")
    parser.add_argument("--steps", type=int, default=20, help="steps a turn (default: 20)")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as scratch:
        run = Path(scratch) / "run"
        for handler in setup_logging(run, level="INFO").handlers:
            if handler.name == "codex_ml.console":
                handler.setLevel(logging.ERROR)
        found = compare(chosen.rounds, chosen.steps, run)
        setup_logging()  # lets go of the files
    print(json.dumps(found, indent=2))
    return int(found["share"] > LIMIT or found["both"]["ratio"] > 1 + LIMIT)


if __name__ == "__main__":
    raise SystemExit(main())
