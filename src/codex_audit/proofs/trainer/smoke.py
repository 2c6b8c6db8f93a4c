"""The trial itself: three runs in three processes, one of them killed, and what they show."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from codex_audit.diagnosis import Failure, capture
from codex_audit.gates.base import GateUsageError, Report
from codex_audit.gates.tool import ToolError
from codex_audit.proofs.children import ChildError, Children
from codex_audit.proofs.trainer.judgement import Run, Trial, judge

if TYPE_CHECKING:
    from codex_audit.gates.base import Context
    from codex_audit.outcome import CapturedError

MODULE = "codex_audit.proofs.trainer.run"
PHASE = 5
SEED, OTHER_SEED = 1234, 4321
_FEW_STEPS = 5
_FACTORY = re.compile(r"^[A-Za-z_][\w.]*:[A-Za-z_][\w.]*$")


class _Errors:
    """What went wrong in the children, each cause once."""

    def __init__(self, context: Context, step: str, subject: str) -> None:
        self._context = context
        self._step = step
        self._subject = subject
        self._seen: set[tuple[str, str]] = set()
        self.captured: list[CapturedError] = []

    def add(self, run: str, error: ToolError | ChildError) -> None:
        failure = error.failure if isinstance(error, ChildError) else Failure.of(error)
        key = (failure.type, failure.message)
        if key in self._seen:
            return
        self._seen.add(key)
        self.captured.append(
            capture(
                failure,
                phase=PHASE,
                step=self._step,
                context=f"trainer {self._subject}, {run}",
                root=self._context.root,
            )
        )


def put_on_trial(context: Context, *, device: str, step: str) -> Report:
    """Run the subject on `device` ("cpu" or "cuda") and judge what it did.

    Raises:
        GateUsageError: the settings' factory is not of the form `module:function`.
    """
    factory = context.settings.trainer.factory
    if factory is not None and not _FACTORY.match(factory):
        raise GateUsageError(
            f"[tool.codex-audit.trainer] factory: {factory!r} is not of the form "
            "'package.module:function'; correct it"
        )
    half = context.settings.trainer.steps // 2
    errors = _Errors(context, step, factory or "codex_ml (the reference kit)")
    with Children(context.root, context.scratch, timeout=context.timeout, limit=3) as children:
        reports = _run_all(children, errors, half, _spec(context, device, factory))
    runs = {name: _run(report) for name, report in reports.items() if name != "killed"}
    killed = reports.get("killed", {})
    checks = judge(Trial(half=half, runs=runs, **killed)) if runs else ()
    first = next(iter(reports.values()), {})
    facts = {}
    if first:
        subject = first["subject"]
        facts = {"subject": {"name": subject["name"], "in_tree": subject["in_tree"]}}
    named = first.get("device_name") if device == "cuda" else None
    return Report(
        checks=checks,
        errors=tuple(errors.captured),
        facts=facts,
        tools=dict(first.get("versions", {})),
        device=named or device,
    )


def _spec(context: Context, device: str, factory: str | None) -> dict[str, Any]:
    half = context.settings.trainer.steps // 2
    return {
        "device": device,
        "factory": factory,
        "seed": SEED,
        "other_seed": OTHER_SEED,
        "other_steps": min(half, _FEW_STEPS),
        "timeout": context.timeout,
        "go": str(context.scratch / "killed"),
        "beyond": str(context.scratch / "beyond"),
    }


def _run_all(
    children: Children, errors: _Errors, half: int, spec: dict[str, Any]
) -> dict[str, dict[str, Any]]:
    """The report of each run that gave one, and under "killed" how the interruption went."""
    reports: dict[str, dict[str, Any]] = {}
    beyond = Path(spec["beyond"])

    def start(mode: str, steps: int, directory: str) -> None:
        own = children.scratch / directory
        own.mkdir(exist_ok=True)
        children.start(mode, MODULE, {**spec, "mode": mode, "steps": steps, "directory": str(own)})

    def collect(name: str) -> bool:
        try:
            reports[name] = children.wait(name)
        except (ChildError, ToolError) as error:
            errors.add(f"synthetic run {name!r} to step {2 * half}", error)
        return name in reports

    start("interrupted", half, "checkpoints")
    start("straight", 2 * half, "straight-checkpoints")
    # Its imports take the longest; it builds its subject only after the kill.
    start("resumed", 2 * half, "checkpoints")
    try:
        # It has saved and reported; now it must be caught while training on past that.
        interrupted = children.wait_for("interrupted", beyond)
        code = children.kill("interrupted")
        steps = beyond.stat().st_size if beyond.exists() else 0
        reports["interrupted"] = interrupted
        reports["killed"] = {"exit_code": code, "steps_past": steps}
        Path(spec["go"]).touch()
    except (ChildError, ToolError) as error:
        errors.add(f"synthetic run of {half} steps and a checkpoint", error)
    if collect("straight") and "interrupted" in reports:
        collect("resumed")
    return reports


def _run(report: dict[str, Any]) -> Run:
    places = report["subject"]["places"]
    return msgspec.convert(
        {
            "losses": [float.fromhex(loss) for loss in report["losses"]],
            "final": report["final"],
            "loaded": report.get("loaded"),
            "places": places,
            "other_losses": [float.fromhex(loss) for loss in report.get("other_losses", ())],
            "other_error": report.get("other_error", ""),
        },
        Run,
        strict=False,
    )
