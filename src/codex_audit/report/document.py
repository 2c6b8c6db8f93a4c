"""The status document as one immutable record: what every format renders, and `status.json`."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import msgspec

from codex_audit.outcome import CapturedError, Check, Evidence, Finding, Provenance
from codex_audit.records import Capability, Kind, RepoMap, Reproducibility, Scan
from codex_audit.report.divergence import Divergence

SCHEMA_VERSION = "1.1"


class GateVerdict(StrEnum):
    """What the document says of a gate. Only `PASS` is a pass."""

    PASS = "PASS"  # a verdict, not a password  # noqa: S105  # nosec B105
    FAIL = "FAIL"
    ERROR = "ERROR"
    SKIP = "SKIP"
    STALE = "STALE"
    NOT_RUN = "NOT RUN"


class PhaseStatus(StrEnum):
    """The status of a phase; see `phases` for what makes each."""

    PASS = "PASS"  # a status, not a password  # noqa: S105  # nosec B105
    FAIL = "FAIL"
    DEGRADED = "DEGRADED"
    STALE = "STALE"
    NOT_RUN = "NOT RUN"


class Overall(StrEnum):
    """The verdict on the whole audit. `NOT_RUN`: no gate has judged this tree."""

    PASS = "PASS"  # a verdict, not a password  # noqa: S105  # nosec B105
    FAIL = "FAIL"
    NOT_RUN = "NOT RUN"


class GateResult(msgspec.Struct, frozen=True, kw_only=True):
    """One gate's row and all that its outcome says of this tree.

    Attributes:
        required: whether the audit passes only if this gate does.
        note: what a reader should know, in one line.
        in_tree: whether the subject on trial is this repository's own; None where the gate
            tries no subject.
        checks, findings, provenance: those of the outcome; empty unless it is of this tree.
        divergences: where runs that should be equal part, of a trainer on trial.
    """

    name: str
    phase: int
    verdict: GateVerdict
    required: bool
    note: str
    in_tree: bool | None = None
    checks: tuple[Check, ...] = ()
    findings: tuple[Finding, ...] = ()
    divergences: tuple[Divergence, ...] = ()
    provenance: Provenance | None = None

    @property
    def seconds(self) -> float | None:
        """How long the gate ran, in seconds; None when it has no outcome of this tree."""
        return None if self.provenance is None else self.provenance.seconds


class Phase(msgspec.Struct, frozen=True):
    """One of the eight phases."""

    number: int
    name: str
    status: PhaseStatus
    note: str


class QuickWin(msgspec.Struct, frozen=True, kw_only=True):
    """A gap worth closing soon: what is missing, where to start, how to close it.

    `where` is the line that comes closest; None where none of the repository does.
    """

    capability: str
    criterion: str
    required: bool
    impact: int
    effort: int
    what: str
    where: Evidence | None
    how: str


class StatusDocument(msgspec.Struct, frozen=True, kw_only=True):
    """Everything the audit says of one tree. `reason` explains the verdict in one line.

    `projects`: the static audit of each project that settings name, by its path in the tree.
    `settings`: those that are not the defaults, by key; None in documents before schema 1.1.
    """

    schema_version: str = SCHEMA_VERSION
    project: str
    asker: str
    catalog_version: str
    trains: bool
    kind: Kind
    verdict: Overall
    reason: str
    provenance: Provenance
    repo_map: RepoMap
    capabilities: dict[str, Capability]
    reproducibility: Reproducibility
    quick_wins: tuple[QuickWin, ...]
    errors: tuple[CapturedError, ...]
    gates: tuple[GateResult, ...]
    phases: tuple[Phase, ...]
    projects: dict[str, Scan] = {}
    settings: dict[str, Any] | None = None
