"""The settings of a training run, and the components that they name.

Their defaults are data, in `run_config.yaml` beside this file. A program with settings of its own
extends `RunConfig` by fields and gives its file on top:

    @dataclass(frozen=True, kw_only=True)
    class Settings(RunConfig):
        width: int

    run = Schema(Settings).from_command_line(DEFAULTS, Path("charlm.yaml"))
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import torch
from msgspec import Meta

from codex_ml.callbacks import EvaluationGate
from codex_ml.evaluation import Threshold
from codex_ml.registry import Registry
from codex_ml.tracking import Kind
from codex_ml.training import TrainerConfig

DEFAULTS = Path(__file__).with_name("run_config.yaml")

OPTIMIZERS: Registry[Callable[..., torch.optim.Optimizer]] = Registry(
    "optimizer",
    group="codex_ml.optimizers",
    builtin={"adamw": "torch.optim:AdamW", "sgd": "torch.optim:SGD"},
)
"""Name -> (parameters, lr=, weight_decay=) -> optimizer."""

SCHEDULES: Registry[Callable[[int, int], Callable[[int], float]]] = Registry(
    "schedule",
    group="codex_ml.schedules",
    builtin={
        "warmup_cosine": "codex_ml.schedules:warmup_cosine",
        "warmup_linear": "codex_ml.schedules:warmup_linear",
    },
)
"""Name -> (steps of warm-up, steps in all) -> factor of the learning rate at each step."""

AtLeastOne = Annotated[int, Meta(ge=1)]


@dataclass(frozen=True, slots=True, kw_only=True)
class OptimizerConfig:
    """Which optimizer of `OPTIMIZERS`, and how it is made."""

    name: str
    learning_rate: Annotated[float, Meta(gt=0)]
    weight_decay: Annotated[float, Meta(ge=0)]

    def __post_init__(self) -> None:
        OPTIMIZERS.check(self.name, key="name")

    def build(
        self, parameters: Iterable[torch.nn.Parameter], **options: Any
    ) -> torch.optim.Optimizer:
        """The optimizer of `parameters`; `options` are its own, such as `betas`."""
        make = OPTIMIZERS.get(self.name)
        return make(parameters, lr=self.learning_rate, weight_decay=self.weight_decay, **options)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleConfig:
    """Which schedule of `SCHEDULES`, its warm-up in steps, and where it ends."""

    name: str
    warmup: Annotated[int, Meta(ge=0)]
    total: AtLeastOne | None

    def __post_init__(self) -> None:
        SCHEDULES.check(self.name, key="name")

    def build(self, steps: int) -> Callable[[int], float]:
        """The factor of the learning rate at each step; it ends at `total`, or at `steps`."""
        return SCHEDULES.get(self.name)(self.warmup, self.total or steps)


@dataclass(frozen=True, slots=True, kw_only=True)
class GateConfig:
    """When evaluations that bring no lower loss end the run early."""

    patience: AtLeastOne | None
    min_delta: Annotated[float, Meta(ge=0)]

    def build(self) -> EvaluationGate:
        """The gate of the evaluation loss."""
        return EvaluationGate(patience=self.patience, min_delta=self.min_delta)


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """Settings of a training run; what each means stands beside its default."""

    output: Path
    resume: bool
    trackers: tuple[Kind, ...]
    seed: Annotated[int, Meta(ge=0, lt=2**32)]
    deterministic: bool
    device: str
    steps: AtLeastOne
    batch_size: AtLeastOne
    optimizer: OptimizerConfig
    schedule: ScheduleConfig
    trainer: TrainerConfig
    gate: GateConfig
    report_every: AtLeastOne
    thresholds: tuple[str, ...]

    def __post_init__(self) -> None:
        _check_device(self.device)
        for text in self.thresholds:
            try:
                Threshold.parse(text)
            except ValueError as error:
                raise ValueError(f"thresholds={text}: {error}") from error


def _check_device(name: str) -> None:
    """Refuse a device that is not there, without starting CUDA: determinism is set up later."""
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ValueError(f"device={name}: torch knows none of that name; give cpu") from error
    devices = torch.cuda.device_count()
    if device.type == "cuda" and (device.index or 0) >= devices:
        raise ValueError(f"device={name}: there are {devices} CUDA devices here; give cpu")
