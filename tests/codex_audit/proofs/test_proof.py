"""Proofs are found by their module, and a declared limit is neither a failure nor a pass."""

from __future__ import annotations

import pytest

from codex_audit.gates.base import GateUsageError
from codex_audit.outcome import Check, Verdict, conclude
from codex_audit.proofs.proof import why_nothing_passed, with_limits

KNOWN = ("retention", "resume_bit_exact")


def test_a_declared_failure_is_a_limit_and_shows_the_reason_and_what_was_seen() -> None:
    failed = Check("retention", Verdict.FAIL, "the best was deleted")
    (check,) = with_limits([failed], {"retention": "we keep all"}, KNOWN, "trainer")
    assert check.verdict is Verdict.DECLARED_LIMIT
    assert check.summary == "declared: we keep all; seen: the best was deleted"


def test_nothing_but_limits_is_no_pass() -> None:
    limit = Check("retention", Verdict.DECLARED_LIMIT, "declared: we keep all")
    assert conclude([limit], []) is Verdict.SKIP
    assert why_nothing_passed([limit]) == "no proof passed: 1 declared limit(s), 0 skipped"
    assert why_nothing_passed([limit, Check("resume", Verdict.PASS, "it resumes")]) == ""


def test_a_limit_that_holds_after_all_is_a_pass_that_says_so() -> None:
    passed = Check("retention", Verdict.PASS, "three are kept")
    (check,) = with_limits([passed], {"retention": "we keep all"}, KNOWN, "trainer")
    assert check.verdict is Verdict.PASS
    assert "no longer needed" in check.summary


def test_an_error_stays_an_error_whatever_is_declared() -> None:
    error = Check("retention", Verdict.ERROR, "it crashed")
    assert with_limits([error], {"retention": "we keep all"}, KNOWN, "trainer") == (error,)


def test_a_limit_of_no_proof_is_refused_with_the_names_there_are() -> None:
    with pytest.raises(GateUsageError, match=r"limits\] retentoin: no such proof; there are: res"):
        with_limits([], {"retentoin": "a slip"}, KNOWN, "trainer")
