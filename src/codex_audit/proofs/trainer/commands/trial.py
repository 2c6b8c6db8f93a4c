"""The trial of a command: a few runs of it, those that the proofs ask for, and their judgement."""

from __future__ import annotations

import json
import re
import subprocess
from typing import TYPE_CHECKING

import msgspec

from codex_audit.diagnosis import Failure
from codex_audit.gates.tool import ToolError
from codex_audit.proofs.children import ChildError
from codex_audit.proofs.trainer.commands import on_losses, on_resumes, on_saves
from codex_audit.proofs.trainer.commands.asked import Asked
from codex_audit.proofs.trainer.commands.judging import CommandTrial
from codex_audit.proofs.trainer.commands.line import refusal
from codex_audit.proofs.trainer.commands.places import places
from codex_audit.proofs.trainer.commands.plan import program_of
from codex_audit.proofs.trainer.commands.process import last_words
from codex_audit.proofs.trainer.commands.stage import Stage
from codex_audit.proofs.trainer.runs import Result, Subject
from codex_audit.proofs.trainer.trace import Trace
from codex_audit.proofs.trainer.trial import Skip, Trial
from codex_audit.proofs.trainer.tried import Tried, judged, runs_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from codex_audit.proofs.children import Children
    from codex_audit.proofs.trainer.commands.asked import Ran, Written
    from codex_audit.proofs.trainer.commands.plan import Plan
    from codex_audit.proofs.trainer.trial import TrainerProof

JUDGED = {**on_losses.PROOFS, **on_resumes.PROOFS, **on_saves.PROOFS}
# What a proof looks at that a command does not show; of all others "what happens inside a step".
_HIDDEN = {
    "state_restored": "its state right after loading",
    "scheduler_restored": "its learning rate",
    "scaler_restored": "its loss scale",
    "extra_restored": "its state right after loading",
    "rng_restored": "its generators",
    "data_order_continues": "the samples of its batches",
    "evaluation_leaves_no_trace": "its state around an evaluation",
    "non_finite_noticed": "what it does at a step that is not finite",
    "every_parameter_learns": "its gradients",
    "clipping_holds": "its gradients",
    "first_update": "its gradients",
    "accumulation_equals_large_batch": "its gradients",
    "no_growth": "what is alive in its process",
    "workers_equal": "the workers of its loaders",
    "ranks": "its ranks",
}
_INSIDE = "what happens inside a step"
_NAMED = re.compile(
    r"^(?:[\w.]+\.)?(\w*(?:Error|Exception|Interrupt|NotFound)): (.*)$", re.MULTILINE
)
_ASK_VERSIONS = """
import importlib.metadata as m, json, platform
found = {"python": platform.python_version()}
for name in ("torch", "numpy", "transformers", "accelerate", "lightning"):
    try:
        found[name] = m.version(name)
    except m.PackageNotFoundError:
        pass
print(json.dumps(found))
"""
_PATIENCE = 30
_NAMES = 5
_SURE = 2  # one loss is logged by any length of training that is shorter than the log's interval


def try_command(
    children: Children,
    plan: Plan,
    proofs: Mapping[str, TrainerProof],
    *,
    root: Path,
    steps: int,
    seconds: float,
    device: str = "cpu",
    thorough: bool = False,
) -> Tried:
    """Run a command as `proofs` ask, and judge it by what it writes.

    Args:
        children: where the processes come from that read its checkpoints.
        plan: the command.
        proofs: name -> proof.
        root: the audited repository.
        steps: that the longest run is asked for.
        seconds: that all of it may take.
        device: for the placeholder.
        thorough: try more points.

    Raises:
        SettingsError: nothing that it writes fits what the settings say of it.
    """
    with Stage(children, plan, device=device, seconds=seconds) as stage:
        if plan.setup is not None:
            ran = stage.set_up(plan.setup)
            if ran.exit_code or ran.problem:
                return Tried(failures=(("its setup", _failure(ran)),))
        whole = Asked(steps=steps, losses=steps if plan.endless else None)
        again = msgspec.structs.replace(whole, number=2)
        half = None
        if plan.endless or plan.command.takes("steps"):
            half = Asked(steps=steps // 2, losses=steps // 2 if plan.endless else None)
        try:
            stage.make([whole, again, *([half] if half else [])])
        except (ToolError, ChildError) as error:
            return Tried(failures=(("its first runs", _of(error)),), runs=len(stage.results))
        made = stage.results[whole]
        if not made.good:
            if plan.endless and made.ran.problem:  # for want of a loss it was not ended
                _check_settings(plan, made, steps)
            failure = _failure(made.ran)
            return Tried(failures=((f"a run of {steps} steps", failure),), runs=len(stage.results))
        _check_settings(plan, made, steps)
        stage.learn_patience(made.ran.seconds)
        short = stage.results[half] if half else None
        trial = CommandTrial(
            plan=plan,
            steps=steps,
            whole=made,
            again=stage.results[again],
            short=short if short and short.good else None,
            thorough=thorough,
        )
        tried = _try_all(stage, proofs, trial, _subject(plan, root))
    ignored = _ignored(trial)
    if ignored is None:
        return tried
    return msgspec.structs.replace(
        tried, failures=((f"runs of {steps} and {steps // 2} steps", ignored), *tried.failures)
    )


def _try_all(
    stage: Stage, proofs: Mapping[str, TrainerProof], trial: CommandTrial, subject: Subject
) -> Tried:
    asked = {
        name: JUDGED[name].runs(trial)
        if name in JUDGED
        else Skip(f"a command does not show {_HIDDEN.get(name, _INSIDE)}")
        for name in proofs
    }
    failures: list[tuple[str, Failure]] = []
    try:
        stage.make(runs_of(asked))
    except (ToolError, ChildError) as error:  # what is there is still judged
        failures.append(("the runs of the proofs", _of(error)))
    shown = Trial(subject=subject, straight=Result(trace=Trace()), steps=trial.steps)
    checks, details = judged(
        shown,
        proofs,
        asked,
        stage.results,
        lambda name, results: JUDGED[name].judge(trial, results),
    )
    return Tried(checks, tuple(failures), subject, details, len(stage.results))


def _check_settings(plan: Plan, made: Written, steps: int) -> None:
    """Tell at once where the settings look for what is not there.

    Raises:
        SettingsError: no loss, or no checkpoint, was found.
    """
    if plan.losses is not None and not made.losses:
        if plan.losses.files:
            why = f"{plan.losses.files!r} below {{dir}} holds no loss; correct file or key"
        else:
            why = f"no line of the output fits; it ends with: {last_words(made.ran.output)}"
        raise refusal("losses", why)
    if plan.checkpoints and not made.opened:
        left = ", ".join(made.ran.left[:_NAMES]) or "nothing"
        raise refusal(
            "checkpoints",
            f"{plan.checkpoints!r} finds nothing below {{dir}} after {steps} steps; there is: "
            f"{left}; correct it, or let the command save more often",
        )


def _ignored(trial: CommandTrial) -> Failure | None:
    """That the number of steps has no effect on how much is logged."""
    short, whole = trial.short, trial.whole
    if short is None or len(whole.losses) < _SURE or len(short.losses) != len(whole.losses):
        return None
    if any(a != b for a, b in zip(short.losses, whole.losses, strict=True)):
        return None
    words = (
        f"the command logged {len(whole.losses)} losses when it was asked for {trial.steps} steps "
        f"and as many for {short.asked.steps}: it ignores {{steps}}"
    )
    return Failure("StepsIgnoredError", words, words)


def _failure(ran: Ran) -> Failure:
    """The exception that ended a command, where its output names one."""
    if ran.problem:
        return Failure("TimeoutError", ran.problem, ran.output)
    if ran.exit_code < 0:
        words = f"the command was ended by signal {-ran.exit_code}: {ran.words}"
        return Failure("ToolKilledError", words, ran.output)
    named = _NAMED.findall(ran.output)
    if named:
        kind, message = named[-1]
        return Failure(kind, message, ran.output)
    words = f"the command ended with exit code {ran.exit_code}: {ran.words}"
    return Failure("ChildProcessError", words, ran.output)


def _of(error: ToolError | ChildError) -> Failure:
    return error.failure if isinstance(error, ChildError) else Failure.of(error)


def _subject(plan: Plan, root: Path) -> Subject:
    found = places(plan, root)
    return Subject(
        name=plan.name,
        adapter="command",
        in_tree=bool(found),
        places=dict(found),
        versions=_versions(plan),
    )


def _versions(plan: Plan) -> dict[str, str]:
    """Of the interpreter that the command starts, and of the libraries beside it."""
    program = program_of(plan, plan.command)
    if not re.search(r"python[\d.]*$", program):
        return {}
    done = subprocess.run(  # noqa: S603 - the interpreter that the settings name
        [program, "-I", "-c", _ASK_VERSIONS],
        env=plan.environment,
        capture_output=True,
        text=True,
        timeout=_PATIENCE,
        check=False,
    )
    found: dict[str, str] = json.loads(done.stdout) if done.returncode == 0 else {}
    return found
