"""The gate without a device (a skip, or a failure when required) and with one, where there is."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from codex_audit.gates import trainer_smoke_cuda
from codex_audit.gates.base import Context, GateUsageError, Report
from codex_audit.gates.trainer_smoke_cuda import GATE, run
from codex_audit.outcome import Verdict, conclude
from codex_audit.settings import Settings

FIXTURES = Path(__file__).resolve().parents[2] / "fixtures"


def run_with(root: Path, scratch: Path, *args: str) -> Report:
    scratch.mkdir(exist_ok=True)
    return run(Context(root, Settings(), args, scratch, 300))


def test_it_passes_on_a_device_and_skips_with_the_reason_without_one(tmp_path: Path) -> None:
    root = tmp_path / "repository"
    root.mkdir()
    report = run_with(root, tmp_path / "scratch")
    if report.device != "cpu":
        assert conclude(report.checks, report.errors) is Verdict.PASS
        restored = next(check for check in report.checks if check.id == "rng_restored")
        assert "cuda:0" in restored.measured
    else:
        assert conclude(report.checks, report.errors) is Verdict.SKIP
        assert report.reason.startswith("no CUDA device: torch ")


def test_without_a_device_it_fails_when_one_is_required(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    why = "torch 2.13.0 is built without CUDA"
    probe = {"why_no_cuda": why, "versions": {"torch": "2.13.0"}}
    monkeypatch.setattr(trainer_smoke_cuda, "_probe", lambda _: probe)
    report = run_with(tmp_path, tmp_path / "scratch", "--require")
    (check,) = report.checks
    assert check.id == "cuda_device"
    assert check.verdict is Verdict.FAIL
    assert check.summary == f"--require was given and {why}"
    assert conclude(report.checks, report.errors) is Verdict.FAIL


def test_a_shadowed_torch_is_an_error_and_never_a_skip(tmp_path: Path) -> None:
    root = tmp_path / "repository"
    shutil.copytree(FIXTURES / "shadowed_torch", root)
    report = run_with(root, tmp_path / "scratch")
    assert report.reason == ""
    (error,) = report.errors
    assert error.step == GATE.step
    assert "shadows the installed package torch" in error.diagnosis


def test_other_arguments_are_refused(tmp_path: Path) -> None:
    with pytest.raises(GateUsageError, match="leave out '--device'"):
        run_with(tmp_path, tmp_path / "scratch", "--require", "--device")
