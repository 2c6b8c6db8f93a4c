"""The one contract between a gate and the report: one `Outcome`, one JSON file."""

from __future__ import annotations

import hashlib
import os
import tempfile
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

SCHEMA_VERSION = "1.1"


class Verdict(StrEnum):
    """What a gate or a single check concluded; only a check can end as a declared limit."""

    PASS = "pass"  # noqa: S105 - a verdict, not a password  # nosec B105
    FAIL = "fail"
    ERROR = "error"
    SKIP = "skip"
    DECLARED_LIMIT = "declared-limit"


class Level(StrEnum):
    """How serious a finding is, in SARIF's words."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


class Evidence(msgspec.Struct, frozen=True):
    """A line of the audited tree that shows something; `path` is relative, POSIX."""

    path: str
    line: int
    snippet: str = ""

    def __str__(self) -> str:
        return f"{self.path}:{self.line}"


class Check(msgspec.Struct, frozen=True):
    """One named question a gate asked, with its answer and what was measured."""

    id: str
    verdict: Verdict
    summary: str
    evidence: tuple[Evidence, ...] = ()
    measured: dict[str, float | int | str | bool | None] = {}


class Finding(msgspec.Struct, frozen=True):
    """One complaint of a tool about one line; `suppressed_by` names what silenced it."""

    rule: str
    level: Level
    message: str
    path: str
    line: int
    fingerprint: str
    suppressed_by: str | None = None


class CapturedError(msgspec.Struct, frozen=True):
    """An error that stopped a step, with its diagnosis; shown as a question block.

    `phase` is 1 to 8, `at` is ISO 8601 in UTC to the second; `message`, `context`,
    `diagnosis` and `remedy` are single, non-empty lines.
    """

    phase: int
    step: str
    message: str
    context: str
    diagnosis: str
    remedy: str
    at: str
    traceback: str = ""


class Provenance(msgspec.Struct, frozen=True):
    """Where, when and on what an outcome was made."""

    commit: str | None
    dirty: bool | None
    tree_digest: str
    tools: dict[str, str]
    python: str
    platform: str
    device: str
    started: str
    seconds: float
    command: str


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """All that one run of one gate has to say. `reason` says why it was skipped."""

    schema_version: str = SCHEMA_VERSION
    gate: str
    verdict: Verdict
    reason: str = ""
    checks: tuple[Check, ...] = ()
    findings: tuple[Finding, ...] = ()
    errors: tuple[CapturedError, ...] = ()
    facts: dict[str, Any] = {}
    provenance: Provenance


class OutcomeError(ValueError):
    """An outcome file that cannot be used; the message names the file and the remedy."""


def conclude(checks: Sequence[Check], errors: Sequence[CapturedError]) -> Verdict:
    """The verdict that checks and errors add up to.

    An error outweighs a failure, a failure outweighs passes; nothing that passed is a skip. A
    declared limit is neither a failure nor a pass.
    """
    verdicts = {check.verdict for check in checks}
    if errors or Verdict.ERROR in verdicts:
        return Verdict.ERROR
    if Verdict.FAIL in verdicts:
        return Verdict.FAIL
    return Verdict.PASS if Verdict.PASS in verdicts else Verdict.SKIP


def fingerprint(rule: str, path: str, snippet: str) -> str:
    """A finding's identity that survives a change of line numbers."""
    text = f"{rule}\0{path}\0{' '.join(snippet.split())}"
    return hashlib.sha256(text.encode()).hexdigest()[:16]


_STREAMS = frozenset({"/dev", "/dev/fd", "/proc/self/fd"})


def write_atomically(path: Path, data: bytes) -> None:
    """Write `data` to `path` so that a reader sees the old file or the new one, whole.

    What is there and is no file, such as a pipe or `/dev/null`, is written to and stays; so do the
    links to a process's own streams, such as `/dev/stdout`, wherever they lead.

    Raises:
        OSError: the directory cannot be made or written to.
    """
    own = path.is_symlink() and path.parent.as_posix() in _STREAMS
    if own or (path.exists() and not path.is_file()):
        path.write_bytes(data)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(name, 0o666 & ~umask)  # noqa: PTH101 - mkstemp's 0600 would hide it from CI
        os.replace(name, path)  # noqa: PTH105
    except BaseException:
        os.unlink(name)  # noqa: PTH108
        raise


def write_outcome(directory: Path, outcome: Outcome) -> Path:
    """Write `<directory>/<gate>.json` atomically and return its path."""
    path = directory / f"{outcome.gate}.json"
    write_atomically(path, msgspec.json.format(msgspec.json.encode(outcome), indent=2) + b"\n")
    return path


class _Version(msgspec.Struct):
    schema_version: str


def read_outcome(path: Path) -> Outcome:
    """Read an outcome of the same major schema version.

    Raises:
        OutcomeError: the file is unreadable, not an outcome, or of another major version.
    """
    remedy = "run its gate again"
    try:
        data = path.read_bytes()
    except OSError as error:
        raise OutcomeError(f"{path}: cannot be read ({error.strerror}); {remedy}") from error
    try:
        version = msgspec.json.decode(data, type=_Version).schema_version
        if version.partition(".")[0] != SCHEMA_VERSION.partition(".")[0]:
            raise OutcomeError(
                f"{path}: schema_version {version!r} is not readable by this version, which reads "
                f"{SCHEMA_VERSION.partition('.')[0]}.x; {remedy} with this codex-audit"
            )
        return msgspec.json.decode(data, type=Outcome)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise OutcomeError(f"{path}: not an outcome file ({error}); {remedy}") from error


def json_schema() -> dict[str, Any]:
    """The published JSON Schema of an outcome file."""
    return msgspec.json.schema(Outcome)
