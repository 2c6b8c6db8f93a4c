"""From a failure to a captured error: the first known cause that fits, or an honest "unknown"."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from codex_audit.causes import imports, installation, processes, resources
from codex_audit.failure import Diagnosis, Failure
from codex_audit.outcome import CapturedError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["MATCHERS", "Diagnosis", "Failure", "capture", "diagnose"]

_COLOURS = re.compile(r"\x1b\[[\d;]*m")
# The order decides: what names its cause exactly comes before what only looks like it.
MATCHERS: tuple[Callable[[Failure, Path], Diagnosis | None], ...] = (
    installation.not_installed,
    processes.usage,
    processes.no_terminal,
    processes.tool_missing,
    processes.timeout,
    processes.killed_for_memory,
    processes.killed,
    imports.shadowed_package,
    imports.own_package,
    imports.missing_dependency,
    resources.cuda_missing,
    resources.out_of_memory,
    imports.version_conflict,
    resources.network_refused,
    resources.missing_file,
    resources.refused_pickle,
    imports.syntax_error,
)


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
        context=_one_line(context) or step,
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
    place = _last_place(failure, root)
    at = f" raised at {place}" if place else ""
    return Diagnosis(
        "unknown",
        f"no known cause fits this {failure.type}{at}",
        f"start at {place}" if place else "read the traceback in the gate's outcome file",
    )


def _last_place(failure: Failure, root: Path) -> str:
    """The innermost line of the repository's own in the traceback, as `path:line`.

    An environment that lies in the repository, such as one of nox, is none of its own.
    """
    places = re.findall(rf'File "{re.escape(str(root))}/([^"]+)", line (\d+)', failure.traceback)
    own = [place for place in places if "site-packages/" not in place[0]]
    return ":".join(own[-1]) if own else ""


def _one_line(text: str) -> str:
    return " ".join(_COLOURS.sub("", text).split())
