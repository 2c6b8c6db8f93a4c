"""The type gate: red on a type error, and honest when mypy gives no answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from gate_helpers import fake_bare_python, fake_python, make_context, make_repo

from codex_audit.gates.runner import run_gate
from codex_audit.gates.tool import ToolCrashedError, ToolKilledError, ToolTimeoutError
from codex_audit.gates.type import GATE, targets
from codex_audit.outcome import Verdict, fingerprint

if TYPE_CHECKING:
    from pathlib import Path

GOOD = "def twice(x: int) -> int:\n    return 2 * x\n"
BAD = GOOD + "\n\nanswer: str = twice(3)\n"


def test_typed_code_passes(tmp_path: Path) -> None:
    outcome = run_gate("type", make_repo(tmp_path, {"src/pkg/__init__.py": GOOD}))
    assert outcome.verdict is Verdict.PASS
    (check,) = outcome.checks
    assert check.id == "mypy_strict"
    assert check.measured == {"errors": 0, "files_with_errors": 0}
    assert outcome.facts == {"targets": ["src"]}
    assert outcome.provenance.tools["mypy"]


def test_a_type_error_fails(tmp_path: Path) -> None:
    outcome = run_gate(
        "type", make_repo(tmp_path, {"src/pkg/__init__.py": "", "src/pkg/a.py": BAD})
    )
    assert outcome.verdict is Verdict.FAIL
    (found,) = outcome.findings
    assert (found.rule, found.path, found.line) == ("assignment", "src/pkg/a.py", 5)
    assert found.fingerprint == fingerprint("assignment", "src/pkg/a.py", "answer: str = twice(3)")
    assert outcome.checks[0].summary == "1 type error in 1 file: assignment"


def test_strict_means_strict(tmp_path: Path) -> None:
    files = {"pkg/__init__.py": "def f(x):\n    return x\n", "mypy.ini": "[mypy]\nstrict = False\n"}
    outcome = run_gate("type", make_repo(tmp_path, files))
    assert outcome.verdict is Verdict.FAIL
    assert outcome.findings[0].rule == "no-untyped-def"


def test_the_repository_configures_mypy(tmp_path: Path) -> None:
    config = "[mypy]\nfiles = checked.py\n[mypy-checked]\nignore_errors = True\n"
    files = {"checked.py": BAD, "unchecked.py": BAD, "mypy.ini": config}
    outcome = run_gate("type", make_repo(tmp_path, files))
    assert outcome.verdict is Verdict.PASS
    assert outcome.facts == {"targets": "mypy's own configuration"}


def test_arguments_reach_mypy(tmp_path: Path) -> None:
    root = make_repo(tmp_path, {"a.py": BAD})
    assert run_gate("type", root).verdict is Verdict.FAIL
    assert run_gate("type", root, ("--disable-error-code=assignment",)).verdict is Verdict.PASS


def test_a_syntax_error_fails(tmp_path: Path) -> None:
    outcome = run_gate("type", make_repo(tmp_path, {"a.py": "def f(:\n"}))
    assert outcome.verdict is Verdict.FAIL
    assert outcome.findings[0].rule == "syntax"
    assert "stopped mypy" in outcome.checks[0].summary


def test_what_mypy_cannot_use_is_an_error(tmp_path: Path) -> None:
    root = make_repo(tmp_path, {"a.py": GOOD})
    outcome = run_gate("type", root, ("--no-such-option",))
    assert outcome.verdict is Verdict.ERROR
    assert "--no-such-option" in outcome.errors[0].message


def test_nothing_to_check_is_a_skip_with_its_reason(tmp_path: Path) -> None:
    outcome = run_gate("type", make_repo(tmp_path, {"README.md": "no code"}))
    assert outcome.verdict is Verdict.SKIP
    assert outcome.reason == "there is no package or module to check"


def test_mypy_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = make_repo(tmp_path, {"a.py": GOOD})
    fake_bare_python(tmp_path, monkeypatch)
    outcome = run_gate("type", root)
    assert outcome.verdict is Verdict.ERROR
    assert outcome.errors[0].message == "the tool 'mypy' is not installed"


@pytest.mark.parametrize(
    ("script", "error"),
    [
        ("echo INTERNAL ERROR >&2; exit 2", ToolCrashedError),
        ("echo prose instead of JSON; exit 1", ToolCrashedError),
        ("kill -ABRT $$", ToolKilledError),
        ("sleep 30", ToolTimeoutError),
    ],
)
def test_mypy_that_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, error: type[Exception]
) -> None:
    context = make_context(make_repo(tmp_path, {"a.py": GOOD}), timeout=1)
    fake_python(tmp_path, monkeypatch, script)
    with pytest.raises(error):
        GATE.run(context)


@pytest.mark.parametrize(
    ("files", "wanted", "expected"),
    [
        ({"src/p/a.py": "", "q/__init__.py": ""}, (), ["src"]),
        ({"q/__init__.py": "", "p/__init__.py": "", "tests/__init__.py": ""}, (), ["p", "q"]),
        ({"train.py": "", "scripts/x.py": ""}, (), ["train.py"]),
        ({"src/p/a.py": ""}, ("other",), ["other"]),
        ({"src/p/a.py": "", "pyproject.toml": "[tool.mypy]\nfiles = ['p']\n"}, (), None),
        ({"src/p/a.py": "", "pyproject.toml": "[tool.mypy]\nstrict = true\n"}, (), ["src"]),
        ({"src/p/a.py": "", "setup.cfg": "[mypy]\npackages = p\n"}, (), None),
        ({"src/p/a.py": "", "setup.cfg": "[metadata]\nname = p\n"}, (), ["src"]),
        ({"README.md": ""}, (), []),
    ],
)
def test_targets(
    tmp_path: Path, files: dict[str, str], wanted: tuple[str, ...], expected: list[str] | None
) -> None:
    assert targets(make_repo(tmp_path, files), wanted) == expected
