"""Running a tool as a process, so that each way it can go wrong has a name."""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import IO, TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

_PR_SET_PDEATHSIG = 1


class ToolError(RuntimeError):
    """A tool that gave no answer."""


class ToolMissingError(ToolError):
    """The tool is not installed in this environment."""


class ToolTimeoutError(ToolError):
    """The tool ran past its time and was ended."""


class ToolKilledError(ToolError):
    """The tool was ended by a signal that is not ours."""


class ToolCrashedError(ToolError):
    """The tool ended with an exit code it gives for neither clean nor dirty input."""


class Completed(msgspec.Struct, frozen=True):
    """A tool's run: its exit code, what it printed, and its seconds."""

    code: int
    stdout: str
    stderr: str
    seconds: float


class Budget:
    """The seconds a gate may take, shared by the tools it runs one after another."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    def left(self) -> float:
        """Seconds left; a hundredth at least, so that the tool itself reports the time-out."""
        return max(self._end - time.monotonic(), 0.01)


def installed_version(package: str) -> str:
    """The version of an installed distribution.

    Raises:
        ToolMissingError: it is not installed.
    """
    try:
        return version(package)
    except PackageNotFoundError as error:
        raise ToolMissingError(f"the tool {package!r} is not installed") from error


def python_module(module: str, *args: str) -> list[str]:
    """The command that runs `module` of this environment.

    `-P` keeps the audited repository off the tool's import path: a file `queue.py` or a
    directory `mypy/` at its root must not become part of the tool.
    """
    return [sys.executable, "-P", "-m", module, *args]


def run_tool(
    command: Sequence[str],
    *,
    cwd: Path,
    timeout: float,
    good_codes: Collection[int] = (0,),
    env: Mapping[str, str] | None = None,
) -> Completed:
    """Run `command` in its own process group and wait at most `timeout` seconds.

    `env` is added to this process's environment. The whole group is killed when the tool
    ends, on a time-out and when this process is interrupted; on Linux the tool also dies with
    a killed gate. So no tool outlives its gate.

    Raises:
        ToolMissingError: the program, or the module of `python -m`, does not exist.
        ToolTimeoutError: it ran past `timeout`.
        ToolKilledError: a signal ended it.
        ToolCrashedError: its exit code is not among `good_codes`.
    """
    shown = shlex.join([Path(command[0]).name, *command[1:]])
    started = time.monotonic()
    # Files, not pipes: a child that the tool leaves behind would hold a pipe open.
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        process = _start(command, cwd, {**os.environ, **(env or {})}, out, err)
        try:
            code = process.wait(timeout)
        except subprocess.TimeoutExpired as error:
            raise ToolTimeoutError(
                f"`{shown}` did not end within {round(timeout, 1):g} s"
            ) from error
        finally:
            _kill_group(process)
        seconds = time.monotonic() - started
        done = Completed(code, _text(out), _text(err), seconds)
    absent = _missing_module(command, done)
    if absent:
        raise ToolMissingError(f"the tool {absent!r} is not installed")
    if code < 0:
        raise ToolKilledError(f"`{shown}` was killed by {_signal_name(-code)}: {last_words(done)}")
    if code not in good_codes:
        raise crashed(command, done)
    return done


def crashed(command: Sequence[str], done: Completed) -> ToolCrashedError:
    """The error that says that `command` ended in a way which is no answer."""
    shown = shlex.join([Path(command[0]).name, *command[1:]])
    return ToolCrashedError(f"`{shown}` ended with exit code {done.code}: {last_words(done)}")


def last_words(done: Completed) -> str:
    """The last three lines that a tool printed, in one."""
    lines = (done.stderr.strip() or done.stdout.strip()).splitlines()[-3:]
    return " | ".join(line.strip() for line in lines) or "it printed nothing"


def _start(
    command: Sequence[str], cwd: Path, env: dict[str, str], out: IO[bytes], err: IO[bytes]
) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(  # noqa: S603 - gates choose their commands
            list(command),
            cwd=cwd,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            start_new_session=True,
            preexec_fn=_die_with_parent(),  # noqa: PLW1509 - calls nothing but prctl and getppid
        )
    except FileNotFoundError as error:
        if not cwd.is_dir():
            raise
        raise ToolMissingError(f"the program {command[0]!r} is not installed") from error
    except PermissionError as error:
        raise ToolMissingError(f"the program {command[0]!r} cannot be executed") from error


def _die_with_parent() -> Callable[[], None] | None:
    """What makes a child end with its parent, also when that is killed; Linux only."""
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None).prctl
    parent = os.getpid()

    def in_child() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # the parent ended before the line above
            os._exit(1)

    return in_child


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):  # all of it ended by itself
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _text(stream: IO[bytes]) -> str:
    stream.seek(0)
    return stream.read().decode("utf-8", "replace")


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # a real-time signal has no name
        return f"signal {number}"


def _missing_module(command: Sequence[str], done: Completed) -> str | None:
    """The module of `python -m MODULE` when Python itself says that there is none."""
    if done.code != 1 or "-m" not in command:
        return None
    module = command[command.index("-m") + 1]
    words = done.stderr.strip().splitlines()
    said = rf".*: No module named {re.escape(module)}(\.__main__; .*)?"
    return module if words and re.fullmatch(said, words[-1]) else None
