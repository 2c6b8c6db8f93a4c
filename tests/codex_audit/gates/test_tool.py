"""Each way a tool can go wrong has its name, and nothing of it is left running."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

import pytest

from codex_audit.gates.tool import (
    Budget,
    ToolCrashedError,
    ToolKilledError,
    ToolMissingError,
    ToolTimeoutError,
    installed_version,
    python_module,
    run_tool,
)


def _python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def _is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def _wait_until_gone(pid: int, seconds: float = 5) -> bool:
    end = time.monotonic() + seconds
    while _is_running(pid) and time.monotonic() < end:
        time.sleep(0.02)
    return not _is_running(pid)


# A tool that leaves a child behind, which holds the tool's output open.
WITH_CHILD = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
open("child", "w").write(str(child.pid))
"""


def test_gives_code_and_output(tmp_path: Path) -> None:
    code = "import sys; print('out'); print('err', file=sys.stderr); sys.exit(1)"
    done = run_tool(_python(code), cwd=tmp_path, timeout=20, good_codes=(0, 1))
    assert (done.code, done.stdout, done.stderr) == (1, "out\n", "err\n")
    assert 0 < done.seconds < 20


def test_output_that_is_not_utf8_is_read(tmp_path: Path) -> None:
    code = r"import sys; sys.stdout.buffer.write(b'\xff' + b'x' * 200_000)"
    done = run_tool(_python(code), cwd=tmp_path, timeout=20)
    assert done.stdout == "\ufffd" + "x" * 200_000


def test_env_is_added(tmp_path: Path) -> None:
    code = "import os; print(os.environ['ADDED'], bool(os.environ['PATH']))"
    assert run_tool(_python(code), cwd=tmp_path, timeout=20, env={"ADDED": "yes"}).stdout == (
        "yes True\n"
    )


def test_missing_program(tmp_path: Path) -> None:
    with pytest.raises(ToolMissingError, match="no-such-program"):
        run_tool(["no-such-program"], cwd=tmp_path, timeout=5)


def test_missing_directory_is_not_a_missing_tool(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        run_tool([sys.executable], cwd=tmp_path / "nowhere", timeout=5)


def test_program_that_cannot_be_executed(tmp_path: Path) -> None:
    (tmp_path / "tool").write_text("no program")
    with pytest.raises(ToolMissingError, match="cannot be executed"):
        run_tool([str(tmp_path / "tool")], cwd=tmp_path, timeout=5)


def test_missing_module_even_where_one_is_a_good_code(tmp_path: Path) -> None:
    with pytest.raises(ToolMissingError, match="'no_such_tool'"):
        run_tool(python_module("no_such_tool"), cwd=tmp_path, timeout=20, good_codes=(0, 1))


def test_module_missing_inside_the_tool_is_a_crash(tmp_path: Path) -> None:
    (tmp_path / "a_tool.py").write_text("import no_such_dependency")
    command = [sys.executable, "-m", "a_tool"]
    with pytest.raises(ToolCrashedError, match="No module named 'no_such_dependency'"):
        run_tool(command, cwd=tmp_path, timeout=20)


def test_repository_cannot_replace_the_tool(tmp_path: Path) -> None:
    (tmp_path / "pip.py").write_text("print('not the tool')")
    (tmp_path / "json.py").write_text("raise SystemExit('not the library')")
    done = run_tool(python_module("json.tool", "--help"), cwd=tmp_path, timeout=20)
    assert "usage" in done.stdout


def test_crash(tmp_path: Path) -> None:
    code = "import sys; sys.exit('first\\nlast words')"
    with pytest.raises(ToolCrashedError, match=r"exit code 1: first \| last words"):
        run_tool(_python(code), cwd=tmp_path, timeout=20)


@pytest.mark.parametrize("name", ["SIGKILL", "SIGSEGV", "SIGTERM"])
def test_killed_by_a_signal(tmp_path: Path, name: str) -> None:
    code = f"import os, signal; os.kill(os.getpid(), signal.{name})"
    with pytest.raises(ToolKilledError, match=f"killed by {name}"):
        run_tool(_python(code), cwd=tmp_path, timeout=20)


def test_timeout_ends_the_tool_and_its_children(tmp_path: Path) -> None:
    with pytest.raises(ToolTimeoutError, match="did not end within 1 s"):
        run_tool(_python(WITH_CHILD + "child.wait()"), cwd=tmp_path, timeout=1)
    assert _wait_until_gone(int((tmp_path / "child").read_text()))


def test_children_left_behind_neither_block_nor_stay(tmp_path: Path) -> None:
    done = run_tool(_python(WITH_CHILD + "print('done')"), cwd=tmp_path, timeout=30)
    assert done.stdout == "done\n"
    assert done.seconds < 20
    assert _wait_until_gone(int((tmp_path / "child").read_text()))


def test_an_interruption_ends_the_tool(tmp_path: Path) -> None:
    def interrupt(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, 1)
    code = "import os, time; open('tool', 'w').write(str(os.getpid())); time.sleep(60)"
    try:
        with pytest.raises(KeyboardInterrupt):
            run_tool(_python(code), cwd=tmp_path, timeout=50)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert _wait_until_gone(int((tmp_path / "tool").read_text()))


@pytest.mark.skipif(sys.platform != "linux", reason="a parent's death is only told on Linux")
def test_a_killed_gate_takes_its_tool_along(tmp_path: Path) -> None:
    tool = "import os, time; open('tool', 'w').write(str(os.getpid())); time.sleep(60)"
    gate = os.fork()
    if gate == 0:
        try:
            run_tool(_python(tool), cwd=tmp_path, timeout=50)
        finally:
            os._exit(1)
    end = time.monotonic() + 20
    while not (path := tmp_path / "tool").exists() or not path.read_text():
        assert time.monotonic() < end, "the tool did not start"
        time.sleep(0.02)
    os.kill(gate, signal.SIGKILL)
    os.waitpid(gate, 0)
    assert _wait_until_gone(int(path.read_text()))


def test_versions() -> None:
    assert installed_version("pytest") == pytest.__version__
    with pytest.raises(ToolMissingError, match="'no-such-tool'"):
        installed_version("no-such-tool")


def test_a_spent_budget_still_lets_the_tool_say_so() -> None:
    budget = Budget(0)
    assert 0 < budget.left() <= 0.01
    assert 99 < Budget(100).left() <= 100
