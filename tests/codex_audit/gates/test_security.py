"""The security gate: red on a seeded vulnerability, and nothing of what the tools say is lost."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError
from typing import TYPE_CHECKING

import pytest
from gate_helpers import fake_bare_python, fake_python, make_context, make_repo

from codex_audit.gates import semgrep
from codex_audit.gates.base import GateUsageError
from codex_audit.gates.runner import run_gate
from codex_audit.gates.security import default_targets
from codex_audit.outcome import Level, Verdict, fingerprint

if TYPE_CHECKING:
    from pathlib import Path

    from codex_audit.outcome import Check, Outcome

SAFE = """import json


def read(path):
    with open(path) as stream:
        return json.load(stream)
"""
EVAL = "def run(text):\n    return eval(text)\n"
RULE = """rules:
  - id: no-shout
    languages: [python]
    severity: ERROR
    message: Do not shout.
    pattern: shout(...)
"""

needs_semgrep = pytest.mark.skipif(
    not semgrep.program().is_file(), reason="semgrep is not installed in this environment"
)


def _check(outcome: Outcome, name: str) -> Check:
    return next(check for check in outcome.checks if check.id == name)


def test_safe_code_passes_and_absent_rules_are_said(tmp_path: Path) -> None:
    outcome = run_gate("security", make_repo(tmp_path, {"src/p/a.py": SAFE}))
    assert outcome.verdict is Verdict.PASS
    assert outcome.findings == ()
    bandit = _check(outcome, "bandit")
    assert bandit.measured == {"files": 1, "lines": 4, "findings": 0, "suppressed": 0}
    rules = _check(outcome, "semgrep")
    assert rules.verdict is Verdict.SKIP
    assert "no semgrep_rules/" in rules.summary
    containers = _check(outcome, "hadolint")
    assert containers.verdict is Verdict.SKIP
    assert containers.summary == "there is no Dockerfile to check"
    assert outcome.provenance.tools["bandit"]


def test_a_seeded_vulnerability_fails(tmp_path: Path) -> None:
    text = "import yaml\n\n\ndef read(text):\n    return yaml.load(text, Loader=yaml.Loader)\n"
    outcome = run_gate("security", make_repo(tmp_path, {"src/p/a.py": text}))
    assert outcome.verdict is Verdict.FAIL
    (found,) = outcome.findings
    assert (found.rule, found.level, found.path, found.line) == (
        "B506",
        Level.WARNING,
        "src/p/a.py",
        5,
    )
    line = "return yaml.load(text, Loader=yaml.Loader)"
    assert found.fingerprint == fingerprint("B506", "src/p/a.py", line)
    assert _check(outcome, "bandit").summary == "1 finding of bandit: B506"


LOW = "def f(x):\n    assert x\n"


def test_findings_of_low_severity_are_listed_and_fail_only_under_a_profile(tmp_path: Path) -> None:
    root = make_repo(tmp_path, {"a.py": LOW})
    outcome = run_gate("security", root)
    assert outcome.verdict is Verdict.PASS
    assert [(one.rule, one.level) for one in outcome.findings] == [("B101", Level.NOTE)]
    said = "bandit finds nothing serious in 1 file; 1 finding of low severity (B101), which fail"
    assert _check(outcome, "bandit").summary.startswith(said)
    (root / "bandit.yaml").write_text("skips: [B404]\n")
    outcome = run_gate("security", root)
    assert outcome.verdict is Verdict.FAIL
    assert _check(outcome, "bandit").summary == "1 finding of bandit: B101"


def test_a_finding_of_low_severity_hides_no_other(tmp_path: Path) -> None:
    outcome = run_gate("security", make_repo(tmp_path, {"a.py": LOW + EVAL}))
    assert outcome.verdict is Verdict.FAIL
    assert _check(outcome, "bandit").summary.startswith(
        "1 finding of bandit: B307; 1 finding of low"
    )


def test_what_nosec_silences_is_still_listed(tmp_path: Path) -> None:
    files = {"a.py": EVAL.replace("eval(text)", "eval(text)  # nosec B307")}
    outcome = run_gate("security", make_repo(tmp_path, files))
    assert outcome.verdict is Verdict.PASS
    assert [(found.rule, found.suppressed_by) for found in outcome.findings] == [
        ("B307", "# nosec")
    ]
    assert _check(outcome, "bandit").measured["suppressed"] == 1
    assert "silenced by # nosec" in _check(outcome, "bandit").summary


@pytest.mark.parametrize(
    "profile",
    [{"bandit.yaml": "skips: [B307]\n"}, {"pyproject.toml": "[tool.bandit]\nskips = ['B307']\n"}],
)
def test_the_repository_has_its_own_profile(tmp_path: Path, profile: dict[str, str]) -> None:
    outcome = run_gate("security", make_repo(tmp_path, {"a.py": EVAL, **profile}))
    assert outcome.verdict is Verdict.PASS


def test_a_file_that_bandit_cannot_parse_is_an_error(tmp_path: Path) -> None:
    outcome = run_gate("security", make_repo(tmp_path, {"a.py": "def f(:\n", "b.py": SAFE}))
    assert outcome.verdict is Verdict.ERROR
    (error,) = outcome.errors
    assert error.message.startswith("a.py: syntax error")
    assert "`a.py` is not valid Python" in error.diagnosis
    assert error.context == "bandit"


def test_default_targets(tmp_path: Path) -> None:
    files = {
        "train.py": SAFE,
        "lib/a.py": SAFE,
        "tests/test_a.py": SAFE,
        "semgrep_rules/x.py": SAFE,
        "docs/a.md": "",
    }
    root = make_repo(tmp_path, files)
    assert default_targets(make_context(root)) == ["lib", "train.py"]
    (root / "pyproject.toml").write_text("[tool.codex-audit]\nsecurity-paths = ['lib']\n")
    assert default_targets(make_context(root)) == ["lib"]


def test_arguments_choose_paths(tmp_path: Path) -> None:
    root = make_repo(tmp_path, {"good.py": SAFE, "bad.py": EVAL})
    assert run_gate("security", root).verdict is Verdict.FAIL
    assert run_gate("security", root, ("good.py",)).verdict is Verdict.PASS
    with pytest.raises(GateUsageError, match="'-x' is no path"):
        run_gate("security", root, ("-x",))


def test_no_python_is_a_skip_with_its_reason(tmp_path: Path) -> None:
    outcome = run_gate("security", make_repo(tmp_path, {"README.md": ""}))
    assert outcome.verdict is Verdict.SKIP
    assert outcome.reason == "there is no Python file and no Dockerfile to check"


def test_bandit_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = make_repo(tmp_path, {"a.py": SAFE})
    fake_bare_python(tmp_path, monkeypatch)
    outcome = run_gate("security", root)
    assert outcome.verdict is Verdict.ERROR
    assert outcome.errors[0].message == "the tool 'bandit' is not installed"
    assert 'pip install "codex-audit[security]"' in outcome.errors[0].remedy


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("echo cannot read profile >&2; exit 2", "exit code 2: cannot read profile"),
        ("exit 0", "exit code 0: it printed nothing"),  # and wrote no JSON
        ("kill -KILL $$", "killed by SIGKILL"),
        ("sleep 30", "did not end within"),
    ],
)
def test_bandit_that_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, message: str
) -> None:
    settings = "[tool.codex-audit.timeouts]\nsecurity = 1\n"
    root = make_repo(tmp_path, {"a.py": SAFE, "pyproject.toml": settings})
    fake_python(tmp_path, monkeypatch, script)
    outcome = run_gate("security", root)
    assert outcome.verdict is Verdict.ERROR
    assert message in outcome.errors[0].message
    assert "semgrep" in [check.id for check in outcome.checks]


def test_rules_without_semgrep_are_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = make_repo(tmp_path, {"a.py": SAFE, "semgrep_rules/r.yaml": RULE})

    def version(package: str) -> str:
        if package == "semgrep":
            raise PackageNotFoundError(package)
        return "1"

    monkeypatch.setattr("codex_audit.gates.tool.version", version)
    outcome = run_gate("security", root)
    assert outcome.verdict is Verdict.ERROR
    assert outcome.errors[0].message == "the tool 'semgrep' is not installed"
    assert _check(outcome, "bandit").verdict is Verdict.PASS


@needs_semgrep
def test_the_rules_of_the_repository_are_applied_offline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    text = "shout('hello')\nshout('again')  # nosemgrep: no-shout\nwhisper()\n"
    files = {
        "a.py": text,
        "semgrep_rules/deep/r.yaml": RULE,
        "semgrep_rules/deep/r.py": "shout()\n",
    }
    outcome = run_gate("security", make_repo(tmp_path, files))
    assert outcome.verdict is Verdict.FAIL
    check = _check(outcome, "semgrep")
    assert check.measured == {"files": 1, "findings": 1, "suppressed": 1, "incomplete": 0}
    assert [
        (found.rule, found.level, found.path, found.line, found.suppressed_by)
        for found in outcome.findings
    ] == [
        ("no-shout", Level.ERROR, "a.py", 1, None),
        ("no-shout", Level.ERROR, "a.py", 2, "# nosemgrep"),
    ]
    assert outcome.provenance.tools["semgrep"]


@needs_semgrep
@pytest.mark.parametrize(
    ("rule", "message"),
    [
        (RULE.replace("shout(...)", '"foo(("'), "Rule parse error"),
        (RULE.replace("    message: Do not shout.\n", ""), "'message'"),
    ],
)
def test_a_broken_rule_is_an_error(tmp_path: Path, rule: str, message: str) -> None:
    outcome = run_gate(
        "security", make_repo(tmp_path, {"a.py": SAFE, "semgrep_rules/r.yaml": rule})
    )
    assert outcome.verdict is Verdict.ERROR
    assert any(message in error.message for error in outcome.errors)
    assert _check(outcome, "semgrep").verdict is Verdict.ERROR


@needs_semgrep
def test_a_file_read_in_part_is_told(tmp_path: Path) -> None:
    files = {
        "a.py": SAFE,
        "bad.py": "def f(x:\n    @@@\n  ))shout(\n!!\n",
        "semgrep_rules/r.yaml": RULE,
    }
    outcome = run_gate("security", make_repo(tmp_path, files))
    check = _check(outcome, "semgrep")
    assert check.verdict is Verdict.PASS
    assert check.summary == (
        "the rules of semgrep_rules/ find nothing in 2 files; 1 file could only be read in part"
    )
    assert check.measured["incomplete"] == 1
    notes = [found for found in outcome.findings if found.rule == "semgrep-incomplete"]
    assert [(found.level, found.path) for found in notes] == [(Level.NOTE, "bad.py")]


@pytest.mark.parametrize(
    ("script", "message"),
    [("exit 2", "exit code 2"), ("kill -SEGV $$", "killed by SIGSEGV"), ("sleep 30", "within")],
)
def test_semgrep_that_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, message: str
) -> None:
    settings = "[tool.codex-audit.timeouts]\nsecurity = 3\n"
    files = {"a.py": SAFE, "semgrep_rules/r.yaml": RULE, "pyproject.toml": settings}
    program = tmp_path / "semgrep"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setattr(semgrep, "program", lambda: program)
    monkeypatch.setattr("codex_audit.gates.tool.version", lambda _package: "1")
    outcome = run_gate("security", make_repo(tmp_path, files))
    assert outcome.verdict is Verdict.ERROR
    assert message in outcome.errors[0].message
    assert outcome.errors[0].context == "semgrep"
