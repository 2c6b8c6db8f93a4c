"""Reading what the gates left behind: one verdict a gate, whatever the order of the files."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from codex_audit.outcome import CapturedError, Outcome, OutcomeError, Verdict, read_outcome
from codex_audit.report.document import GateVerdict

if TYPE_CHECKING:
    from collections.abc import Mapping

# Beside the outcomes: what an installer said where a gate's environment could not be installed.
NOT_INSTALLED = ".not-installed.txt"
# Of several outcomes of one gate the first in this order is shown: the worst that ran on this
# tree, and a run that judged before one that did not.
WORST_FIRST = (
    GateVerdict.ERROR,
    GateVerdict.FAIL,
    GateVerdict.PASS,
    GateVerdict.SKIP,
    GateVerdict.STALE,
    GateVerdict.NOT_RUN,
)


class Read(msgspec.Struct, frozen=True):
    """A gate's outcome as read.

    `outcome` is None and `error` set where it is unreadable (`ERROR`), or where there is none, for
    the gate's environment could not be installed (`NOT_RUN`).
    """

    verdict: GateVerdict
    outcome: Outcome | None
    error: CapturedError | None = None


def read_outcomes(directory: Path, tree_digest: str) -> dict[str, Read]:
    """Read `directory/*.json`: gate -> its outcome, held against the tree of `tree_digest`.

    An unreadable file counts for the gate that it is named for. A missing directory holds none.
    A gate without any may have left why its environment could not be installed.
    """
    found: dict[str, list[Read]] = {}
    for path in sorted(directory.glob("*.json")):
        try:
            outcome = read_outcome(path)
        except OutcomeError as error:
            captured = _captured(path, str(error))
            read = Read(GateVerdict.ERROR, None, captured)
            found.setdefault(path.stem, []).append(read)
        else:
            read = Read(_verdict(outcome, tree_digest), outcome)
            found.setdefault(outcome.gate, []).append(read)
    for path in sorted(directory.glob(f"*{NOT_INSTALLED}")):
        gate = path.name.removesuffix(NOT_INSTALLED)
        if gate not in found:
            found[gate] = [Read(GateVerdict.NOT_RUN, None, _not_installed(gate, path))]
    return {gate: min(reads, key=_rank) for gate, reads in found.items()}


def fresh_outcomes(reads: Mapping[str, Read]) -> dict[str, Outcome]:
    """The outcomes that speak of the tree being reported."""
    return {
        gate: read.outcome
        for gate, read in reads.items()
        if read.outcome is not None and read.verdict is not GateVerdict.STALE
    }


def _verdict(outcome: Outcome, tree_digest: str) -> GateVerdict:
    if outcome.provenance.tree_digest != tree_digest:
        return GateVerdict.STALE
    return {
        Verdict.PASS: GateVerdict.PASS,
        Verdict.FAIL: GateVerdict.FAIL,
        Verdict.ERROR: GateVerdict.ERROR,
        Verdict.SKIP: GateVerdict.SKIP,
    }[outcome.verdict]


def _rank(read: Read) -> tuple[int, int, bytes]:
    body = b"" if read.outcome is None else msgspec.json.encode(read.outcome, order="sorted")
    return WORST_FIRST.index(read.verdict), 0 if read.outcome is None else 1, body


def _not_installed(gate: str, path: Path) -> CapturedError:
    # Imported late: most reports need no diagnosis.
    from codex_audit.causes.installation import installation_failure  # noqa: PLC0415
    from codex_audit.diagnosis import capture  # noqa: PLC0415
    from codex_audit.report.gates import phase_of  # noqa: PLC0415

    return capture(
        installation_failure(path.read_text(encoding="utf-8", errors="replace")),
        phase=phase_of(gate),
        step="install",
        context=f"installing the environment of the gate {gate}",
        root=Path.cwd(),
        at=datetime.fromtimestamp(path.stat().st_mtime, UTC),
    )


def _captured(path: Path, message: str) -> CapturedError:
    # OutcomeError's message is "<path>: <what is wrong>; <remedy>"; the machine's own
    # directories are no part of what is wrong.
    message = message.replace(str(path), f"{path.parent.name}/{path.name}")
    diagnosis, _, remedy = message.rpartition("; ")
    return CapturedError(
        phase=1,
        step="read_outcome",
        message=message,
        context=f"reading the outcome of the gate {path.stem} for the report",
        diagnosis=diagnosis,
        remedy=remedy,
        at=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    )
