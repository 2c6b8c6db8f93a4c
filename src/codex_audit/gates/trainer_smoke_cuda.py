"""trainer-smoke-cuda: the same trial on a CUDA device, where there is one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from codex_audit.diagnosis import capture
from codex_audit.gates.base import Gate, Report
from codex_audit.outcome import Check, Verdict
from codex_audit.proofs.children import ChildError, Children
from codex_audit.proofs.trainer.arguments import arguments
from codex_audit.proofs.trainer.run import MODULE
from codex_audit.proofs.trainer.smoke import PHASE, put_on_trial

if TYPE_CHECKING:
    from codex_audit.gates.base import Context

STEP = "trainer_smoke_test_cuda"
REQUIRE = "--require"


def run(context: Context) -> Report:
    """Put the trainer on trial on CUDA; skip without a device, or fail under `--require`.

    Raises:
        GateUsageError: an unknown argument was given, or the settings name no proper factory.
    """
    asked = arguments(GATE.name, context.args, {REQUIRE})
    try:
        probe = _probe(context)
    except ChildError as error:
        where = "looking for a CUDA device in a new process"
        captured = capture(error.failure, phase=PHASE, step=STEP, context=where, root=context.root)
        return Report(errors=(captured,))
    why = probe["why_no_cuda"]
    if why is None:
        return put_on_trial(
            context, device="cuda", step=STEP, thorough=asked.thorough, only=asked.only
        )
    if REQUIRE in asked.flags:
        check = Check("cuda_device", Verdict.FAIL, f"{REQUIRE} was given and {why}")
        return Report(checks=(check,), tools=probe["versions"])
    return Report(reason=f"no CUDA device: {why}", tools=probe["versions"])


def _probe(context: Context) -> dict[str, Any]:
    with Children(context.root, context.scratch, timeout=context.timeout) as children:
        children.start("probe", MODULE, {"run": None})
        return children.wait("probe")


GATE = Gate(
    name="trainer-smoke-cuda",
    phase=PHASE,
    step=STEP,
    title="The trainer learns, is killed and resumes exactly, on CUDA",
    why=(
        "CUDA has generators, kernels and a workspace of its own: a trainer that resumes exactly "
        "on the CPU can still lose the device's random state or use kernels that never give the "
        "same bits twice."
    ),
    run=run,
)
