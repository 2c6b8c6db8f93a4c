"""tokenizer: a battery of proofs tries the repository's tokenizer, or the reference kit's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from codex_audit.diagnosis import Failure, capture
from codex_audit.gates.base import Gate, GateUsageError, Report
from codex_audit.gates.tool import ToolError
from codex_audit.outcome import CapturedError, Check, Evidence
from codex_audit.proofs.children import ChildError, Children
from codex_audit.proofs.proof import with_limits
from codex_audit.proofs.tokenizer import domain
from codex_audit.proofs.tokenizer.discovery import discovered
from codex_audit.proofs.tokenizer.loading import is_factory
from codex_audit.proofs.tokenizer.normalization import NORMALIZATIONS, unknown_name
from codex_audit.proofs.tokenizer.proof import battery
from codex_audit.proofs.tokenizer.subject import MalformedError
from codex_audit.tree.files import list_tree

if TYPE_CHECKING:
    from collections.abc import Sequence

    from codex_audit.gates.base import Context
    from codex_audit.settings import TokenizerSettings

PHASE = 5
STEP = "tokenizer_smoke_test"
MODULE = "codex_audit.proofs.tokenizer.run"
THOROUGH = "--thorough"
_TABLE = "[tool.codex-audit.tokenizer]"
_FEW = 4


def run(context: Context) -> Report:
    """Try every proof on the settings' tokenizer, the one found in the tree, or the kit's.

    Raises:
        GateUsageError: an argument is not `--thorough`, or the settings cannot be followed.
    """
    wrong = [argument for argument in context.args if argument != THOROUGH]
    if wrong:
        raise GateUsageError(f"tokenizer takes only {THOROUGH}; leave out {wrong[0]!r}")
    settings = context.settings.tokenizer
    _check(context, settings)
    path = settings.path
    if path is None and settings.factory is None:
        tree = list_tree(context.root, context.settings.exclude)
        found = discovered(context.root, (file.path for file in tree.files))
        if len(found) > 1:
            return Report(errors=(_several(found, context),))
        path = found[0] if found else None
    spec = {
        "path": path,
        "factory": settings.factory,
        "same_as": settings.same_as,
        "normalization": settings.normalization,
        "domain": settings.domain,
        "thorough": THOROUGH in context.args,
        "timeout": context.timeout,
    }
    name = settings.factory or path or "codex_ml (the reference kit)"
    proofs = list(battery())
    # Every other proof in each, so that both cores work; each with a hash seed of its own.
    halves = {"first": proofs[::2], "second": proofs[1::2]}
    try:
        with Children(context.root, context.scratch, timeout=context.timeout) as children:
            for own, other in (("first", "second"), ("second", "first")):
                told = {**spec, "name": own, "other": other, "proofs": halves[own]}
                children.start(own, MODULE, told)
            reports = [children.wait(own) for own in halves]
    except (ChildError, ToolError) as error:
        failure = error.failure if isinstance(error, ChildError) else Failure.of(error)
        return Report(errors=(_captured(failure, name, context),))
    return Report(
        checks=with_limits(_checks(reports), settings.limits, proofs, "tokenizer"),
        facts={"subject": reports[0]["subject"]},
        tools=dict(reports[0]["versions"]),
    )


def _several(found: Sequence[str], context: Context) -> CapturedError:
    """That settings have to say which of several tokenizers stands trial."""
    few = ", ".join(found[:_FEW]) + (", ..." if len(found) > _FEW else "")
    error = MalformedError(
        f"the repository has {len(found)} tokenizers: {few}; name the one to judge under {_TABLE}, "
        f'such as path = "{found[0]}"'
    )
    captured = _captured(Failure.of(error), "of the repository", context)
    return msgspec.structs.replace(
        captured, diagnosis="which tokenizer is to stand trial is not said"
    )


def _captured(failure: Failure, name: str, context: Context) -> CapturedError:
    captured = capture(
        failure, phase=PHASE, step=STEP, context=f"tokenizer {name}", root=context.root
    )
    if failure.type != MalformedError.__name__:
        return captured
    message, _, remedy = captured.message.rpartition("; ")
    return msgspec.structs.replace(
        captured,
        message=message,
        diagnosis="what stands trial is no tokenizer that can be loaded",
        remedy=remedy,
    )


def _check(context: Context, settings: TokenizerSettings) -> None:
    """Refuse settings that name nothing, before any process is started."""
    with_limits((), settings.limits, battery(), "tokenizer")
    if settings.path is not None and settings.factory is not None:
        raise GateUsageError(f"{_TABLE} path and factory are both set; leave one of them out")
    if settings.path is not None and not (context.root / settings.path).exists():
        raise GateUsageError(
            f"{_TABLE} path: there is no file {settings.path!r} in the repository; name a "
            "tokenizer's file or directory, or leave it out for the reference kit"
        )
    if settings.factory is not None and not is_factory(settings.factory):
        raise GateUsageError(
            f"{_TABLE} factory: {settings.factory!r} is not of the form "
            "'package.module:function'; correct it"
        )
    other = settings.same_as
    if other is not None and not is_factory(other) and not (context.root / other).exists():
        raise GateUsageError(
            f"{_TABLE} same-as: {other!r} is neither a file or directory of the repository nor of "
            "the form 'package.module:function'; correct it"
        )
    if settings.domain is not None:
        if not (context.root / settings.domain).is_file():
            raise GateUsageError(
                f"{_TABLE} domain: there is no file {settings.domain!r} in the repository; name "
                "one with a text a line, or leave it out"
            )
        try:
            domain.read(context.root / settings.domain, settings.domain)
        except MalformedError as error:
            raise GateUsageError(f"{_TABLE} domain: {error}") from error
    unknown = unknown_name(settings.normalization)
    if unknown is not None:
        raise GateUsageError(
            f"{_TABLE} normalization: there is no {unknown!r}; there are: "
            f"{', '.join(NORMALIZATIONS)}"
        )


def _checks(reports: list[dict[str, Any]]) -> tuple[Check, ...]:
    """The checks of both processes in the battery's order, each with the subject's place."""
    found = {
        check.id: check
        for report in reports
        for check in msgspec.convert(report["checks"], list[Check])
    }
    ordered = tuple(found[name] for name in battery())
    place = reports[0]["place"]
    if place is None:
        return ordered
    evidence = (msgspec.convert(place, Evidence),)
    return tuple(msgspec.structs.replace(check, evidence=evidence) for check in ordered)


GATE = Gate(
    name="tokenizer",
    phase=PHASE,
    step=STEP,
    title="Hard texts survive the tokenizer, alone, in batches, in streams, saved and elsewhere",
    why=(
        "A tokenizer that drops a space, folds a letter or pads with a real token changes the "
        "data silently: the loss still falls, on other text than was given."
    ),
    run=run,
)
