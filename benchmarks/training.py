"""What the Trainer costs: its steps beside a bare PyTorch loop's, side by side in one run.

    python benchmarks/training.py [--milliseconds 5] [--rounds 15] [--device cpu]

All take the same model from the same start over the same batches with the same optimizer, clip
gradients to a norm of one and read the loss of each step, and must give the same losses. Lightning
Fabric and transformers.Trainer take part where they are installed. A round runs each for some
steps, in another order each time; shown is the median over rounds of a contender's time divided
by that of the bare loop in the same round. On a CPU the time is that of the processor, in one
thread, since a machine that is not quiet makes any wall clock useless.
"""

from __future__ import annotations

import argparse
import gc
import logging
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import redirect_stdout
from importlib import import_module
from io import StringIO
from statistics import median
from typing import Any

import torch
from torch import Tensor, nn

from codex_ml.training import Trainer, TrainerConfig

WIDTH, DEPTH, ROWS = 96, 6, 16
STEPS = 20
WARM = 5

Run = Callable[[int], tuple[float, list[float]]]
"""Train so many steps more: the seconds that they took, without set-up, and the loss of each."""


class Model(nn.Module):
    """`DEPTH` blocks of two layers and a norm."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.blocks = nn.ModuleList(
            nn.Sequential(
                nn.LayerNorm(WIDTH),
                nn.Linear(WIDTH, 2 * WIDTH),
                nn.GELU(),
                nn.Linear(2 * WIDTH, WIDTH),
            )
            for _ in range(DEPTH)
        )

    def forward(self, x: Tensor) -> Tensor:
        """(rows, width) -> the same."""
        for block in self.blocks:
            x = x + block(x)
        return x


class Batches:
    """The same batch for ever: what is measured is the step, not the data."""

    def __init__(self, rows: int, device: str) -> None:
        generator = torch.Generator().manual_seed(1)
        self.batch = torch.randn(rows, WIDTH, generator=generator).to(device)

    def __iter__(self) -> Iterator[Tensor]:
        while True:
            yield self.batch

    def state_dict(self) -> dict[str, Any]:
        """Nothing."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Nothing."""


def loss_of(model: nn.Module, batch: Tensor) -> tuple[Tensor, int]:
    """Squared distance to one, summed, and over how many rows."""
    return (model(batch) - 1).square().mean(1).sum(), len(batch)


def parts(device: str) -> tuple[nn.Module, torch.optim.Optimizer]:
    """A model and its optimizer."""
    model = Model().to(device)
    return model, torch.optim.AdamW(model.parameters(), lr=1e-3)


def bare(batches: Batches, device: str) -> Run:
    """The loop that anyone would write."""
    model, optimizer = parts(device)
    now = clock(device)

    def run(steps: int) -> tuple[float, list[float]]:
        losses = []
        started = now()
        for _, batch in zip(range(steps), batches, strict=False):
            optimizer.zero_grad()
            total, count = loss_of(model, batch)
            loss = total / count
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            losses.append(loss.item())
        return now() - started, losses

    return run


def ours(batches: Batches, device: str) -> Run:
    """`codex_ml.training`, its non-finite guard and all."""
    trainer = Trainer(*parts(device), loss_of, batches, TrainerConfig(clip_norm=1.0))
    now = clock(device)

    def run(steps: int) -> tuple[float, list[float]]:
        started = now()
        losses = trainer.train(trainer.step + steps)
        return now() - started, losses

    return run


def fabric(batches: Batches, device: str) -> Run:
    """Lightning Fabric: the bare loop with its wrappers."""
    from lightning_fabric import Fabric  # noqa: PLC0415 - where it is installed

    logging.getLogger("lightning_fabric").setLevel(logging.ERROR)
    engine = Fabric(accelerator="cuda" if device == "cuda" else "cpu", devices=1)
    model, optimizer = engine.setup(*parts(device))
    now = clock(device)

    def run(steps: int) -> tuple[float, list[float]]:
        losses = []
        started = now()
        for _, batch in zip(range(steps), batches, strict=False):
            optimizer.zero_grad()
            total, count = loss_of(model, batch)
            loss = total / count
            engine.backward(loss)
            engine.clip_gradients(model, optimizer, max_norm=1.0)
            optimizer.step()
            losses.append(loss.item())
        return now() - started, losses

    return run


def hugging_face(batches: Batches, device: str) -> Run:
    """transformers.Trainer, told to report nothing and to save nothing."""
    import transformers  # noqa: PLC0415 - where it is installed

    transformers.logging.set_verbosity_error()
    model, optimizer = parts(device)
    rows = list(batches.batch.cpu())
    now = clock(device)
    losses: list[float] = []
    times: list[float] = []

    class Subject(transformers.Trainer):
        def compute_loss(self, model: nn.Module, inputs: Any, *_: Any, **__: Any) -> Tensor:
            total, count = loss_of(model, inputs["x"])
            loss = total / count
            losses.append(loss.item())
            return loss

        def get_train_dataloader(self) -> Any:
            return [{"x": batches.batch}] * self.args.max_steps

    class Watch(transformers.TrainerCallback):
        """Its set-up costs more than a step and is no part of one."""

        def on_step_begin(self, *_: Any, **__: Any) -> None:
            times.append(now())

        def on_step_end(self, *_: Any, **__: Any) -> None:
            times.append(now())

    def run(steps: int) -> tuple[float, list[float]]:
        losses.clear()
        times.clear()
        with tempfile.TemporaryDirectory() as directory, redirect_stdout(StringIO()):
            arguments = transformers.TrainingArguments(
                directory, max_steps=steps, max_grad_norm=1.0, report_to="none",
                logging_strategy="no", save_strategy="no", disable_tqdm=True,
                lr_scheduler_type="constant", per_device_train_batch_size=len(rows),
                use_cpu=device == "cpu",
            )  # fmt: skip
            subject = Subject(model, arguments, train_dataset=rows, optimizers=(optimizer, None))
            subject.add_callback(Watch())
            subject.train()
        return times[-1] - times[0], list(losses)

    return run


CONTENDERS: dict[str, tuple[Callable[[Batches, str], Run], str]] = {
    "bare loop": (bare, "torch"),
    "codex_ml Trainer": (ours, "torch"),
    "Lightning Fabric": (fabric, "lightning_fabric"),
    "transformers.Trainer": (hugging_face, "transformers"),
}


def clock(device: str) -> Callable[[], float]:
    """Seconds: of the processor on a CPU; elsewhere of the wall, once the device is done."""
    if device == "cpu":
        return time.process_time

    def now() -> float:
        torch.cuda.synchronize()
        return time.perf_counter()

    return now


def rows_for(milliseconds: float, device: str) -> int:
    """How many rows make a bare step take about so long."""
    rows = ROWS
    while True:
        run = bare(Batches(rows, device), device)
        run(WARM)
        took = min(timed(run, 10) for _ in range(5)) / 10 * 1000
        if took >= 0.95 * milliseconds:
            return rows
        rows = int(rows * max(1.1, min(4, milliseconds / took)))


def timed(run: Run, steps: int) -> float:
    """Seconds of `steps` steps; garbage is collected before, not within."""
    gc.collect()
    gc.disable()
    took, _ = run(steps)
    gc.enable()
    return took


def main() -> int:
    """Print the table; 1 when two ways to train do not give the same losses."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--milliseconds", type=float, default=5.0, help="of a bare step")
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows = rows_for(options.milliseconds, options.device)
    runs: dict[str, Run] = {}
    for name, (make, package) in CONTENDERS.items():
        try:
            runs[name] = make(Batches(rows, options.device), options.device)
        except ModuleNotFoundError as error:
            print(f"{name}: left out, {package} is not installed ({error.name})")
    first = {name: run(WARM)[1] for name, run in runs.items()}
    for name, losses in first.items():
        if any(abs(a - b) > 1e-5 * abs(b) for a, b in zip(losses, first["bare loop"], strict=True)):
            print(f"{name}: losses {losses}, the bare loop's {first['bare loop']}", file=sys.stderr)
            return 1
    times: dict[str, list[float]] = {name: [] for name in runs}
    order = list(runs)
    for _ in range(options.rounds):
        random.shuffle(order)
        for name in order:
            times[name].append(timed(runs[name], STEPS) / STEPS * 1000)
    print(
        f"torch {torch.__version__}, {options.device}, {rows} rows a step, {options.rounds} rounds"
    )
    print(f"{'':22} {'version':>9} {'ms a step':>10} {'least':>8} {'overhead':>9}")
    for name, each in times.items():
        ratio = median(a / b for a, b in zip(each, times["bare loop"], strict=True))
        least = min(each)
        installed = import_module(CONTENDERS[name][1]).__version__.split("+")[0]
        print(
            f"{name:22} {installed:>9} {median(each):10.3f} {least:8.3f} {(ratio - 1) * 100:8.1f}%"
        )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
