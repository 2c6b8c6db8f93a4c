"""What the terminal shows at the end of an audit."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from codex_audit.records import Status
from codex_audit.report.escaping import shorten
from codex_audit.report.ladder import counted

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from codex_audit.records import Kind, Scan
    from codex_audit.report.document import GateResult, StatusDocument

NOTE_WIDTH = 100


def summary(document: StatusDocument, paths: Iterable[Path]) -> str:
    """Gates, kind, capabilities, where the documents are, and last the verdict: plain text."""
    name_width = max((len(gate.name) for gate in document.gates), default=0)
    status_width = max(len(status) for status in Status)
    lines = ["Gates"]
    lines += [_gate_line(gate, name_width) for gate in document.gates]
    if not document.gates:
        lines.append("  none is configured")
    lines += ["", f"Kind: {_kind(document.kind)}", "", "Capabilities"]
    for status in Status:
        names = [each.id for each in document.capabilities.values() if each.status is status]
        if names:
            lines.append(f"  {status:<{status_width}}  {', '.join(names)}")
    version = document.catalog_version
    lines += ["", f"Criteria: {counted(document.capabilities)}; catalog {version}"]
    if document.projects:
        lines += ["", "Projects", *map(_project_line, document.projects.items())]
    if document.errors:
        count = len(document.errors)
        lines += ["", f"{count} captured error{'' if count == 1 else 's'}"]
        lines += [
            f"  [{error.phase}:{error.step}] {shorten(error.message, NOTE_WIDTH)}\n"
            f"    {shorten(error.diagnosis, NOTE_WIDTH)}; {shorten(error.remedy, NOTE_WIDTH)}"
            for error in document.errors[:5]
        ]
        if count > 5:  # noqa: PLR2004 - as many as are shown above
            lines.append(f"  and {count - 5} more in the documents")
    shown = [str(path) for path in paths]
    if shown:
        lines += ["", "Documents", *(f"  {path}" for path in shown)]
    lines += ["", f"{document.project}: {document.verdict}: {document.reason}"]
    return "\n".join(lines) + "\n"


def _project_line(project: tuple[str, Scan]) -> str:
    path, scan = project
    counted = Counter(each.status for each in scan.capabilities.values())
    said = ", ".join(f"{counted[status]} {status}" for status in Status if counted[status])
    return f"  {path}: {said}"


def _kind(kind: Kind) -> str:
    places = f" ({', '.join(map(str, kind.evidence))})" if kind.evidence else ""
    return f"{kind.title}{places}: {kind.reason}"


def _gate_line(gate: GateResult, width: int) -> str:
    took = "" if gate.seconds is None else f"{gate.seconds:.1f} s"
    required = "" if gate.required else " (not required)"
    note = shorten(gate.note, NOTE_WIDTH)
    return f"  {gate.verdict:<7}  {gate.name:<{width}}  {took:>8}  {note}{required}"
