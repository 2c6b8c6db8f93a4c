"""The eight phases: each passes only if all that belongs to it ran and passed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from codex_audit.records import Answer
from codex_audit.report.document import (
    GateResult,
    GateVerdict,
    Phase,
    PhaseStatus,
    StatusDocument,
)
from codex_audit.report.gates import QUALITY_PHASE, SMOKE_PHASE
from codex_audit.report.seeds import seeds_by_generator

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from codex_audit.outcome import CapturedError
    from codex_audit.records import Scan
    from codex_audit.report.outcomes import Read

NAMES = (
    "Preparation",
    "Repository Mapping",
    "Capability Signal Extraction",
    "Reproducibility & Seeds",
    "Training & Tokenizer Smoke",
    "Quality & Security Gates",
    "Consolidated Report",
    "Final Packaging",
)
PACKAGING = 8

# Worst first: the first that holds of any part is the status of the phase.
STATUS_OF_GATE = {
    GateVerdict.FAIL: PhaseStatus.FAIL,
    GateVerdict.ERROR: PhaseStatus.DEGRADED,
    GateVerdict.STALE: PhaseStatus.STALE,
    GateVerdict.NOT_RUN: PhaseStatus.NOT_RUN,
    GateVerdict.SKIP: PhaseStatus.NOT_RUN,
    GateVerdict.PASS: PhaseStatus.PASS,
}
PRECEDENCE = tuple(dict.fromkeys(STATUS_OF_GATE.values()))


def phases(
    scan: Scan,
    gates: Sequence[GateResult],
    errors: Sequence[CapturedError],
    reads: Mapping[str, Read] | None,
) -> tuple[Phase, ...]:
    """The eight phases.

    Args:
        scan: the static audit.
        gates: the rows of all gates.
        errors: every captured error of the document; its `phase` number decides where it counts.
        reads: gate -> its outcome as read; None where only the static audit was asked for.
    """
    unknown = [
        f"{capability.id}.{criterion.id}"
        for capability in scan.capabilities.values()
        for criterion in capability.criteria.values()
        if criterion.answer is Answer.UNKNOWN
    ]
    parts = (
        (PhaseStatus.PASS, _preparation(scan, gates)),
        (PhaseStatus.PASS, _mapping(scan)),
        (
            PhaseStatus.DEGRADED if unknown else PhaseStatus.PASS,
            _signals(scan, unknown),
        ),
        (PhaseStatus.PASS, _reproducibility(scan)),
        _gate_phase([gate for gate in gates if gate.phase == SMOKE_PHASE]),
        _gate_phase([gate for gate in gates if gate.phase == QUALITY_PHASE]),
        _consolidated(reads),
        (PhaseStatus.NOT_RUN, "the documents have not been written"),
    )
    return tuple(
        _with_errors(Phase(number, name, status, note), errors)
        for number, (name, (status, note)) in enumerate(zip(NAMES, parts, strict=True), start=1)
    )


def packaged(document: StatusDocument, filenames: Sequence[str]) -> StatusDocument:
    """The document as it reads once `filenames` are written."""
    phase = Phase(
        PACKAGING,
        NAMES[PACKAGING - 1],
        PhaseStatus.PASS,
        f"{', '.join(filenames)}; SHA-256 of each artifact in manifest.json",
    )
    rest = tuple(each for each in document.phases if each.number != PACKAGING)
    return msgspec.structs.replace(document, phases=(*rest, _with_errors(phase, document.errors)))


def _with_errors(phase: Phase, errors: Sequence[CapturedError]) -> Phase:
    steps = [error.step for error in errors if error.phase == phase.number]
    if not steps:
        return phase
    status = min(phase.status, PhaseStatus.DEGRADED, key=PRECEDENCE.index)
    counted = ", ".join(
        step if steps.count(step) == 1 else f"{step} ({steps.count(step)} times)"
        for step in dict.fromkeys(steps)
    )
    plural = "" if len(steps) == 1 else "s"
    note = f"{phase.note}; {len(steps)} captured error{plural}: {counted}"
    return msgspec.structs.replace(phase, status=status, note=note)


def _preparation(scan: Scan, gates: Sequence[GateResult]) -> str:
    commit = scan.provenance.commit
    at = f"commit {commit[:10]}" if commit else "no git commit"
    if scan.provenance.dirty:
        at += " with uncommitted changes"
    return f"{at}; {len(gates)} gates belong to this audit"


def _mapping(scan: Scan) -> str:
    repo = scan.repo_map
    left_out = sum(each.count for each in repo.left_out)
    source = "tracked by git" if repo.listed_by == "git" else "found without git"
    return f"{repo.files} files {source}, {left_out} left out, {len(repo.unparsed)} unparsed"


def _signals(scan: Scan, unknown: Sequence[str]) -> str:
    count = sum(len(each.criteria) for each in scan.capabilities.values())
    note = f"{count} criteria of {len(scan.capabilities)} capabilities asked"
    return f"{note}; no answer to {', '.join(unknown)}" if unknown else note


def _reproducibility(scan: Scan) -> str:
    rngs = seeds_by_generator(scan.reproducibility.seeds)
    seeded = ", ".join(rngs) if rngs else "none"
    missing = len(scan.reproducibility.recommendations)
    return f"generators seeded: {seeded}; {missing} recommendation{'' if missing == 1 else 's'}"


def _gate_phase(gates: Sequence[GateResult]) -> tuple[PhaseStatus, str]:
    if not gates:
        return PhaseStatus.NOT_RUN, "no gate of this phase is configured"
    status = min((STATUS_OF_GATE[gate.verdict] for gate in gates), key=PRECEDENCE.index)
    words = {
        GateVerdict.PASS: "passed",
        GateVerdict.FAIL: "failed",
        GateVerdict.ERROR: "ended in error",
        GateVerdict.STALE: "stale",
        GateVerdict.NOT_RUN: "not run",
        GateVerdict.SKIP: "skipped",
    }
    notes = []
    for verdict, word in words.items():
        of_it = [gate for gate in gates if gate.verdict is verdict]
        if not of_it:
            continue
        names = [
            f"{gate.name} ({gate.note})" if verdict is GateVerdict.SKIP else gate.name
            for gate in of_it
        ]
        notes.append(f"{word}: {', '.join(names)}")
    return status, "; ".join(notes)


def _consolidated(reads: Mapping[str, Read] | None) -> tuple[PhaseStatus, str]:
    if reads is None:
        return PhaseStatus.PASS, "static audit only: no outcome of a gate was asked for"
    unreadable = sorted(
        gate
        for gate, read in reads.items()
        if read.verdict is GateVerdict.ERROR and not read.outcome
    )
    if unreadable:
        return PhaseStatus.DEGRADED, f"unreadable outcomes: {', '.join(unreadable)}"
    count = sum(read.outcome is not None for read in reads.values())
    return PhaseStatus.PASS, f"outcomes read: {count}"
