"""The terminal's last words."""

from __future__ import annotations

from pathlib import Path

from status_factory import (
    CPU,
    SETTINGS,
    capability,
    captured,
    criterion,
    outcome,
    scan,
    write_all,
)

from codex_audit.outcome import Verdict
from codex_audit.records import Answer, Status
from codex_audit.report.merge import merge
from codex_audit.report.summary import summary


def test_it_says_what_failed_where_the_documents_are_and_the_verdict_last(tmp_path: Path) -> None:
    write_all(
        tmp_path,
        outcome("lint", Verdict.FAIL),
        outcome(CPU, Verdict.ERROR, errors=(captured(),)),
        outcome("trainer-smoke-cuda", Verdict.SKIP),
    )
    audited = scan(capability("deployment", criterion("c", Answer.UNMET), status=Status.MISSING))
    lines = summary(merge(audited, tmp_path, SETTINGS), [Path(".audit/STATUS.md")]).splitlines()
    assert "  FAIL     lint                   1.5 s  main: main failed" in lines
    assert "  SKIP     trainer-smoke-cuda     1.5 s  no CUDA device (not required)" in lines
    assert "  Missing         deployment" in lines
    assert "  .audit/STATUS.md" in lines
    assert "1 captured error" in lines
    assert any(line.startswith("  [5:trainer_smoke_test] cannot import") for line in lines)
    assert lines[-1] == (
        "demo: FAIL: 2 of 6 required gates did not pass: lint (FAIL), trainer-smoke-cpu (ERROR)"
    )


def test_a_clean_audit_shows_no_errors(tmp_path: Path) -> None:
    said = summary(merge(scan(), write_all(tmp_path), SETTINGS), [])
    assert said.endswith("\ndemo: PASS: all 6 required gates passed\n")
    assert "captured error" not in said
    assert "Documents" not in said


def test_errors_beyond_five_are_counted_and_long_notes_cut(tmp_path: Path) -> None:
    errors = tuple(captured(step=f"s{number}", message="m" * 300) for number in range(7))
    said = summary(merge(scan(errors=errors), tmp_path / "none", SETTINGS), [])
    assert "  and 2 more in the documents\n" in said
    assert max(map(len, said.splitlines())) < 240
    assert said.splitlines()[-1].startswith("demo: NOT RUN: ")
