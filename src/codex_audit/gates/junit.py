"""What a JUnit XML file of pytest (family xunit1) says, as records."""

from __future__ import annotations

import re

# The file was written by the pytest that this gate ran; it declares no entities to expand.
import xml.etree.ElementTree as ET  # nosec B405
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from pathlib import Path

_OUTCOMES = {"failure": "failed", "error": "error", "skipped": "skipped"}


class Case(msgspec.Struct, frozen=True):
    """One test: `outcome` is passed, failed, error, skipped or xfailed; `line` is from 1."""

    name: str
    path: str
    line: int
    outcome: str
    message: str = ""


class Suite(msgspec.Struct, frozen=True):
    """All tests of a run, and its seconds."""

    cases: tuple[Case, ...]
    seconds: float

    def count(self, *outcomes: str) -> int:
        """How many tests ended in one of `outcomes`."""
        return sum(case.outcome in outcomes for case in self.cases)


def read_suite(path: Path) -> Suite:
    """Read the suites of a JUnit file as one.

    Raises:
        OSError: there is no such file.
        ValueError: it is not JUnit XML.
    """
    data = path.read_bytes()
    try:
        root = ET.fromstring(data)  # noqa: S314  # nosec B314
    except ET.ParseError as error:
        raise ValueError(f"{path}: not XML ({error})") from error
    suites = list(root.iter("testsuite"))
    cases = tuple(_case(case) for suite in suites for case in suite.iter("testcase"))
    return Suite(cases, sum(float(suite.get("time", "0")) for suite in suites))


def _case(case: ET.Element) -> Case:
    path = case.get("file", "")
    line = int(case.get("line", "0")) + 1  # pytest counts from 0 here
    name = "::".join(part for part in (case.get("classname"), case.get("name")) if part)
    # A test that fails and whose teardown fails as well has both; the first one tells.
    for child in case:
        if child.tag not in _OUTCOMES:
            continue
        text = child.text or ""
        outcome = "xfailed" if child.get("type") == "pytest.xfail" else _OUTCOMES[child.tag]
        if outcome in {"failed", "error"}:
            line = _line_of_failure(text, path) or line
        return Case(name, path, line, outcome, _message(child.get("message", ""), text))
    return Case(name, path, line, "passed")


def _line_of_failure(text: str, path: str) -> int | None:
    """The last line of the test's own file that the traceback goes through."""
    lines = re.findall(rf"^{re.escape(path)}:(\d+): ?", text, re.MULTILINE) if path else []
    return int(lines[-1]) if lines else None


def _message(message: str, text: str) -> str:
    if message and message != "collection failure":
        return message.splitlines()[0]
    said = re.findall(r"^E\s+(.+)$", text, re.MULTILINE)
    return said[-1] if said else message
