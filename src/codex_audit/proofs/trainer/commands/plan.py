"""What the settings say of a training command, checked before anything runs."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from codex_audit.proofs.children import import_path
from codex_audit.proofs.trainer.commands.line import CHECKPOINT, Line, parse, refusal
from codex_audit.proofs.trainer.commands.losses import Where, where_of

if TYPE_CHECKING:
    from codex_audit.settings import TrainerSettings

_ONLY_OF_A_COMMAND = (
    "resume", "losses", "checkpoints", "environment", "setup", "python", "cwd", "copy",
    "terminal", "endless",
)  # fmt: skip
_PYTHONS = ("python", "python3")


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """A training command, ready to be run.

    Attributes:
        command, resume, setup: command lines.
        losses: where they are.
        checkpoints: a glob below the directory of a run.
        environment: of every run.
        cwd: where it runs.
        copied: the repository, where each run has a copy of it as its directory.
        terminal: whether its standard input is a terminal.
        endless: whether each run is ended after so many losses as it is asked for steps.
    """

    command: Line
    resume: Line | None
    setup: Line | None
    losses: Where | None
    checkpoints: str
    environment: dict[str, str]
    cwd: str
    copied: str = ""
    terminal: bool = False
    endless: bool = False

    @property
    def name(self) -> str:
        """The command as it was written."""
        return " ".join(self.command.words)


def plan_of(settings: TrainerSettings, root: Path, device: str) -> Plan | None:
    """The plan, or None where the settings name no command.

    Raises:
        SettingsError: a key cannot be used; the message says which and what to do.
    """
    if settings.command is None:
        for key in _ONLY_OF_A_COMMAND:
            if getattr(settings, key):
                shown = key.replace("_", "-")
                raise refusal(shown, "means nothing without `command`; write that, too")
        return None
    if settings.factory is not None:
        raise refusal("command", "stands beside `factory`; leave one of them out")
    copy = settings.copy
    command = parse("command", settings.command, anywhere=copy)
    resume = settings.resume and parse("resume", settings.resume, continues=command, anywhere=copy)
    setup = settings.setup and parse("setup", settings.setup, anywhere=True)
    if settings.losses is None and not settings.checkpoints:
        raise refusal("command", "nothing says what it writes; add `losses` and `checkpoints`")
    plan = Plan(
        command=command,
        resume=resume or None,
        setup=setup or None,
        losses=where_of(settings.losses),
        checkpoints=_glob(settings.checkpoints),
        environment=_environment(settings, root, device),
        cwd=str(_cwd(settings.cwd, root)),
        copied=str(root) if copy else "",
        terminal=settings.terminal,
        endless=settings.endless,
    )
    _check_endless(plan)
    if plan.resume and plan.resume.takes(CHECKPOINT) and not plan.checkpoints:
        raise refusal("resume", "has {checkpoint}, and nothing says which; add `checkpoints`")
    for line in filter(None, (command, plan.resume, plan.setup)):
        program_of(plan, line)
    return plan


def _check_endless(plan: Plan) -> None:
    if not plan.endless:
        return
    if plan.command.takes("steps"):
        raise refusal("endless", "the command has {steps}, and ends by itself; leave one out")
    if plan.losses is None:
        raise refusal("endless", "means `steps` logged losses, and none are told; add `losses`")
    if plan.resume and not plan.losses.tells_steps:
        why = "lets no resumed run be ended at the same step; tell `step` or `epoch` in `losses`"
        raise refusal("endless", why)


def program_of(plan: Plan, line: Line) -> str:
    """The file of the program that a line starts.

    Raises:
        SettingsError: there is none.
    """
    word = line.words[0]
    if "/" in word:
        path = Path(plan.cwd) / word
        if os.access(path, os.X_OK) and path.is_file():
            return str(path)
        raise refusal(line.key, f"{word!r} is no program that can be run; correct the path")
    found = shutil.which(word, path=plan.environment["PATH"])
    if found is None and word in _PYTHONS:
        found = sys.executable
    if found is None:
        raise refusal(line.key, f"the program {word!r} is not found; install it, or give its path")
    return found


def _glob(text: str | None) -> str:
    pattern = (text or "").removeprefix("{dir}").lstrip("/")
    if text and (not pattern or "{" in pattern or ".." in pattern.split("/")):
        raise refusal("checkpoints", f"{text!r} is no pattern below {{dir}}, such as 'ckpt*.pt'")
    return pattern


def _cwd(text: str | None, root: Path) -> Path:
    path = root / (text or ".")
    if not path.is_dir():
        raise refusal("cwd", f"{text!r} is no directory of the repository; correct it")
    return path


def _environment(settings: TrainerSettings, root: Path, device: str) -> dict[str, str]:
    """This process's, with the command's interpreter first on the path, and the settings' own."""
    found = {
        **os.environ,
        "PYTHONPATH": import_path(),
        "PYTHONUNBUFFERED": "1",  # or what it prints is seen only at its end
        "PYTHONDONTWRITEBYTECODE": "1",
        "OMP_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1",
    }
    if device == "cpu":
        found["CUDA_VISIBLE_DEVICES"] = ""
    if settings.python:
        path = root / settings.python
        if "/" not in settings.python:
            path = Path(shutil.which(settings.python) or "")
        if not (path.is_file() and os.access(path, os.X_OK)):
            why = f"{settings.python!r} is no interpreter; make its environment, or correct it"
            raise refusal("python", why)
        _put_first(found, path)
    elif "PATH" not in settings.environment and importlib.util.find_spec("torch") is not None:
        _put_first(found, Path(sys.executable))
    found.update(settings.environment)
    return found


def _put_first(environment: dict[str, str], interpreter: Path) -> None:
    home = interpreter.parent
    environment["PATH"] = f"{home}{os.pathsep}{environment.get('PATH', os.defpath)}"
    if (home.parent / "pyvenv.cfg").is_file():
        environment["VIRTUAL_ENV"] = str(home.parent)
