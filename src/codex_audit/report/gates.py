"""One row a gate: its verdict on this tree, and in one line what a reader should know."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from codex_audit.outcome import Outcome, Verdict
from codex_audit.report.divergence import divergences
from codex_audit.report.document import GateResult, GateVerdict
from codex_audit.report.proof import subject_in_tree

if TYPE_CHECKING:
    from collections.abc import Mapping

    from codex_audit.report.outcomes import Read
    from codex_audit.settings import Settings

SMOKE_PHASE = 5
QUALITY_PHASE = 6
# Arguments with which a gate judges no less than without.
_NOT_NARROWER = {"--require", "--thorough"}
# The gates of this package, so that a report need not import a gate to place it.
PHASE_OF = {
    "tokenizer": SMOKE_PHASE,
    "trainer-smoke-cpu": SMOKE_PHASE,
    "trainer-smoke-cuda": SMOKE_PHASE,
    "lint": QUALITY_PHASE,
    "type": QUALITY_PHASE,
    "security": QUALITY_PHASE,
    "tests": QUALITY_PHASE,
}


def gate_results(settings: Settings, reads: Mapping[str, Read]) -> tuple[GateResult, ...]:
    """A row for each gate of the settings, in their order, then for each further outcome."""
    further = sorted(set(reads) - set(settings.gates))
    names = (*settings.gates, *further)
    return tuple(_result(name, reads.get(name), settings) for name in names)


def phase_of(gate: str) -> int:
    """The phase that shows a gate: 5 for trials of trainers and tokenizers, 6 for others."""
    if gate in PHASE_OF:
        return PHASE_OF[gate]
    known = importlib.import_module("codex_audit.gates.base").all_gates()
    return SMOKE_PHASE if gate in known and known[gate].phase == SMOKE_PHASE else QUALITY_PHASE


def _result(name: str, read: Read | None, settings: Settings) -> GateResult:
    required = name in settings.required_gates
    if read is None or read.outcome is None or read.verdict is GateVerdict.STALE:
        return GateResult(
            name=name,
            phase=phase_of(name),
            verdict=GateVerdict.NOT_RUN if read is None else read.verdict,
            required=required,
            note=_note_without_outcome(read),
        )
    outcome = read.outcome
    in_tree = subject_in_tree(outcome)
    verdict, note = read.verdict, _note(outcome)
    narrowed = [word for word in outcome.facts.get("arguments", ()) if word not in _NOT_NARROWER]
    if narrowed and verdict is GateVerdict.PASS:
        verdict = GateVerdict.NOT_RUN
        note = f"passed only with the arguments `{' '.join(narrowed)}`; run it without them"
    if in_tree is False:
        kind = "tokenizer" if "tokenizer" in name else "trainer"
        # A pass of the reference kit says nothing of this repository.
        if verdict is GateVerdict.PASS:
            verdict = GateVerdict.SKIP
        note = (
            f"no {kind} of this repository is configured; subject: reference kit codex_ml, {note}"
        )
    return GateResult(
        name=name,
        phase=phase_of(name),
        verdict=verdict,
        required=required,
        note=note,
        in_tree=in_tree,
        checks=outcome.checks,
        findings=outcome.findings,
        divergences=divergences(outcome.facts),
        provenance=outcome.provenance,
    )


def _note_without_outcome(read: Read | None) -> str:
    if read is None:
        return "no outcome: it was not run"
    if read.outcome is None and read.error is not None and read.verdict is GateVerdict.NOT_RUN:
        return f"its environment could not be installed: {read.error.message}"
    if read.outcome is None:
        return "its outcome file is unreadable; see the error captured in read_outcome"
    commit = read.outcome.provenance.commit
    at = f"commit {commit[:10]}" if commit else "no commit"
    if read.outcome.provenance.dirty:
        at += " with changes"
    # An error may tell why the tree is another one: the gate's own run changed it.
    why = f": {read.outcome.errors[0].message}" if read.outcome.errors else ""
    return f"said {read.outcome.verdict} of another tree ({at}){why}; run it again on this one"


def _note(outcome: Outcome) -> str:
    passed = sum(check.verdict is Verdict.PASS for check in outcome.checks)
    total = len(outcome.checks)
    counted = f"{passed} of {total} check{'' if total == 1 else 's'} passed"
    if outcome.verdict is Verdict.SKIP:
        return outcome.reason or "skipped, and its outcome gives no reason"
    if outcome.verdict is Verdict.ERROR:
        errors = [f"{error.step}: {error.message}" for error in outcome.errors]
        errors += [check.summary for check in outcome.checks if check.verdict is Verdict.ERROR]
        return errors[0] if errors else "ended in an error that its outcome does not name"
    if outcome.verdict is Verdict.FAIL:
        failed = [check for check in outcome.checks if check.verdict is Verdict.FAIL]
        if failed:
            return "; ".join(f"{check.id}: {check.summary}" for check in failed)
        return outcome.reason or f"{counted}, and its outcome names no check that failed"
    for words, verdict in (
        ("declared limits", Verdict.DECLARED_LIMIT),
        ("skipped", Verdict.SKIP),
    ):
        names = [check.id for check in outcome.checks if check.verdict is verdict]
        counted += f", {words}: {', '.join(names)}" if names else ""
    return counted
