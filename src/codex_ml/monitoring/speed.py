"""How fast a run trains: seconds a step, tokens a second, and the share of the device in use."""

from __future__ import annotations

import logging
from dataclasses import KW_ONLY, dataclass
from typing import TYPE_CHECKING, Any

from codex_ml.checks import at_least_one

if TYPE_CHECKING:
    from codex_ml.tracking.base import Tracker
    from codex_ml.training import Step, Trainer

_log = logging.getLogger(__name__)


def flops_per_token(parameters: int, layers: int, width: int, sequence: int) -> float:
    """Operations a token of a transformer's training step, forward and backward.

    6N + 12LdT: Chowdhery et al., "PaLM", 2022, appendix B. Recomputed activations do not count.

    Args:
        parameters: N, without embeddings that are only looked up.
        layers: L, of attention.
        width: d, of all heads together.
        sequence: T, tokens of context.
    """
    return 6 * parameters + 12 * layers * width * sequence


@dataclass(eq=False)
class StepReport:
    """Logs loss, gradient norm, learning rate and speed of a trainer every few steps.

    Means are over the steps since the report before, weighted by their tokens for the loss;
    tokens are those of all ranks, model FLOPs utilisation that of one's device.

    Args:
        tracker: where to.
        every: steps in a report; the last of a run may have fewer.
        flops_per_token: of the model, see the function of that name.
        peak_flops: of the device in the precision trained in, from its data sheet, dense; with
            both given, `train/mfu` is logged.

    Raises:
        ValueError: `every` is below 1.
    """

    tracker: Tracker
    _: KW_ONLY
    every: int = 10
    flops_per_token: float | None = None
    peak_flops: float | None = None

    def __post_init__(self) -> None:
        at_least_one(every=self.every)
        self._ranks = 1
        self._steps: list[Step] = []

    def attach(self, trainer: Trainer[Any]) -> None:
        """Report on `trainer`: its steps, its evaluations, and what is left when it stops."""
        # Whoever has a trainer has paid for importing torch; whoever only logs need not.
        from codex_ml.training import Event  # noqa: PLC0415

        self._ranks = trainer.ranks.world
        trainer.on(Event.STEP, self._step)
        trainer.on(Event.EVALUATED, self._evaluated)
        trainer.on(Event.STOP, lambda _: self._report())

    def _step(self, trainer: Trainer[Any]) -> None:
        if trainer.last is not None:
            self._steps.append(trainer.last)
        if len(self._steps) >= self.every:
            self._report()

    def _evaluated(self, trainer: Trainer[Any]) -> None:
        self.tracker.log_metrics(trainer.metrics, trainer.step)
        _log.info("step %d: %s", trainer.step, _text(trainer.metrics))

    def _report(self) -> None:
        if not self._steps:
            return
        steps, self._steps = self._steps, []
        last = steps[-1]
        tokens = sum(step.tokens for step in steps)
        seconds = sum(step.seconds for step in steps)
        tokens_per_second = tokens / seconds if seconds else 0.0
        metrics = {
            "train/loss": sum(step.loss * step.tokens for step in steps) / max(1, tokens),
            "train/grad_norm": last.grad_norm,
            "train/learning_rate": last.learning_rate,
            "train/step_seconds": seconds / len(steps),
            "train/tokens_per_second": tokens_per_second,
            "train/skipped_steps": sum(not step.applied for step in steps),
        }
        if self.flops_per_token and self.peak_flops:
            used = tokens_per_second / self._ranks * self.flops_per_token
            metrics["train/mfu"] = used / self.peak_flops
        self.tracker.log_metrics(metrics, last.step)
        _log.info("step %d: %s", last.step, _text(metrics))


def _text(metrics: dict[str, float]) -> str:
    return ", ".join(
        f"{name.removeprefix('train/')} {value:.4g}" for name, value in metrics.items()
    )
