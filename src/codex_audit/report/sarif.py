"""`status.sarif`: findings of gates and unmet criteria as SARIF 2.1.0.

One run a gate and one for the criteria, so that a viewer keeps the tools apart. Source of the
form: OASIS, Static Analysis Results Interchange Format (SARIF) Version 2.1.0.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import msgspec

import codex_audit
from codex_audit.capabilities.grading import is_graded
from codex_audit.outcome import fingerprint
from codex_audit.records import Answer, Status
from codex_audit.report.document import GateVerdict
from codex_audit.report.formats import Format
from codex_audit.report.ladder import properties, told_gap

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from codex_audit.outcome import CapturedError, Finding
    from codex_audit.records import Capability, Criterion
    from codex_audit.report.document import GateResult, StatusDocument

SCHEMA = (
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
)
# What silences a finding from within the code; anything else does so from outside.
IN_SOURCE = ("noqa", "nosec", "nosemgrep", "type: ignore", "pragma")


def render(document: StatusDocument) -> str:
    """The document's findings and unmet required criteria as SARIF 2.1.0."""
    criteria = _criteria_run("codex-audit", document.capabilities, document.errors)
    criteria["properties"]["catalogVersion"] = document.catalog_version
    criteria["properties"]["kind"] = msgspec.to_builtins(document.kind)
    log = {
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [
            criteria,
            # errors of projects are among those of the document
            *(
                _criteria_run(f"codex-audit {path}", each.capabilities, (), f"{path}/")
                for path, each in document.projects.items()
            ),
            *map(_gate_run, document.gates),
        ],
    }
    return json.dumps(log, indent=2, ensure_ascii=False) + "\n"


def _criteria_run(
    name: str,
    capabilities: Mapping[str, Capability],
    errors: Sequence[CapturedError],
    prefix: str = "",
) -> dict[str, Any]:
    unmet = [
        (capability, criterion)
        for capability in capabilities.values()
        if capability.status is not Status.NOT_APPLICABLE
        for criterion in capability.criteria.values()
        if criterion.required and criterion.answer is Answer.UNMET and is_graded(criterion)
    ]
    rules = [_criterion_rule(capability, criterion) for capability, criterion in unmet]
    results = [
        _criterion_result(capability, criterion, index, prefix)
        for index, (capability, criterion) in enumerate(unmet)
    ]
    run = _run(name, rules, results, _notifications(errors))
    run["properties"] = {"ladder": properties(capabilities)}
    return run


def _gate_run(gate: GateResult) -> dict[str, Any]:
    ids = list(dict.fromkeys(finding.rule for finding in gate.findings))
    results = [_finding_result(finding, ids.index(finding.rule)) for finding in gate.findings]
    # A reader takes a run without results for a clean one, which only a gate that judged can be.
    judged = gate.verdict in {GateVerdict.PASS, GateVerdict.FAIL}
    note = {"level": "error", "message": {"text": f"{gate.verdict}: {gate.note}"}}
    run = _run(
        f"codex-audit {gate.name}",
        [{"id": rule} for rule in ids],
        results,
        [] if judged else [note],
    )
    run["properties"] = {"verdict": str(gate.verdict), "note": gate.note}
    return run


def _notifications(errors: Sequence[CapturedError]) -> list[dict[str, Any]]:
    return [
        {
            "level": "error",
            "message": {
                "text": f"{error.message}\nDiagnosis: {error.diagnosis}\nRemedy: {error.remedy}"
            },
            "descriptor": {"id": f"{error.phase}:{error.step}"},
        }
        for error in errors
    ]


def _run(
    name: str,
    rules: list[dict[str, Any]],
    results: list[dict[str, Any]],
    notifications: list[dict[str, Any]],
) -> dict[str, Any]:
    return {
        "tool": {
            "driver": {"name": name, "version": codex_audit.__version__, "rules": rules},
        },
        "automationDetails": {"id": f"{name.replace(' ', '/')}/"},
        "columnKind": "unicodeCodePoints",
        "invocations": [
            {
                "executionSuccessful": not notifications,
                "toolExecutionNotifications": notifications,
            }
        ],
        "results": results,
    }


def _criterion_rule(capability: Capability, criterion: Criterion) -> dict[str, Any]:
    return {
        "id": f"{capability.id}.{criterion.id}",
        "shortDescription": {"text": criterion.question},
        "help": {"text": criterion.remedy or criterion.question},
    }


def _criterion_result(
    capability: Capability, criterion: Criterion, index: int, prefix: str
) -> dict[str, Any]:
    rule = f"{capability.id}.{criterion.id}"
    nearest = criterion.nearest
    path, line, snippet = (
        ("", 0, "")
        if nearest is None
        else (f"{prefix}{nearest.path}", nearest.line, nearest.snippet)
    )
    gap = told_gap(criterion)
    return {
        "ruleId": rule,
        "ruleIndex": index,
        "level": "note",
        "message": {"text": f"{gap}. Remedy: {criterion.remedy}" if criterion.remedy else gap},
        "locations": _locations(path, line),
        "partialFingerprints": {"codexAudit/v1": fingerprint(rule, path, snippet)},
    }


def _finding_result(finding: Finding, index: int) -> dict[str, Any]:
    result: dict[str, Any] = {
        "ruleId": finding.rule,
        "ruleIndex": index,
        "level": str(finding.level),
        "message": {"text": finding.message},
        "locations": _locations(finding.path, finding.line),
        "partialFingerprints": {"codexAudit/v1": finding.fingerprint},
    }
    if finding.suppressed_by is not None:
        inside = any(word in finding.suppressed_by for word in IN_SOURCE)
        result["suppressions"] = [
            {
                "kind": "inSource" if inside else "external",
                "justification": finding.suppressed_by,
            }
        ]
    return result


def _locations(path: str, line: int) -> list[dict[str, Any]]:
    if not path:
        return []
    physical: dict[str, Any] = {"artifactLocation": {"uri": quote(path)}}
    if line > 0:  # SARIF counts lines from one; a whole file has no region
        physical["region"] = {"startLine": line}
    return [{"physicalLocation": physical}]


FORMAT = Format("sarif", "status.sarif", render)
