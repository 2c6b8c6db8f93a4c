"""SARIF 2.1.0: findings and unmet required criteria, where a viewer expects them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from status_factory import (
    SETTINGS,
    capability,
    captured,
    criterion,
    finding,
    outcome,
    scan,
    write_all,
)

from codex_audit.outcome import Evidence, Level, Verdict
from codex_audit.records import Answer, Status
from codex_audit.report.merge import merge
from codex_audit.report.sarif import render

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def log(tmp_path: Path) -> dict[str, Any]:
    near = criterion("resume", Answer.UNMET, nearest=Evidence("train.py", 30, "torch.save(x)"))
    audited = scan(
        capability(
            "checkpointing_resume",
            near,
            criterion("saved", Answer.UNMET),
            criterion("retention", Answer.UNMET, required=False),
            criterion("atomic"),
        ),
        capability("deployment", criterion("c", Answer.UNMET), status=Status.NOT_APPLICABLE),
        errors=(captured(3),),
    )
    findings = (
        finding(level=Level.ERROR),
        finding(rule="E501", suppressed_by="noqa"),
        finding(suppressed_by="baseline"),
        finding(line=0),
        finding(path="", line=0),
    )
    judged = outcome("lint", Verdict.FAIL, findings=findings)
    made: dict[str, Any] = json.loads(render(merge(audited, write_all(tmp_path, judged), SETTINGS)))
    return made


def runs(log: dict[str, Any]) -> dict[str, Any]:
    return {run["tool"]["driver"]["name"]: run for run in log["runs"]}


def test_it_has_the_structure_of_sarif(log: dict[str, Any]) -> None:
    assert log["version"] == "2.1.0"
    assert log["$schema"].endswith("sarif-schema-2.1.0.json")
    names = [run["tool"]["driver"]["name"] for run in log["runs"]]
    assert names == ["codex-audit", *(f"codex-audit {gate}" for gate in SETTINGS.gates)]
    for run in log["runs"]:
        rules = [rule["id"] for rule in run["tool"]["driver"]["rules"]]
        assert len(rules) == len(set(rules))
        for result in run["results"]:
            assert rules[result["ruleIndex"]] == result["ruleId"]
            assert result["level"] in {"error", "warning", "note"}
            assert result["message"]["text"]
            assert result["partialFingerprints"]["codexAudit/v1"]
            for location in result["locations"]:
                physical = location["physicalLocation"]
                assert not set(physical["artifactLocation"]["uri"]) & set(" \\|")
                assert physical.get("region", {"startLine": 1})["startLine"] >= 1


def test_unmet_required_criteria_are_notes_at_their_nearest_line(log: dict[str, Any]) -> None:
    results = {each["ruleId"]: each for each in runs(log)["codex-audit"]["results"]}
    assert set(results) == {"checkpointing_resume.resume", "checkpointing_resume.saved"}
    resume = results["checkpointing_resume.resume"]
    assert resume["level"] == "note"
    said = "nothing does resume; the nearest line is train.py:30. Remedy: write resume"
    assert resume["message"]["text"] == said
    assert resume["locations"] == [
        {
            "physicalLocation": {
                "artifactLocation": {"uri": "train.py"},
                "region": {"startLine": 30},
            }
        }
    ]
    assert results["checkpointing_resume.saved"]["locations"] == []


def test_findings_keep_level_place_and_what_suppressed_them(log: dict[str, Any]) -> None:
    run = runs(log)["codex-audit lint"]
    assert [rule["id"] for rule in run["tool"]["driver"]["rules"]] == ["F401", "E501"]
    plain, noqa, baseline, whole_file, nowhere = run["results"]
    assert plain["level"] == "error"
    assert "suppressions" not in plain
    place = plain["locations"][0]["physicalLocation"]
    assert place == {"artifactLocation": {"uri": "src/a%20b.py"}, "region": {"startLine": 3}}
    assert noqa["suppressions"] == [{"kind": "inSource", "justification": "noqa"}]
    assert baseline["suppressions"] == [{"kind": "external", "justification": "baseline"}]
    assert "region" not in whole_file["locations"][0]["physicalLocation"]
    assert nowhere["locations"] == []
    assert run["properties"]["verdict"] == "FAIL"


def test_captured_errors_are_notifications_and_no_success(log: dict[str, Any]) -> None:
    (invocation,) = runs(log)["codex-audit"]["invocations"]
    assert invocation["executionSuccessful"] is False
    (notification,) = invocation["toolExecutionNotifications"]
    assert notification["descriptor"]["id"] == "3:trainer_smoke_test"
    assert "Remedy: rename `torch/`" in notification["message"]["text"]


def test_gates_that_did_not_judge_are_no_successful_run() -> None:
    log = json.loads(render(merge(scan(), None, SETTINGS)))
    found = {name: run["invocations"][0]["executionSuccessful"] for name, run in runs(log).items()}
    assert found.pop("codex-audit") is True
    assert set(found.values()) == {False}
