"""Merging a static audit and the outcomes of gates into one status document."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from codex_audit.report.document import GateResult, GateVerdict, Overall, StatusDocument
from codex_audit.report.gates import gate_results
from codex_audit.report.outcomes import fresh_outcomes, read_outcomes
from codex_audit.report.phases import phases
from codex_audit.report.printable import printable
from codex_audit.report.proof import weigh
from codex_audit.report.quick_wins import quick_wins
from codex_audit.reproducibility import after_proofs
from codex_audit.settings import declared

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from codex_audit.outcome import CapturedError
    from codex_audit.records import Scan
    from codex_audit.settings import Settings


def merge(
    scan: Scan,
    outcomes_dir: Path | None,
    settings: Settings,
    projects: Mapping[str, Scan] | None = None,
) -> StatusDocument:
    """The status document of the scanned tree.

    An outcome counts only for the tree it was made on: of another tree it is `STALE`, absent
    `NOT RUN`, unreadable `ERROR`, and none of these is a pass. Neither the order of the files
    nor times and hosts change what the document concludes.

    Args:
        scan: the static audit.
        outcomes_dir: the directory of outcome files; None for a plain scan, where no gate counts.
        settings: which gates belong to the audit, and which of them must pass.
        projects: the static audits of projects in the tree, by their paths.
    """
    scan = printable(scan)
    inner = {path: printable(each) for path, each in (projects or {}).items()}
    reads = {} if outcomes_dir is None else read_outcomes(outcomes_dir, scan.provenance.tree_digest)
    fresh = fresh_outcomes(reads)
    gates = gate_results(settings, reads)
    errors = _in_order(
        [
            *scan.errors,
            *(_of_project(path, error) for path, each in inner.items() for error in each.errors),
            *(read.error for read in reads.values() if read.error is not None),
            *(error for outcome in fresh.values() for error in outcome.errors),
        ]
    )
    capabilities = weigh(scan.capabilities, fresh, trains=scan.trains)
    verdict, reason = conclude(gates)
    return StatusDocument(
        project=scan.project,
        asker=settings.asker,
        catalog_version=scan.catalog_version,
        trains=scan.trains,
        kind=scan.kind,
        verdict=verdict,
        reason=reason,
        provenance=scan.provenance,
        repo_map=scan.repo_map,
        capabilities=capabilities,
        reproducibility=after_proofs(scan.reproducibility, capabilities, trains=scan.trains),
        quick_wins=quick_wins(capabilities),
        errors=errors,
        gates=gates,
        phases=phases(scan, gates, errors, None if outcomes_dir is None else reads),
        projects=inner,
        settings=declared(settings),
    )


def conclude(gates: Sequence[GateResult]) -> tuple[Overall, str]:
    """The verdict on the audit and its reason: every required gate passed, and one gate ran."""
    ran = [gate for gate in gates if gate.verdict in {GateVerdict.PASS, GateVerdict.FAIL}]
    required = [gate for gate in gates if gate.required]
    short = [gate for gate in required if gate.verdict is not GateVerdict.PASS]
    if all(gate.verdict is GateVerdict.NOT_RUN for gate in gates):
        return Overall.NOT_RUN, "no gate has run on this tree; this is the static audit alone"
    if short:
        names = ", ".join(f"{gate.name} ({gate.verdict})" for gate in short)
        return Overall.FAIL, f"{len(short)} of {len(required)} required gates did not pass: {names}"
    if not ran:
        return Overall.FAIL, "no gate judged this tree: " + ", ".join(
            f"{gate.name} ({gate.verdict})" for gate in gates
        )
    others = [gate for gate in gates if gate not in required]
    rest = ", ".join(
        f"{gate.name} ({gate.verdict})" for gate in others if gate.verdict is not GateVerdict.PASS
    )
    passed = f"all {len(required)} required gates passed" if required else "no gate is required"
    return Overall.PASS, f"{passed}; not passed, not required: {rest}" if rest else passed


def _of_project(path: str, error: CapturedError) -> CapturedError:
    return msgspec.structs.replace(error, context=f"{error.context} (project {path})")


def _in_order(errors: Iterable[CapturedError]) -> tuple[CapturedError, ...]:
    return tuple(
        sorted(errors, key=lambda each: (each.phase, each.step, each.message, each.context))
    )
