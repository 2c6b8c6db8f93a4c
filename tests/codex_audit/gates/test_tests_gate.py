"""The tests gate: red on a failing test, and never green on tests that did not run."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

import pytest
from gate_helpers import fake_bare_python, fake_python, make_context, make_repo

from codex_audit.gates.runner import run_gate
from codex_audit.gates.tests import GATE
from codex_audit.gates.tool import ToolCrashedError, ToolKilledError, ToolTimeoutError
from codex_audit.outcome import Verdict

if TYPE_CHECKING:
    from pathlib import Path

    from codex_audit.outcome import Check, Outcome

CODE = "def half(x):\n    if x % 2:\n        return None\n    return x // 2\n"
TEST = "from code_under_test import half\n\n\ndef test_even():\n    assert half(4) == 2\n"
PASSING = {"code_under_test.py": CODE, "test_half.py": TEST}


@pytest.fixture(autouse=True)
def _without_our_own_options(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)


def _check(outcome: Outcome, name: str) -> Check:
    return next(check for check in outcome.checks if check.id == name)


def test_passing_tests_pass_with_coverage(tmp_path: Path) -> None:
    outcome = run_gate("tests", make_repo(tmp_path, PASSING))
    assert outcome.verdict is Verdict.PASS
    measured = _check(outcome, "tests_pass").measured
    assert {key: measured[key] for key in ("tests", "failures", "errors", "skipped")} == {
        "tests": 1,
        "failures": 0,
        "errors": 0,
        "skipped": 0,
    }
    coverage = _check(outcome, "coverage")
    assert coverage.measured["percent"] == pytest.approx(85.71)
    assert "fail_under" not in coverage.measured
    assert outcome.facts["coverage"] == {"code_under_test.py": 75.0, "test_half.py": 100.0}
    assert outcome.facts["summary_line"].startswith("1 passed in ")
    assert set(outcome.provenance.tools) == {"pytest", "pytest-cov", "coverage"}


def test_the_tree_is_left_clean(tmp_path: Path) -> None:
    root = make_repo(tmp_path, PASSING)
    run_gate("tests", root)
    assert not (root / ".coverage").exists()
    assert "1 passed" in (root / ".audit/scratch/tests/pytest.log").read_text()


def test_a_failing_test_fails_at_its_line(tmp_path: Path) -> None:
    test = TEST + "\n\ndef test_odd():\n    wanted = 1\n    assert half(3) == wanted\n"
    outcome = run_gate("tests", make_repo(tmp_path, {**PASSING, "test_half.py": test}))
    assert outcome.verdict is Verdict.FAIL
    (found,) = outcome.findings
    assert (found.rule, found.path, found.line) == ("test-failed", "test_half.py", 10)
    assert "test_odd: assert None == 1" in found.message
    assert _check(outcome, "tests_pass").summary == "1 test of 2 failed"
    assert outcome.facts["summary_line"].startswith("1 failed, 1 passed in ")


def test_errors_of_fixtures_and_of_collection_fail(tmp_path: Path) -> None:
    fixture = "import pytest\n\n@pytest.fixture\ndef f():\n    raise OSError('disk')\n\n"
    fixture += "def test_f(f):\n    pass\n"
    root = make_repo(tmp_path, {"test_a.py": fixture, "test_b.py": "from test_a import nothing\n"})
    outcome = run_gate("tests", root)
    assert outcome.verdict is Verdict.FAIL
    (found,) = outcome.findings
    assert (found.rule, found.path) == ("test-error", "test_b.py")
    assert "cannot import name 'nothing'" in found.message
    outcome = run_gate("tests", root, ("test_a.py",))
    assert outcome.verdict is Verdict.FAIL
    assert outcome.findings[0].rule == "test-error"
    assert "disk" in outcome.findings[0].message


def test_tests_that_miss_a_package_of_others_were_not_tried_and_are_not_red(
    tmp_path: Path,
) -> None:
    for name in "abc":
        (tmp_path / name).mkdir()
    missing = {"test_b.py": "import no_such_thing\n", "test_c.py": "import no_such_thing.part\n"}
    outcome = run_gate("tests", make_repo(tmp_path / "a", {**PASSING, **missing}))
    assert outcome.verdict is Verdict.ERROR
    check = _check(outcome, "tests_pass")
    assert check.verdict is Verdict.ERROR
    assert check.summary.startswith("2 test files cannot be imported: No module named 'no_such")
    (error, *_) = outcome.errors
    assert (
        error.diagnosis
        == "the optional dependency no_such_thing is not installed in this environment"
    )
    assert error.remedy == "install it: `pip install no_such_thing`"
    # What the repository itself lacks, or what fails besides, is red.
    own = {"half/__init__.py": "", "test_d.py": "import half.absent\n"}
    assert run_gate("tests", make_repo(tmp_path / "b", own)).verdict is Verdict.FAIL
    red = "def test_red():\n    import no_such_thing\n"
    assert run_gate("tests", make_repo(tmp_path / "c", {"test_e.py": red})).verdict is Verdict.FAIL


def test_skipped_tests_are_listed_with_their_reasons(tmp_path: Path) -> None:
    skipped = "\n\nimport pytest\n\n@pytest.mark.skip(reason='no GPU')\ndef test_s():\n    pass\n"
    skipped += "\n@pytest.mark.xfail(reason='known')\ndef test_x():\n    assert 0\n"
    outcome = run_gate("tests", make_repo(tmp_path, {**PASSING, "test_half.py": TEST + skipped}))
    assert outcome.verdict is Verdict.PASS
    assert outcome.facts["skipped"] == [{"test": "test_half::test_s", "reason": "no GPU"}]
    assert _check(outcome, "tests_pass").measured["skipped"] == 1
    assert outcome.facts["summary_line"].startswith("1 passed, 1 skipped, 1 xfailed in ")


def test_only_skipped_tests_are_a_failure(tmp_path: Path) -> None:
    text = "import pytest\n\n@pytest.mark.skip(reason='no GPU')\ndef test_s():\n    pass\n"
    outcome = run_gate("tests", make_repo(tmp_path, {"test_s.py": text}))
    assert outcome.verdict is Verdict.FAIL
    assert "nothing was tested" in _check(outcome, "tests_pass").summary


@pytest.mark.parametrize("arguments", [(), ("-k", "no_such_name")])
def test_no_tests_are_a_failure(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    files = PASSING if arguments else {"code_under_test.py": CODE}
    outcome = run_gate("tests", make_repo(tmp_path, files), arguments)
    assert outcome.verdict is Verdict.FAIL
    assert _check(outcome, "tests_pass").summary == "no tests were collected"


def test_arguments_reach_pytest_and_the_summary_survives_quiet(tmp_path: Path) -> None:
    outcome = run_gate("tests", make_repo(tmp_path, PASSING), ("-qq", "-k", "even"))
    assert outcome.verdict is Verdict.PASS
    assert outcome.facts["summary_line"].startswith("1 passed in ")


@pytest.mark.parametrize(("floor", "verdict"), [(80, Verdict.PASS), (95, Verdict.FAIL)])
def test_the_floor_of_the_repository_is_kept(tmp_path: Path, floor: int, verdict: Verdict) -> None:
    config = f"[tool.coverage.report]\nfail_under = {floor}\n"
    outcome = run_gate("tests", make_repo(tmp_path, {**PASSING, "pyproject.toml": config}))
    assert outcome.verdict is verdict
    assert _check(outcome, "tests_pass").verdict is Verdict.PASS
    assert _check(outcome, "coverage").verdict is verdict
    assert _check(outcome, "coverage").measured["fail_under"] == floor


def test_a_floor_given_as_an_option_is_kept(tmp_path: Path) -> None:
    config = "[pytest]\naddopts = --cov-fail-under=95\n"
    outcome = run_gate("tests", make_repo(tmp_path, {**PASSING, "pytest.ini": config}))
    assert outcome.verdict is Verdict.FAIL
    assert "95" in _check(outcome, "tests_pass").summary


def test_coverage_switched_off_is_said(tmp_path: Path) -> None:
    outcome = run_gate("tests", make_repo(tmp_path, PASSING), ("--no-cov",))
    assert outcome.verdict is Verdict.PASS
    coverage = _check(outcome, "coverage")
    assert (coverage.verdict, coverage.summary) == (
        Verdict.SKIP,
        "no coverage: nothing was measured",
    )


def test_without_pytest_cov_tests_still_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def without(package: str) -> str:
        if package == "pytest-cov":
            raise PackageNotFoundError(package)
        return version(package)

    monkeypatch.setattr("codex_audit.gates.tests.version", without)
    outcome = run_gate("tests", make_repo(tmp_path, PASSING))
    assert outcome.verdict is Verdict.PASS
    assert _check(outcome, "coverage").summary == "no coverage: pytest-cov is not installed here"


def test_a_usage_error_is_an_error(tmp_path: Path) -> None:
    outcome = run_gate("tests", make_repo(tmp_path, PASSING), ("--no-such-option",))
    assert outcome.verdict is Verdict.ERROR
    assert "--no-such-option" in outcome.errors[0].message


def test_a_broken_conftest_is_an_error_with_its_diagnosis(tmp_path: Path) -> None:
    files = {**PASSING, "conftest.py": "import no_such_plugin\n"}
    outcome = run_gate("tests", make_repo(tmp_path, files))
    assert outcome.verdict is Verdict.ERROR
    assert "no_such_plugin is not installed" in outcome.errors[0].diagnosis


def test_an_internal_error_is_an_error(tmp_path: Path) -> None:
    conftest = "def pytest_collection_modifyitems():\n    raise RuntimeError('inside')\n"
    outcome = run_gate("tests", make_repo(tmp_path, {**PASSING, "conftest.py": conftest}))
    assert outcome.verdict is Verdict.ERROR
    assert "exit code 3" in outcome.errors[0].message


def test_an_interrupted_run_is_an_error(tmp_path: Path) -> None:
    text = TEST + "\n\ndef test_stop():\n    raise KeyboardInterrupt\n"
    outcome = run_gate("tests", make_repo(tmp_path, {**PASSING, "test_half.py": text}))
    assert outcome.verdict is Verdict.ERROR
    assert "exit code 2" in outcome.errors[0].message


def test_tests_that_kill_their_process_are_an_error(tmp_path: Path) -> None:
    text = "import os\n\ndef test_kill():\n    os.kill(os.getpid(), 9)\n"
    outcome = run_gate("tests", make_repo(tmp_path, {"test_kill.py": text}))
    assert outcome.verdict is Verdict.ERROR
    assert "killed by SIGKILL" in outcome.errors[0].message


def test_tests_that_do_not_end_are_an_error(tmp_path: Path) -> None:
    text = "import time\n\ndef test_wait():\n    time.sleep(60)\n"
    settings = "[tool.codex-audit.timeouts]\ntests = 2\n"
    root = make_repo(tmp_path, {"test_wait.py": text, "pyproject.toml": settings})
    outcome = run_gate("tests", root)
    assert outcome.verdict is Verdict.ERROR
    assert "did not end within 2 s" in outcome.errors[0].message


def test_pytest_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = make_repo(tmp_path, PASSING)
    fake_bare_python(tmp_path, monkeypatch)
    outcome = run_gate("tests", root)
    assert outcome.verdict is Verdict.ERROR
    assert outcome.errors[0].message == "the tool 'pytest' is not installed"


@pytest.mark.parametrize(
    ("script", "error"),
    [
        ("exit 0", ToolCrashedError),  # without a JUnit file
        ("exit 3", ToolCrashedError),
        ("kill -SEGV $$", ToolKilledError),
        ("sleep 30", ToolTimeoutError),
    ],
)
def test_pytest_that_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, error: type[Exception]
) -> None:
    context = make_context(make_repo(tmp_path, PASSING), timeout=1)
    fake_python(tmp_path, monkeypatch, script)
    with pytest.raises(error):
        GATE.run(context)
