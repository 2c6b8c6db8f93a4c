"""tokenizer: text comes back as it was, alone, in a batch, saved and in a new process."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from codex_audit.diagnosis import Failure, capture
from codex_audit.gates.base import Gate, GateUsageError, Report
from codex_audit.gates.tool import ToolError
from codex_audit.outcome import Check, Evidence
from codex_audit.proofs.children import ChildError, Children
from codex_audit.proofs.tokenizer.checks import new_process_same_ids
from codex_audit.proofs.tokenizer.texts import HARD_TEXTS

if TYPE_CHECKING:
    from codex_audit.gates.base import Context

PHASE = 5
STEP = "tokenizer_smoke_test"
MODULE = "codex_audit.proofs.tokenizer.run"


def run(context: Context) -> Report:
    """Put the tokenizer on trial: a small BPE trained by the reference kit, or the settings' file.

    Raises:
        GateUsageError: an argument was given, or the settings name no file of the repository.
    """
    if context.args:
        raise GateUsageError(f"tokenizer takes no arguments; leave out {context.args[0]!r}")
    path = context.settings.tokenizer.path
    if path is not None and not (context.root / path).is_file():
        raise GateUsageError(
            f"[tool.codex-audit.tokenizer] path: there is no file {path!r} in the repository; "
            "name a tokenizer.json, or leave it out for the reference kit"
        )
    try:
        with Children(context.root, context.scratch, timeout=context.timeout) as children:
            children.start("first", MODULE, {"path": path, "judge": True})
            children.start("second", MODULE, {"path": path, "judge": False})
            first, second = children.wait("first"), children.wait("second")
    except (ChildError, ToolError) as error:
        failure = error.failure if isinstance(error, ChildError) else Failure.of(error)
        captured = capture(
            failure,
            phase=PHASE,
            step=STEP,
            context=f"tokenizer {path or 'codex_ml (the reference kit)'}, hard texts",
            root=context.root,
        )
        return Report(errors=(captured,))
    return Report(
        checks=_checks(first, second),
        facts={"subject": first["subject"]},
        tools=dict(first["versions"]),
    )


def _checks(first: dict[str, Any], second: dict[str, Any]) -> tuple[Check, ...]:
    found = msgspec.convert(first["checks"], list[Check])
    found.append(new_process_same_ids(HARD_TEXTS, first["ids"], second["ids"]))
    if first["place"] is None:
        return tuple(found)
    place = (msgspec.convert(first["place"], Evidence),)
    return tuple(msgspec.structs.replace(check, evidence=place) for check in found)


GATE = Gate(
    name="tokenizer",
    phase=PHASE,
    step=STEP,
    title="Hard texts survive the tokenizer, alone, in batches, saved and in a new process",
    why=(
        "A tokenizer that drops a space, folds a letter or pads with a real token changes the "
        "data silently: the loss still falls, on other text than was given."
    ),
    run=run,
)
