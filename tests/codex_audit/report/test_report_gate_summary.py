"""What the terminal shows at the end of one gate."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from status_factory import CPU, finding, outcome

from codex_audit.outcome import Level, Verdict
from codex_audit.report.gate_summary import gate_summary

if TYPE_CHECKING:
    from codex_audit.outcome import Finding

NOTE, OPEN = finding(level=Level.NOTE, path="note.py"), finding(path="open.py")


@pytest.mark.parametrize(
    ("verdict", "findings", "shown", "said"),
    [
        (Verdict.PASS, (NOTE,), [], "  and 1 note in the outcome file"),
        (Verdict.FAIL, (NOTE, OPEN, NOTE), ["open.py"], "  and 2 notes in the outcome file"),
        # Nothing else says why it failed.
        (Verdict.FAIL, (NOTE,), ["note.py"], ""),
        (Verdict.FAIL, (OPEN,) * 23, ["open.py"] * 20, "  and 3 more findings in the outcome file"),
    ],
)
def test_notes_are_lines_only_where_nothing_else_explains_a_failure(
    verdict: Verdict, findings: tuple[Finding, ...], shown: list[str], said: str
) -> None:
    lines = gate_summary(outcome("security", verdict, findings=findings)).splitlines()
    assert [line.split(":")[0].strip() for line in lines if ": F401 " in line] == shown
    assert [line for line in lines if line.startswith("  and ")] == ([said] if said else [])


@pytest.mark.parametrize(("gate", "kind"), [(CPU, "trainer"), ("tokenizer", "tokenizer")])
def test_a_pass_of_the_reference_kit_is_not_taken_for_one_of_the_repository(
    gate: str, kind: str
) -> None:
    said = f"not a {kind} of this repository: in the report it is a SKIP until [tool.codex-audit.{kind}]"
    kit = outcome(gate, facts={"subject": {"in_tree": False}})
    assert said in gate_summary(kit)
    for facts in ({"subject": {"in_tree": True}}, {}):
        assert "reference kit" not in gate_summary(outcome(gate, facts=facts))
