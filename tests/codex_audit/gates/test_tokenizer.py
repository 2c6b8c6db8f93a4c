"""The gate with real processes: the reference kit and a good file pass, broken files fail."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from codex_audit.gates.base import Context, GateUsageError, Report
from codex_audit.gates.tokenizer import GATE, run
from codex_audit.outcome import Check, Verdict, conclude
from codex_audit.settings import Settings, TokenizerSettings

REPOSITORY = Path(__file__).resolve().parents[3]
FIXTURES = REPOSITORY / "tests" / "fixtures"
ALL_CHECKS = [
    "round_trip", "batch_equals_single", "padding", "special_ids_distinct", "save_load",
    "new_process_same_ids",
]  # fmt: skip


def trial(root: Path, scratch: Path, path: str | None = None) -> tuple[Report, dict[str, Check]]:
    scratch.mkdir(exist_ok=True)
    settings = Settings(tokenizer=TokenizerSettings(path=path))
    report = run(Context(root, settings, (), scratch, 60))
    return report, {check.id: check for check in report.checks}


def test_the_reference_kit_passes_every_check(tmp_path: Path) -> None:
    report, checks = trial(REPOSITORY, tmp_path)
    assert report.errors == ()
    assert list(checks) == ALL_CHECKS
    assert {check.verdict for check in report.checks} == {Verdict.PASS}
    assert report.facts["subject"] == {"name": "codex_ml", "in_tree": True}
    assert checks["round_trip"].evidence[0].path == "src/codex_ml/tokenization/huggingface.py"
    assert "tokenizers" in report.tools


def test_a_lowercasing_tokenizer_fails_with_the_shortest_text(tmp_path: Path) -> None:
    report, checks = trial(FIXTURES / "tokenizers", tmp_path, "lowercasing.json")
    assert report.facts["subject"] == {"name": "lowercasing.json", "in_tree": True}
    failed = {check.id for check in report.checks if check.verdict is Verdict.FAIL}
    assert failed == {"round_trip"}
    summary = checks["round_trip"].summary
    assert 'shortest: "T" (U+0054) becomes "t" (U+0074)' in summary
    assert checks["round_trip"].evidence[0].path == "lowercasing.json"


def test_a_padding_id_that_is_a_letter_fails_twice(tmp_path: Path) -> None:
    report, checks = trial(FIXTURES / "tokenizers", tmp_path, "pad_collides.json")
    failed = {check.id for check in report.checks if check.verdict is Verdict.FAIL}
    assert {"padding", "special_ids_distinct"} <= failed
    assert "belongs to" in checks["special_ids_distinct"].summary


def test_a_tokenizer_without_padding_is_not_said_to_pad(tmp_path: Path) -> None:
    _, checks = trial(FIXTURES / "tokenizers", tmp_path, "no_padding.json")
    assert checks["padding"].verdict is Verdict.SKIP
    assert checks["round_trip"].verdict is Verdict.PASS


def test_a_file_that_is_no_tokenizer_is_an_error(tmp_path: Path) -> None:
    root = tmp_path / "repository"
    root.mkdir()
    (root / "tokenizer.json").write_text(json.dumps({"model": {"type": "None"}}))
    report, checks = trial(root, tmp_path / "scratch", "tokenizer.json")
    assert checks == {}
    assert conclude(report.checks, report.errors) is Verdict.ERROR
    assert report.errors[0].step == "tokenizer_smoke_test"


def test_a_missing_file_and_arguments_are_refused(tmp_path: Path) -> None:
    with pytest.raises(GateUsageError, match=r"there is no file 'absent\.json'"):
        trial(tmp_path, tmp_path / "scratch", "absent.json")
    with pytest.raises(GateUsageError, match="leave out '--all'"):
        run(Context(tmp_path, Settings(), ("--all",), tmp_path, 10))


def test_it_declares_phase_and_step() -> None:
    assert (GATE.name, GATE.phase, GATE.step) == ("tokenizer", 5, "tokenizer_smoke_test")
