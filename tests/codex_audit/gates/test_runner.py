"""Whatever happens to a gate, its outcome file tells the truth."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from gate_helpers import make_repo

import codex_audit
from codex_audit.gates import runner
from codex_audit.gates.base import Context, Gate, GateUsageError, Report, UnknownGateError
from codex_audit.gates.runner import exit_code, run_gate
from codex_audit.outcome import Check, Outcome, Verdict, read_outcome
from codex_audit.settings import SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable


def _use(monkeypatch: pytest.MonkeyPatch, run: Callable[[Context], Report]) -> None:
    gate = Gate(name="probe", phase=6, step="probing", title="a probe", why="", run=run)
    monkeypatch.setattr(runner, "find_gate", lambda _name: gate)


def _written(root: Path, gate: str = "probe") -> Outcome:
    return read_outcome(root / ".audit" / "outcomes" / f"{gate}.json")


def _raise(error: BaseException) -> Callable[[Context], Report]:
    def run(_context: Context) -> Report:
        raise error

    return run


PASSED = Check("one", Verdict.PASS, "fine")
FAILED = Check("two", Verdict.FAIL, "bad")


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    return make_repo(tmp_path, {"a.py": "x = 1\n"})


@pytest.mark.parametrize(
    ("report", "verdict", "code"),
    [
        (Report(checks=(PASSED,)), Verdict.PASS, 0),
        (Report(checks=(PASSED, FAILED)), Verdict.FAIL, 1),
        (Report(reason="nothing to do here"), Verdict.SKIP, 0),
        (Report(), Verdict.ERROR, 2),
        (Report(checks=(Check("three", Verdict.SKIP, "left out"),)), Verdict.ERROR, 2),
    ],
)
def test_verdict_and_exit_code(
    repo: Path, monkeypatch: pytest.MonkeyPatch, report: Report, verdict: Verdict, code: int
) -> None:
    _use(monkeypatch, lambda _context: report)
    outcome = run_gate("probe", repo)
    assert outcome.verdict is verdict
    assert exit_code(outcome.verdict) == code
    assert _written(repo) == outcome
    assert outcome.reason == report.reason


def test_a_silent_gate_says_why_it_is_an_error(repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _use(monkeypatch, lambda _context: Report())
    (error,) = run_gate("probe", repo).errors
    assert error.message == "the gate probe checked nothing and gave no reason"


def test_context_and_provenance(repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Context] = []

    def run(context: Context) -> Report:
        seen.append(context)
        assert context.scratch.is_dir()
        assert not any(context.scratch.iterdir())
        (context.scratch / "left").write_text("from the last run")
        # What a gate writes into the tree must not change what its outcome stands for.
        (repo / "a.py").write_text("x = 2\n")
        return Report(checks=(PASSED,), tools={"probe": "1.0"}, device="cuda:0")

    _use(monkeypatch, run)
    first = run_gate("probe", repo, ("-x", "a b"))
    assert seen[0].root == repo.resolve()
    assert seen[0].args == ("-x", "a b")
    told = first.provenance
    head = subprocess.check_output(["git", "rev-parse", "HEAD"], cwd=repo, text=True).strip()
    assert (told.commit, told.dirty) == (head, False)
    assert (told.tools, told.device) == ({"probe": "1.0"}, "cuda:0")
    assert told.command == "codex-audit gate probe -x 'a b'"
    assert told.python.startswith(f"{sys.version_info.major}.{sys.version_info.minor}.")
    assert 0 <= told.seconds < 60
    second = run_gate("probe", repo).provenance
    assert second.dirty is True
    assert second.tree_digest != told.tree_digest


def test_tracked_files_that_change_while_a_gate_runs_are_an_error_and_new_ones_are_not(
    repo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def writes(name: str) -> Outcome:
        def run(_context: Context) -> Report:
            (repo / name).write_text(f"{name} = {time.time_ns()}\n")
            return Report(checks=(PASSED,))

        _use(monkeypatch, run)
        return run_gate("probe", repo)

    assert writes("result.csv").verdict is Verdict.PASS
    outcome = writes("a.py")
    assert outcome.verdict is Verdict.ERROR
    assert outcome.checks == (PASSED,)
    (error,) = outcome.errors
    assert error.message == "tracked files changed while the gate ran: a.py"

    def removes(_context: Context) -> Report:
        (repo / "a.py").unlink()
        return Report(checks=(FAILED,))

    _use(monkeypatch, removes)
    assert run_gate("probe", repo).errors[0].message == error.message
    # It is as it was when the next one begins.
    assert writes("result.csv").verdict is Verdict.PASS


def test_outputs_do_not_make_the_tree_dirty(repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _use(monkeypatch, lambda _context: Report(checks=(PASSED,)))
    run_gate("probe", repo)
    status = subprocess.check_output(["git", "status", "--porcelain"], cwd=repo, text=True)
    assert status == ""


@pytest.mark.parametrize(
    "error", [RuntimeError("boom"), SystemExit(0), KeyboardInterrupt(), MemoryError()]
)
def test_what_a_gate_raises_is_captured(
    repo: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    _use(monkeypatch, _raise(error))
    outcome = run_gate("probe", repo)
    assert outcome.verdict is Verdict.ERROR
    (captured,) = outcome.errors
    assert (captured.phase, captured.step, captured.context) == (6, "probing", "a probe")
    assert type(error).__name__ in captured.traceback
    assert _written(repo) == outcome


def test_a_fact_that_is_no_json_is_captured(repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _use(monkeypatch, lambda _context: Report(checks=(PASSED,), facts={"x": object()}))
    outcome = run_gate("probe", repo)
    assert outcome.verdict is Verdict.ERROR
    assert _written(repo) == outcome


def test_usage_error_propagates_and_the_file_says_so(
    repo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _use(monkeypatch, _raise(GateUsageError("probe: '--what' is no option")))
    with pytest.raises(GateUsageError, match="--what"):
        run_gate("probe", repo, ("--what",))
    outcome = _written(repo)
    assert outcome.verdict is Verdict.ERROR
    assert outcome.errors[0].message == "probe: '--what' is no option"
    assert "arguments" in outcome.errors[0].diagnosis


def test_unknown_gate_and_bad_settings_propagate(tmp_path: Path) -> None:
    root = make_repo(tmp_path, {"pyproject.toml": "[tool.codex-audit]\nno-such-key = 1\n"})
    with pytest.raises(UnknownGateError, match="no gate 'nope'"):
        run_gate("nope", root)
    with pytest.raises(SettingsError, match="no-such-key"):
        run_gate("lint", root)


def test_an_out_that_cannot_be_written_is_a_settings_error(
    repo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (repo / ".audit").write_text("a file")
    _use(monkeypatch, lambda _context: Report(checks=(PASSED,)))
    with pytest.raises(SettingsError, match=r"\.audit: cannot be written"):
        run_gate("probe", repo)


def test_a_gate_that_no_tool_bounds_is_timed_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = make_repo(tmp_path, {"pyproject.toml": "[tool.codex-audit.timeouts]\nprobe = 0.5\n"})

    def run(_context: Context) -> Report:
        time.sleep(30)
        return Report(checks=(PASSED,))

    _use(monkeypatch, run)
    monkeypatch.setattr(runner, "_GRACE", 0.1)
    outcome = run_gate("probe", root)
    assert outcome.verdict is Verdict.ERROR
    assert outcome.errors[0].message == "the gate did not end within 0.5 s"
    assert "longer than the time" in outcome.errors[0].diagnosis
    assert outcome.provenance.seconds < 20
    assert signal.getitimer(signal.ITIMER_REAL)[0] == 0


def test_signal_handlers_are_given_back(repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _use(monkeypatch, lambda _context: Report(checks=(PASSED,)))
    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGALRM)
    before = [signal.getsignal(number) for number in numbers]
    run_gate("probe", repo)
    assert [signal.getsignal(number) for number in numbers] == before


def _start_slow_gate(root: Path) -> subprocess.Popen[bytes]:
    """The tests gate, in a process of its own, on a repository whose test tells its pid."""
    source = str(Path(codex_audit.__file__).parents[1])
    code = (
        "import sys; from pathlib import Path; from codex_audit.gates.runner import *;"
        "sys.exit(exit_code(run_gate('tests', Path(sys.argv[1])).verdict))"
    )
    gate = subprocess.Popen(
        [sys.executable, "-c", code, str(root)], env={**os.environ, "PYTHONPATH": source}
    )
    end = time.monotonic() + 30
    while not (marker := root / "pid").exists() or not marker.read_text():
        assert gate.poll() is None, "the gate ended before its test began"
        assert time.monotonic() < end, "the test did not begin"
        time.sleep(0.05)
    return gate


@pytest.fixture
def slow_repo(tmp_path: Path) -> Path:
    slow = "import os, time\n\ndef test_slow():\n    open('pid', 'w').write(str(os.getpid()))\n"
    return make_repo(tmp_path, {"test_slow.py": slow + "    time.sleep(60)\n"})


def _tool_is_gone(root: Path) -> bool:
    status = Path("/proc") / (root / "pid").read_text() / "status"
    end = time.monotonic() + 5
    while time.monotonic() < end:
        if not status.exists() or "State:\tZ" in status.read_text():
            return True
        time.sleep(0.05)
    return False


def test_a_gate_killed_outright_leaves_an_error(slow_repo: Path) -> None:
    outcomes = slow_repo / ".audit" / "outcomes"
    outcomes.mkdir(parents=True)
    (outcomes / "tests.json").write_text(json.dumps({"verdict": "pass"}))  # an older run's
    gate = _start_slow_gate(slow_repo)
    gate.kill()
    assert gate.wait() == -signal.SIGKILL
    outcome = _written(slow_repo, "tests")
    assert outcome.verdict is Verdict.ERROR
    (error,) = outcome.errors
    assert error.message == "the gate was started and did not end"
    assert error.diagnosis.startswith("killed")
    assert "codex-audit gate tests" in error.remedy
    assert outcome.provenance.tree_digest
    assert _tool_is_gone(slow_repo)


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGHUP"])
def test_a_gate_told_to_end_says_so(slow_repo: Path, name: str) -> None:
    gate = _start_slow_gate(slow_repo)
    gate.send_signal(signal.Signals[name])
    gate.send_signal(signal.SIGTERM)  # as nox does, a moment after the first
    assert gate.wait(timeout=20) == 2
    outcome = _written(slow_repo, "tests")
    assert outcome.verdict is Verdict.ERROR
    assert outcome.errors[0].message.startswith("the gate was ended by SIG")
    assert _tool_is_gone(slow_repo)


def test_scratch_is_empty_at_the_start(repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    left = repo / ".audit" / "scratch" / "probe" / "deep"
    left.mkdir(parents=True)
    _use(
        monkeypatch,
        lambda context: Report(
            checks=(PASSED,), facts={"found": [path.name for path in context.scratch.iterdir()]}
        ),
    )
    assert run_gate("probe", repo).facts == {"found": []}
    shutil.rmtree(repo / ".audit")
    assert run_gate("probe", repo).verdict is Verdict.PASS
