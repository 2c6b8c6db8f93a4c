"""What the terminal shows at the end of one gate."""

from __future__ import annotations

from typing import TYPE_CHECKING

from codex_audit.outcome import Level, Verdict
from codex_audit.report.proof import subject_in_tree

if TYPE_CHECKING:
    from codex_audit.outcome import Outcome

FINDINGS_SHOWN = 20


_TRIALS = ("tokenizer", "trainer")
_SHORT = {Verdict.DECLARED_LIMIT: "limit"}


def gate_summary(outcome: Outcome) -> str:
    """Checks, open findings and errors of one outcome, and last its verdict: plain text."""
    lines = [
        *_on_trial(outcome),
        *(
            f"  {_SHORT.get(check.verdict, check.verdict):<5} {check.id}: {check.summary}"
            for check in outcome.checks
        ),
    ]
    unsuppressed = [finding for finding in outcome.findings if finding.suppressed_by is None]
    serious = [finding for finding in unsuppressed if finding.level is not Level.NOTE]
    # Notes are worth a line each only where the gate failed for nothing else.
    found = serious if serious or outcome.verdict is not Verdict.FAIL else unsuppressed
    lines += [
        f"  {finding.path}:{finding.line}: {finding.rule} {finding.message}"
        for finding in found[:FINDINGS_SHOWN]
    ]
    if len(found) > FINDINGS_SHOWN:
        lines.append(f"  and {len(found) - FINDINGS_SHOWN} more findings in the outcome file")
    if len(found) < len(unsuppressed):
        count = len(unsuppressed) - len(found)
        lines.append(f"  and {count} note{'' if count == 1 else 's'} in the outcome file")
    for error in outcome.errors:
        lines += [
            f"  error [{error.phase}:{error.step}] {error.message}",
            f"    diagnosis: {error.diagnosis}",
            f"    remedy: {error.remedy}",
        ]
    reason = f": {outcome.reason}" if outcome.reason and outcome.verdict is Verdict.SKIP else ""
    if subject_in_tree(outcome) is False:
        kind = "tokenizer" if "tokenizer" in outcome.gate else "trainer"
        lines.append(
            f"  This was the reference kit, not a {kind} of this repository: in the report it is a "
            f"SKIP until [tool.codex-audit.{kind}] names yours"
        )
    seconds = outcome.provenance.seconds
    lines.append(f"{outcome.gate}: {outcome.verdict.upper()}{reason} ({seconds:.1f} s)")
    summary_line = outcome.facts.get("summary_line")
    if isinstance(summary_line, str) and summary_line:
        lines.append(summary_line)
    return "\n".join(lines)


def _on_trial(outcome: Outcome) -> list[str]:
    """What a battery of proofs tried: a pass of another subject says nothing of this repository."""
    subject = outcome.facts.get("subject")
    if not isinstance(subject, dict) or not outcome.gate.startswith(_TRIALS):
        return []
    kind = subject.get("kind") or subject.get("adapter")
    of = f" ({kind})" if kind else ""
    other = "" if subject.get("in_tree") else ", which is not this repository's own"
    return [f"  on trial: {subject.get('name')}{of}{other}"]
