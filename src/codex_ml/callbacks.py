"""What watches a training run: a gate for its evaluations, a progress bar, and SIGTERM."""

from __future__ import annotations

import math
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType
from typing import TYPE_CHECKING, Any

from codex_ml import optional
from codex_ml.checks import Mode, at_least_one, one_of
from codex_ml.environment import rank
from codex_ml.training_types import Event

if TYPE_CHECKING:
    from codex_ml.training import Trainer


class GateError(RuntimeError):
    """A run whose best evaluation is not good enough."""


@dataclass(slots=True, kw_only=True)
class EvaluationGate:
    """Tells by one metric which evaluation is best, when to stop, and whether it is good enough.

    Attributes:
        metric: its name in `Trainer.metrics`.
        mode: whether a smaller ("min") or larger ("max") value is better.
        min_delta: by how much an evaluation must beat the best to count as better.
        patience: evaluations without a better one after which the run stops; None never stops.
        threshold: the value that `require` demands of the best; None demands nothing.
        best, best_step: the best value so far and its step; None before the first.
    """

    metric: str = "eval_loss"
    mode: Mode = "min"
    min_delta: float = 0.0
    patience: int | None = None
    threshold: float | None = None
    best: float | None = field(default=None, init=False)
    best_step: int | None = field(default=None, init=False)
    _without: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        one_of(Mode, mode=self.mode)
        at_least_one(patience=self.patience)

    def update(self, metrics: Mapping[str, float], step: int) -> bool:
        """Judge an evaluation; whether it is the best so far. NaN never is.

        Raises:
            KeyError: `metric` is not among them.
        """
        if self.metric not in metrics:
            raise KeyError(f"no metric {self.metric!r} to judge by; there are {sorted(metrics)}")
        value = float(metrics[self.metric])
        self._without += 1
        if math.isnan(value):
            return False
        if self.best is not None and self._gain(value, self.best) <= self.min_delta:
            return False
        self.best, self.best_step, self._without = value, step, 0
        return True

    @property
    def exhausted(self) -> bool:
        """Whether patience has come to its end."""
        return self.patience is not None and self._without >= self.patience

    def require(self) -> None:
        """Demand that the best evaluation reaches the threshold.

        Raises:
            GateError: it does not, or there was none.
        """
        if self.threshold is None:
            return
        if self.best is None or self._gain(self.best, self.threshold) < 0:
            need = "at most" if self.mode == "min" else "at least"
            best = "none" if self.best is None else f"{self.best:g}, at step {self.best_step}"
            raise GateError(f"{self.metric} must be {need} {self.threshold:g}; the best is {best}")

    def state_dict(self) -> dict[str, Any]:
        """What a resumed run must know."""
        return {"best": self.best, "best_step": self.best_step, "without": self._without}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from `state`."""
        self.best, self.best_step = state["best"], state["best_step"]
        self._without = state["without"]

    def _gain(self, value: float, over: float) -> float:
        return over - value if self.mode == "min" else value - over


def show_progress(trainer: Trainer[Any], steps: int) -> None:
    """Show a bar of `steps`, with the loss, on standard error; none in a file or on other ranks.

    Of tqdm and rich, tqdm: it has no dependencies and costs a microsecond a step.

    Raises:
        ModuleNotFoundError: tqdm is not installed.
    """
    tqdm = optional.load("tqdm", extra="trainer").tqdm
    bars: list[Any] = []

    def start(subject: Trainer[Any]) -> None:
        hidden = True if rank() else None  # None: unless a terminal
        bars.append(tqdm(total=steps, initial=subject.step, unit="step", disable=hidden))

    def update(subject: Trainer[Any]) -> None:
        if subject.last:
            bars[-1].set_postfix_str(f"loss {subject.last.loss:.4g}", refresh=False)
        bars[-1].update()

    trainer.on(Event.START, start)
    trainer.on(Event.STEP, update)
    trainer.on(Event.STOP, lambda _: bars.pop().close())


@contextmanager
def calling_on_sigterm(stop: Callable[[], None]) -> Iterator[None]:
    """Call `stop` on SIGTERM, which schedulers send before they kill, instead of dying at once."""

    def handle(number: int, frame: FrameType | None) -> None:
        del number, frame
        stop()

    try:
        before = signal.signal(signal.SIGTERM, handle)
    except ValueError:  # only the main thread may; elsewhere whoever owns it calls stop()
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
