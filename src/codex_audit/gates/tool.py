"""Running a tool as a process, so that each way it can go wrong has a name."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from pathlib import Path


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


def installed_version(package: str) -> str:
    """The version of an installed distribution.

    Raises:
        ToolMissingError: it is not installed.
    """
    try:
        return version(package)
    except PackageNotFoundError as error:
        raise ToolMissingError(f"the tool {package!r} is not installed") from error


def run_tool(
    command: Sequence[str],
    *,
    cwd: Path,
    timeout: float,
    good_codes: Collection[int] = (0,),
    env: Mapping[str, str] | None = None,
) -> Completed:
    """Run `command` in its own process group and wait at most `timeout` seconds.

    `env` is added to this process's environment. The whole group is killed on a time-out and
    when this process is interrupted, so no tool outlives its gate.

    Raises:
        ToolMissingError: the program does not exist.
        ToolTimeoutError: it ran past `timeout`.
        ToolKilledError: a signal ended it.
        ToolCrashedError: its exit code is not among `good_codes`.
    """
    name = command[0]
    started = time.monotonic()
    try:
        process = subprocess.Popen(  # noqa: S603 - gates choose their commands
            list(command),
            cwd=cwd,
            env={**os.environ, **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            errors="replace",
            start_new_session=True,
        )
    except FileNotFoundError as error:
        raise ToolMissingError(f"the program {name!r} is not installed") from error
    try:
        stdout, stderr = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired as error:
        _kill_group(process)
        shown = " ".join(command)
        raise ToolTimeoutError(f"`{shown}` did not end within {timeout:g} s") from error
    except BaseException:
        _kill_group(process)
        raise
    seconds = time.monotonic() - started
    tail = " | ".join((stderr.strip() or stdout.strip()).splitlines()[-3:])
    if process.returncode < 0:
        name_of = signal.Signals(-process.returncode).name
        raise ToolKilledError(f"`{' '.join(command)}` was killed by {name_of}: {tail}")
    if process.returncode not in good_codes:
        if "No module named" in stderr and "__main__" not in stderr and "-m" in command:
            raise ToolMissingError(tail)
        raise ToolCrashedError(
            f"`{' '.join(command)}` ended with exit code {process.returncode}: {tail}"
        )
    return Completed(process.returncode, stdout, stderr, seconds)


def _kill_group(process: subprocess.Popen[str]) -> None:
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass  # it ended by itself in the meantime
    process.communicate()
