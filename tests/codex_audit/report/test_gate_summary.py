"""What the terminal shows of a gate: first of all, what it tried."""

from __future__ import annotations

from typing import Any

import pytest

from codex_audit.outcome import Check, Outcome, Provenance, Verdict
from codex_audit.report.gate_summary import gate_summary

MADE = Provenance(None, None, "", {}, "3.11", "linux", "cpu", "2026-01-01T00:00:00Z", 1.0, "gate")


@pytest.mark.parametrize(
    ("gate", "subject", "first"),
    [
        (
            "tokenizer",
            {"name": "tokenizer.model", "kind": "sentencepiece", "in_tree": True},
            "  on trial: tokenizer.model (sentencepiece)",
        ),
        (
            "tokenizer",
            {"name": "codex_ml", "in_tree": False},
            "  on trial: codex_ml, which is not this repository's own",
        ),
        (
            "trainer-smoke-cpu",
            {"name": "own:make", "adapter": "lightning", "in_tree": True},
            "  on trial: own:make (lightning)",
        ),
        ("tests", {"name": "the repository's tests", "in_tree": True}, "  pass  one: it holds"),
        ("lint", None, "  pass  one: it holds"),
    ],
)
def test_what_is_on_trial_comes_first(gate: str, subject: Any, first: str) -> None:
    outcome = Outcome(
        gate=gate,
        verdict=Verdict.PASS,
        checks=(Check("one", Verdict.PASS, "it holds"),),
        facts={} if subject is None else {"subject": subject},
        provenance=MADE,
    )
    lines = gate_summary(outcome).splitlines()
    assert lines[0] == first
    assert lines[-1] == f"{gate}: PASS (1.0 s)"
