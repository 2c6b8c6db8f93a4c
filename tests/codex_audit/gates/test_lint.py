"""The lint gate: red on a rule or a layout that ruff rejects, and honest when ruff fails."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest
from gate_helpers import fake_bare_python, fake_python, make_context, make_repo

from codex_audit.gates.base import GateUsageError
from codex_audit.gates.lint import GATE
from codex_audit.gates.runner import run_gate
from codex_audit.gates.tool import (
    ToolCrashedError,
    ToolKilledError,
    ToolMissingError,
    ToolTimeoutError,
)
from codex_audit.outcome import Level, Verdict, fingerprint

if TYPE_CHECKING:
    from pathlib import Path

CLEAN = '"""Nothing to see."""\n\nx = 1\n'
UNUSED = '"""Has a fault."""\n\nimport os\n'


def test_clean_code_passes(tmp_path: Path) -> None:
    outcome = run_gate("lint", make_repo(tmp_path, {"pkg/a.py": CLEAN, "b.pyi": "x: int\n"}))
    assert outcome.verdict is Verdict.PASS
    assert [check.id for check in outcome.checks] == ["ruff_check", "ruff_format"]
    assert outcome.checks[0].measured == {"files": 2, "findings": 0}
    assert outcome.checks[1].measured == {"files": 2, "unformatted": 0}
    assert outcome.findings == ()
    assert outcome.provenance.tools["ruff"]


def test_a_broken_rule_fails(tmp_path: Path) -> None:
    outcome = run_gate("lint", make_repo(tmp_path, {"pkg/a.py": UNUSED, "b.py": CLEAN}))
    assert outcome.verdict is Verdict.FAIL
    rules, layout = outcome.checks
    assert (rules.verdict, layout.verdict) == (Verdict.FAIL, Verdict.PASS)
    assert rules.measured == {"files": 2, "findings": 1}
    assert rules.summary == "1 finding of ruff: F401"
    (found,) = outcome.findings
    assert (found.rule, found.level, found.path, found.line) == ("F401", Level.ERROR, "pkg/a.py", 3)
    assert found.fingerprint == fingerprint("F401", "pkg/a.py", "import os")


@pytest.mark.parametrize(
    "setting", ["fix = true", "fix-only = true", "fix = true\nunsafe-fixes = true"]
)
def test_a_configuration_that_mends_changes_no_file(tmp_path: Path, setting: str) -> None:
    """Ruff would mend what it was asked to judge, and the gate would pass on other code."""
    root = make_repo(tmp_path, {"a.py": UNUSED, "ruff.toml": f"{setting}\n"})
    outcome = run_gate("lint", root)
    assert (root / "a.py").read_text() == UNUSED
    assert outcome.verdict is Verdict.FAIL
    assert [found.rule for found in outcome.findings] == ["F401"]


def test_a_layout_of_its_own_fails(tmp_path: Path) -> None:
    outcome = run_gate("lint", make_repo(tmp_path, {"a.py": "x  =  1\n"}))
    assert outcome.verdict is Verdict.FAIL
    assert [check.verdict for check in outcome.checks] == [Verdict.PASS, Verdict.FAIL]
    assert [(found.rule, found.path) for found in outcome.findings] == [("unformatted", "a.py")]


def test_a_syntax_error_fails_and_is_counted_once(tmp_path: Path) -> None:
    outcome = run_gate("lint", make_repo(tmp_path, {"a.py": "def f(:\n", "b.py": "x  = 1\n"}))
    assert outcome.verdict is Verdict.FAIL
    rules = {found.rule for found in outcome.findings}
    assert rules == {"invalid-syntax", "unformatted"}
    assert "syntax error" in outcome.checks[1].summary
    assert outcome.checks[1].measured["unformatted"] == 1


def test_the_repository_configures_ruff(tmp_path: Path) -> None:
    config = "[tool.ruff.lint]\nignore = ['F401']\n"
    outcome = run_gate("lint", make_repo(tmp_path, {"a.py": UNUSED, "pyproject.toml": config}))
    assert outcome.verdict is Verdict.PASS


def test_settings_and_arguments_choose_paths(tmp_path: Path) -> None:
    config = "[tool.codex-audit]\nlint-paths = ['good']\n"
    files = {"bad/a.py": UNUSED, "good/b.py": CLEAN, "pyproject.toml": config}
    root = make_repo(tmp_path, files)
    assert run_gate("lint", root).verdict is Verdict.PASS
    assert run_gate("lint", root, ("bad",)).verdict is Verdict.FAIL
    with pytest.raises(GateUsageError, match="'--fix' is no path"):
        run_gate("lint", root, ("--fix",))


def test_no_python_is_a_skip_with_its_reason(tmp_path: Path) -> None:
    files = {"README.md": "no code", "pyproject.toml": "[project]\nname = 'x'\nversion = '1'\n"}
    outcome = run_gate("lint", make_repo(tmp_path, files))
    assert outcome.verdict is Verdict.SKIP
    assert outcome.reason == "ruff finds no Python file here"


def test_a_configuration_that_ruff_rejects_is_an_error(tmp_path: Path) -> None:
    outcome = run_gate("lint", make_repo(tmp_path, {"a.py": CLEAN, "ruff.toml": "no-such = 1\n"}))
    assert outcome.verdict is Verdict.ERROR
    assert "no-such" in outcome.errors[0].message


def test_ruff_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = make_repo(tmp_path, {"a.py": CLEAN})
    fake_bare_python(tmp_path, monkeypatch)
    outcome = run_gate("lint", root)
    assert outcome.verdict is Verdict.ERROR
    (error,) = outcome.errors
    assert error.message == "the tool 'ruff' is not installed"
    assert error.diagnosis == "the tool ruff is not installed in this environment"
    assert 'pip install "codex-audit[lint]"' in error.remedy


@pytest.mark.parametrize(
    ("script", "error"),
    [
        ("echo oh no >&2; exit 2", ToolCrashedError),
        ("echo not json; exit 1", ToolCrashedError),
        ("kill -SEGV $$", ToolKilledError),
        ("sleep 30", ToolTimeoutError),
    ],
)
def test_ruff_that_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, error: type[Exception]
) -> None:
    context = make_context(make_repo(tmp_path, {"a.py": CLEAN}), timeout=1)
    # The files are listed by the real one.
    listing = f'case "$*" in *show-files*) exec "{sys.executable}" "$@";; esac\n'
    fake_python(tmp_path, monkeypatch, listing + script)
    with pytest.raises(error):
        GATE.run(context)


def test_ruff_absent_from_the_metadata(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    context = make_context(make_repo(tmp_path, {"a.py": CLEAN}))
    monkeypatch.setattr("sys.path", [str(tmp_path)])
    with pytest.raises(ToolMissingError, match="'ruff'"):
        GATE.run(context)
