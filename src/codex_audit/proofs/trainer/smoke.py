"""The trial itself: a straight run, then the runs that the proofs ask for, then their judgement."""

from __future__ import annotations

import os
import re
import time
from typing import TYPE_CHECKING

import msgspec

from codex_audit.diagnosis import Failure, capture
from codex_audit.gates.base import GateUsageError, Report
from codex_audit.gates.tool import ToolError
from codex_audit.proofs.children import Children
from codex_audit.proofs.nursery import FIRST
from codex_audit.proofs.proof import battery, why_nothing_passed, with_limits
from codex_audit.proofs.trainer.commands.plan import plan_of
from codex_audit.proofs.trainer.commands.trial import try_command
from codex_audit.proofs.trainer.epochs import steps_of_epoch
from codex_audit.proofs.trainer.executor import Executor
from codex_audit.proofs.trainer.runs import Run, Subject
from codex_audit.proofs.trainer.trial import Skip, TrainerProof, Trial
from codex_audit.proofs.trainer.tried import Tried, judged, runs_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from codex_audit.gates.base import Context
    from codex_audit.proofs.trainer.runs import Result
    from codex_audit.proofs.trainer.trial import Broken, Seen

PACKAGE = "codex_audit.proofs.trainer.battery"
PHASE = 5
_MOST_AT_A_TIME = 8
_PROTOCOL = "protocol"
# Of a run that makes no step one proof tells; to the others, nothing is not good, nor bad.
_TELLS_OF_NONE = "loss_finite"
_NO_STEP = "not judged: no optimizer step and no backward pass was seen, nor a loss told of"
_NETWORK = re.compile(
    r"\b(gaierror|NetworkUsedError|NameResolutionError|URLError|ConnectError|ConnectTimeout"
    r"|ConnectionRefusedError|ConnectionResetError|LocalEntryNotFoundError)\b"
)
_FACTORY = re.compile(r"^[A-Za-z_][\w.]*:[A-Za-z_][\w.]*$")


def all_proofs() -> dict[str, TrainerProof]:
    """Every proof of the battery by name, the basic ones first."""
    found = battery(PACKAGE, TrainerProof)
    return dict(sorted(found.items(), key=lambda item: (item[1].order, item[0])))


def try_subject(
    children: Children,
    factory: str | None,
    proofs: Mapping[str, TrainerProof],
    *,
    steps: int,
    device: str = "cpu",
    thorough: bool = False,
) -> Tried:
    """Run a subject as `proofs` ask, and judge it.

    Args:
        children: where processes come from; several subjects may follow each other there.
        factory: `module:function`, None for the reference kit.
        proofs: name -> proof.
        steps: optimizer steps of the longest run.
        device: "cpu" or "cuda".
        thorough: try more points and more instants.
    """
    executor = Executor(children, factory, children.limit)
    straight = Run(until=steps, horizon=steps, device=device)
    started = time.monotonic()
    try:
        executor.make([straight])
        first = executor.results[straight]
        if first.completed:
            adapter = executor.reports[straight]["subject"]["adapter"]
            straight = _as_it_counts(straight, first, adapter)
            executor.make([straight])
    except ToolError as error:
        return Tried(failures=(("the first run", Failure.of(error)),), runs=1)
    executor.learn_patience(time.monotonic() - started)
    result, report = executor.results[straight], executor.reports[straight]
    if not result.completed:
        return Tried(failures=((f"synthetic run to step {steps}", _why(result)),), runs=1)
    children.preload(report["heavy"])
    children.try_to_preload(report["slow"])
    after = result.final.rng if result.final else {}
    untouched = report["untouched"]
    known = {"versions": report["versions"], "device_name": report["device_name"]}
    trial = Trial(
        subject=msgspec.convert(report["subject"] | known, Subject),
        straight=result,
        steps=steps,
        device=device,
        epoch=steps_of_epoch(result.trace),
        streams=frozenset(name for name in after if after[name] != untouched.get(name)),
        stepwise=straight.stepwise,
        together=straight.together,
        thorough=thorough,
    )
    return _try_all(proofs, trial, executor)


def _as_it_counts(straight: Run, first: Result, adapter: str) -> Run:
    """Ask in steps of `train`, where it uses no torch optimizer, or several in turn."""
    made, told = len(first.trace.steps), len(first.losses)
    passes = first.trace.pending if adapter == _PROTOCOL else ()
    if (told or passes) and not made:
        return msgspec.structs.replace(straight, stepwise=True)
    if first.optimizers > 1 and made > straight.until and told in {0, straight.until}:
        return msgspec.structs.replace(straight, together=True)
    return straight


def _try_all(proofs: Mapping[str, TrainerProof], trial: Trial, executor: Executor) -> Tried:
    idle = not trial.straight.trace.steps
    asked = {
        name: Skip(_NO_STEP) if idle and name != _TELLS_OF_NONE else proof.runs(trial)
        for name, proof in proofs.items()
    }
    failures: list[tuple[str, Failure]] = []
    try:
        executor.make(runs_of(asked))
        asked = {name: _further(proofs[name], trial, executor, asked[name]) for name in asked}
        executor.make(runs_of(asked))
    except ToolError as error:  # the time ran out: what is there is still judged
        failures.append(("the runs of the proofs", Failure.of(error)))

    def judge(name: str, results: Mapping[str, Result]) -> Seen | Skip | Broken:
        needed = (r for title, r in results.items() if title not in proofs[name].spared)
        unable = next((result.skip for result in needed if result.skip), "")
        if unable:
            return Skip(unable)
        return proofs[name].judge(trial, {"straight": trial.straight, **results})

    checks, details = judged(trial, proofs, asked, executor.results, judge)
    return Tried(checks, tuple(failures), trial.subject, details, len(executor.results))


def _further(
    proof: TrainerProof, trial: Trial, executor: Executor, runs: Mapping[str, Run] | Skip
) -> Mapping[str, Run] | Skip:
    """The runs of a proof with those that depend on what the first ones showed."""
    if proof.then is None or isinstance(runs, Skip):
        return runs
    return {
        **runs,
        **proof.then(trial, {name: executor.results[run] for name, run in runs.items()}),
    }


def _why(result: Result) -> Failure:
    failure = result.failure
    if failure is not None:
        if not result.trace.steps and _NETWORK.search(f"{failure.type} {failure.traceback}"):
            words = f"the subject asks the network at its start: {failure.message}"
            return msgspec.structs.replace(failure, message=words)
        return failure
    words = f"the run was ended by signal {-result.exit_code}"
    return Failure("ToolKilledError", words, words)


def put_on_trial(
    context: Context,
    *,
    device: str,
    step: str,
    thorough: bool = False,
    only: Sequence[str] = (),
) -> Report:
    """Try the subject that the settings name on `device` ("cpu" or "cuda").

    Args:
        context: of the gate.
        device: "cpu" or "cuda".
        step: names the gate in captured errors.
        thorough: try more points and more instants.
        only: proofs to try, instead of all.

    Raises:
        SettingsError: what the settings say of a training command cannot be used.
        GateUsageError: the settings' factory is not of the form `module:function`, or they
            declare a limit of no proof.
    """
    settings = context.settings.trainer
    factory = settings.factory
    if factory is not None and not _FACTORY.match(factory):
        raise GateUsageError(
            f"[tool.codex-audit.trainer] factory: {factory!r} is not of the form "
            "'package.module:function'; correct it"
        )
    plan = plan_of(settings, context.root, device)
    if plan is not None and device != "cpu" and not plan.command.takes("device"):
        return Report(reason="the command has no {device}, so it cannot be told to use this one")
    proofs = all_proofs()
    with_limits((), settings.limits, proofs, "trainer")  # a slip is told before anything runs
    chosen = {name: proof for name, proof in proofs.items() if not only or name in only}
    limit = max(2, min(os.cpu_count() or 2, _MOST_AT_A_TIME))
    with Children(
        context.root, context.scratch, timeout=context.timeout, limit=limit, nurse=device == "cpu"
    ) as children:
        children.preload(FIRST)
        if plan is not None:
            tried = try_command(
                children,
                plan,
                chosen,
                root=context.root,
                steps=settings.steps,
                seconds=context.timeout,
                device=device,
                thorough=thorough,
            )
        else:
            tried = try_subject(
                children, factory, chosen, steps=settings.steps, device=device, thorough=thorough
            )
    name = plan.name if plan is not None else factory or "codex_ml (the reference kit)"
    errors = tuple(
        capture(
            failure,
            phase=PHASE,
            step=step,
            context=f"trainer {name}, {run}",
            root=context.root,
        )
        for run, failure in tried.failures
    )
    subject = tried.subject
    if subject is None:
        return Report(errors=errors, device=device)
    checks = with_limits(tried.checks, settings.limits, proofs, "trainer")
    return Report(
        checks=checks,
        errors=errors,
        reason=why_nothing_passed(checks),
        facts={
            "subject": {
                "name": subject.name,
                "in_tree": subject.in_tree,
                "adapter": subject.adapter,
            },
            "runs": tried.runs,
            "divergences": tried.details,
        },
        tools=dict(subject.versions),
        device=(subject.device_name if device == "cuda" else None) or device,
    )
