"""The settings of a training run, and the components that they name.

Their defaults are data, in `run_config.yaml` beside this file. A program with settings of its own
extends `RunConfig` by fields and gives its file on top:

    @dataclass(frozen=True, kw_only=True)
    class Settings(RunConfig):
        width: int

    run = Schema(Settings).from_command_line(DEFAULTS, Path("charlm.yaml"))
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from msgspec import Meta

from codex_ml.registry import Registry, RegistryError
from codex_ml.training import TrainerConfig  # noqa: TC001 - the schema reads annotations

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import torch

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
        _check_name(OPTIMIZERS, self.name)

    def build(
        self, parameters: Iterable[torch.nn.Parameter], **options: Any
    ) -> torch.optim.Optimizer:
        """The optimizer of `parameters`; `options` are its own, such as `betas`."""
        make = OPTIMIZERS.get(self.name)
        return make(parameters, lr=self.learning_rate, weight_decay=self.weight_decay, **options)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleConfig:
    """Which schedule of `SCHEDULES`, and its warm-up in steps."""

    name: str
    warmup: Annotated[int, Meta(ge=0)]

    def __post_init__(self) -> None:
        _check_name(SCHEDULES, self.name)

    def build(self, steps: int) -> Callable[[int], float]:
        """The factor of the learning rate at each of `steps` steps."""
        return SCHEDULES.get(self.name)(self.warmup, steps)


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """Settings of a training run; what each means stands beside its default."""

    output: Path
    seed: Annotated[int, Meta(ge=0, lt=2**32)]
    deterministic: bool
    device: str
    steps: AtLeastOne
    batch_size: AtLeastOne
    optimizer: OptimizerConfig
    schedule: ScheduleConfig
    trainer: TrainerConfig


def _check_name(registry: Registry[Any], name: str) -> None:
    """Refuse an unknown name when settings are read, not when the run gets to it."""
    try:
        registry.check(name)
    except RegistryError as error:
        raise ValueError(f"name={name}: {error}") from error
