"""Known causes of errors: small declared matchers from a failure to a diagnosis and a remedy."""

from __future__ import annotations

import re
import traceback as traceback_module
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec

from codex_audit.outcome import CapturedError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


class Failure(msgspec.Struct, frozen=True):
    """An exception as text, also one that came from another process."""

    type: str
    message: str
    traceback: str = ""

    @classmethod
    def of(cls, error: BaseException) -> Failure:
        """The failure that `error` is."""
        text = "".join(traceback_module.format_exception(error))
        return cls(type(error).__name__, str(error) or type(error).__name__, text)


class Diagnosis(msgspec.Struct, frozen=True):
    """What caused a failure and how to resolve it: one line each."""

    cause: str
    diagnosis: str
    remedy: str


def capture(
    failure: Failure, *, phase: int, step: str, context: str, root: Path, at: datetime | None = None
) -> CapturedError:
    """The captured error, diagnosed. Paths below `root` are shown relative to it."""
    found = diagnose(failure, root)

    def relative(text: str) -> str:
        return text.replace(f"{root}/", "").replace(str(root), ".")

    return CapturedError(
        phase=phase,
        step=step,
        message=_one_line(relative(failure.message)) or failure.type,
        context=_one_line(context),
        diagnosis=_one_line(relative(found.diagnosis)),
        remedy=_one_line(relative(found.remedy)),
        at=(at or datetime.now(UTC)).strftime("%Y-%m-%dT%H:%M:%SZ"),
        traceback=relative(failure.traceback),
    )


def diagnose(failure: Failure, root: Path) -> Diagnosis:
    """The first known cause that fits, or an honest "unknown"."""
    for matcher in MATCHERS:
        found = matcher(failure, root)
        if found is not None:
            return found
    return Diagnosis(
        "unknown",
        f"no known cause fits this {failure.type}",
        "read the traceback in the outcome file and rerun the gate alone",
    )


def _one_line(text: str) -> str:
    return " ".join(text.split())


MATCHERS: tuple[Callable[[Failure, Path], Diagnosis | None], ...] = ()
