"""What the terminal shows at the end of one gate."""

from __future__ import annotations

from typing import TYPE_CHECKING

from codex_audit.outcome import Verdict

if TYPE_CHECKING:
    from codex_audit.outcome import Outcome

FINDINGS_SHOWN = 20


_SHORT = {Verdict.DECLARED_LIMIT: "limit"}


def gate_summary(outcome: Outcome) -> str:
    """Checks, open findings and errors of one outcome, and last its verdict: plain text."""
    lines = [
        f"  {_SHORT.get(check.verdict, check.verdict):<5} {check.id}: {check.summary}"
        for check in outcome.checks
    ]
    found = [finding for finding in outcome.findings if finding.suppressed_by is None]
    lines += [
        f"  {finding.path}:{finding.line}: {finding.rule} {finding.message}"
        for finding in found[:FINDINGS_SHOWN]
    ]
    if len(found) > FINDINGS_SHOWN:
        lines.append(f"  and {len(found) - FINDINGS_SHOWN} more findings in the outcome file")
    for error in outcome.errors:
        lines += [
            f"  error [{error.phase}:{error.step}] {error.message}",
            f"    diagnosis: {error.diagnosis}",
            f"    remedy: {error.remedy}",
        ]
    reason = f": {outcome.reason}" if outcome.reason and outcome.verdict is Verdict.SKIP else ""
    seconds = outcome.provenance.seconds
    lines.append(f"{outcome.gate}: {outcome.verdict.upper()}{reason} ({seconds:.1f} s)")
    summary_line = outcome.facts.get("summary_line")
    if isinstance(summary_line, str) and summary_line:
        lines.append(summary_line)
    return "\n".join(lines)
