"""trainer-smoke-cpu: the trainer learns, is killed, and resumes to the same bits on the CPU."""

from __future__ import annotations

from typing import TYPE_CHECKING

from codex_audit.gates.base import Gate
from codex_audit.proofs.trainer.arguments import arguments
from codex_audit.proofs.trainer.smoke import PHASE, put_on_trial

if TYPE_CHECKING:
    from codex_audit.gates.base import Context, Report

STEP = "trainer_smoke_test"


def run(context: Context) -> Report:
    """Put the trainer on trial on the CPU.

    Raises:
        GateUsageError: an unknown argument was given, or the settings name no proper factory.
    """
    asked = arguments(GATE.name, context.args)
    return put_on_trial(context, device="cpu", step=STEP, thorough=asked.thorough, only=asked.only)


GATE = Gate(
    name="trainer-smoke-cpu",
    phase=PHASE,
    step=STEP,
    title="The trainer learns, is killed and resumes exactly, on the CPU",
    why=(
        "A resume that loses optimizer state, random state or the place in the data trains "
        "another model without saying so. Only a run that is really killed and compared bit by "
        "bit with one that was not shows it."
    ),
    run=run,
)
