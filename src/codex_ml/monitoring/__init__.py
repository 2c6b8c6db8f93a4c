"""What a run does while it runs: its messages, its speed, and its machine."""

from codex_ml.monitoring.logs import setup_logging
from codex_ml.monitoring.machine import MachineSampler
from codex_ml.monitoring.speed import StepReport, flops_per_token

__all__ = ["MachineSampler", "StepReport", "flops_per_token", "setup_logging"]
