"""Failures of installing a gate's environment, from the last words of uv or pip."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from codex_audit.failure import Diagnosis, Failure

if TYPE_CHECKING:
    from pathlib import Path

# What such a failure is called; its message is what the installer said.
FAILED = "InstallationError"
_NETWORK = re.compile(
    r"Failed to fetch|error sending request|Connection refused|Network is unreachable"
    r"|name resolution|Name or service not known|dns error|operation timed out|Read timed out"
    r"|Failed to establish a new connection",
    re.IGNORECASE,
)
_ABSENT = re.compile(
    r"not found in the (?:package registry|provided package locations)|No matching distribution"
    r"|there (?:is|are) no versions? of"
)
_BUILD = re.compile(
    r"Failed to build|build backend returned an error|metadata-generation-failed"
    r"|Failed building wheel|Failed to download and build|subprocess-exited-with-error"
    r"|does not appear to be a Python project"
)
_CONFLICT = re.compile(
    r"unsatisfiable|No solution found|conflicting dependencies|ResolutionImpossible"
)
_START = re.compile(r"\s*(?:error:|ERROR:|[x\u00d7] )", re.IGNORECASE)
_DECORATION = re.compile(r"\x1b\[[0-9;]*m|[\u00d7\u2500-\u257f\u25b6]")
_WIDTH = 500


def installation_failure(said: str) -> Failure:
    """The failure in an installer's output: from its first word of an error on, as one line."""
    lines = [line for line in said.splitlines() if line.strip()]
    first = next((n for n, line in enumerate(lines) if _START.match(line)), max(0, len(lines) - 3))
    words = " ".join(_DECORATION.sub(" ", " ".join(lines[first:])).split())
    # What is before the reason says only that there is one.
    reason = re.search(r"\bBecause .*", words)
    whole = (reason.group() if reason else words) or "the installer said nothing"
    return Failure(FAILED, whole if len(whole) <= _WIDTH else f"{whole[:_WIDTH]} ...")


def not_installed(failure: Failure, root: Path) -> Diagnosis | None:
    """An installation that ended without an environment."""
    del root
    if failure.type != FAILED:
        return None
    if _NETWORK.search(failure.message):
        return Diagnosis(
            "network refused",
            "the gate's environment is not installed yet, and no connection could be made",
            "run it once with network, or name local packages in `PIP_FIND_LINKS`",
        )
    if _BUILD.search(failure.message):
        return Diagnosis(
            "environment not installed",
            "the project, or a package that it needs, cannot be built",
            "install it by hand to see why; `register(project=...)` in the noxfile says what is "
            "installed, and `()` that nothing is",
        )
    if _ABSENT.search(failure.message):
        return Diagnosis(
            "environment not installed",
            "a requirement is not to be had where packages are installed from",
            "correct that requirement, or make it available there",
        )
    if _CONFLICT.search(failure.message):
        return Diagnosis(
            "environment not installed",
            "the requirements of the project and of the gate's tools cannot be met together",
            "loosen the requirement that the message names",
        )
    return Diagnosis(
        "environment not installed",
        "no known cause fits what the installer said",
        "read all of it in the gate's `.not-installed.txt` beside the outcomes",
    )
