"""The ladder in every document, and a refuted criterion that no document calls met."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import msgspec
from status_factory import CPU, SETTINGS, capability, criterion, outcome, scan, write_all

from codex_audit.cli import _fails
from codex_audit.outcome import Check, Evidence, Verdict
from codex_audit.records import Answer, Proof, Status, TestedBy
from codex_audit.report.formats import find_format
from codex_audit.report.ladder import told_gap
from codex_audit.report.merge import merge
from codex_audit.report.summary import summary

if TYPE_CHECKING:
    from pathlib import Path

    from codex_audit.records import Criterion, Scan
    from codex_audit.report.document import StatusDocument

TEST = TestedBy(
    path="tests/test_it.py", line=12, snippet="fit()", reaches="train.py:7", through=("fit",)
)


def reached(name: str, **changes: Any) -> Criterion:
    return criterion(name, proof=Proof.TESTED, tested_by=TEST, **changes)


def mentioned(name: str) -> Criterion:
    return criterion(
        name,
        Answer.UNMET,
        nearest=Evidence("train.py", 30, "torch.save(x)"),
        mentioned=Evidence("README.md", 40, "It resumes."),
    )


def document(tmp_path: Path, audited: Scan, verdict: Verdict = Verdict.PASS) -> StatusDocument:
    """The document where the trainer on trial is the repository's own."""
    tried = outcome(
        CPU,
        verdict,
        checks=(Check("main", verdict, "tried"),),
        facts={"subject": {"in_tree": True}},
    )
    return merge(audited, write_all(tmp_path, tried), SETTINGS)


def trees() -> Scan:
    return scan(
        capability(
            "checkpointing_resume",
            reached("saved"),
            reached("tried", proven_by=(f"{CPU}:main",)),
            mentioned("resume"),
            criterion("plain", Answer.UNMET),
            status=Status.PARTIALLY,
        )
    )


def test_a_gap_names_the_nearest_miss_and_what_documents_say() -> None:
    assert told_gap(mentioned("resume")) == (
        "nothing does resume; the nearest line is train.py:30; "
        "README.md:40 speaks of it, no code was found that does it"
    )
    assert told_gap(criterion("resume", Answer.UNMET)) == "nothing does resume"


def test_a_nearest_miss_says_what_it_does_and_what_it_does_not(tmp_path: Path) -> None:
    near = criterion(
        "rng",
        Answer.UNMET,
        nearest=Evidence("train.py", 277, "torch.save(x)"),
        miss="saves a checkpoint, but no RNG state",
    )
    assert told_gap(near) == "nothing does rng; train.py:277 saves a checkpoint, but no RNG state"
    text = find_format("markdown").render(document(tmp_path, scan(capability("deployment", near))))
    said = "nearest: `train.py:277` `torch.save(x)`; it saves a checkpoint, but no RNG state |"
    assert f"nothing does rng<br>{said}" in text


def test_markdown_shows_the_rung_the_test_and_the_mention(tmp_path: Path) -> None:
    lines = find_format("markdown").render(document(tmp_path, trees())).splitlines()
    saved = next(line for line in lines if line.startswith("| `saved`"))
    assert "| met | tested |" in saved
    assert "<br>tested: `tests/test_it.py:12` through `fit` |" in saved
    tried = next(line for line in lines if line.startswith("| `tried`"))
    assert "| met | proven |" in tried
    assert "tested: `tests/test_it.py:12`" in tried  # still shown
    resume = next(line for line in lines if line.startswith("| `resume`"))
    assert "| unmet | mentioned |" in resume
    assert "`README.md:40` speaks of it, no code was found that does it" in resume
    plain = next(line for line in lines if line.startswith("| `plain`"))
    assert "| unmet | static |" in plain
    assert any(
        "1 tested, 1 proven, 0 refuted; 1 only mentioned in documents" in line for line in lines
    )


def test_json_keeps_the_contract_s_proofs_and_adds_the_lines(tmp_path: Path) -> None:
    text = find_format("json").render(document(tmp_path, trees()))
    criteria = json.loads(text)["capabilities"]["checkpointing_resume"]["criteria"]
    assert criteria["saved"]["proof"] == "tested"
    assert criteria["saved"]["tested_by"] == json.loads(msgspec.json.encode(TEST))
    assert criteria["tried"]["proof"] == "proven"
    assert (criteria["resume"]["answer"], criteria["resume"]["proof"]) == ("unmet", "static")
    assert criteria["resume"]["mentioned"]["line"] == 40


def test_sarif_has_the_ladder_among_its_properties(tmp_path: Path) -> None:
    run = json.loads(find_format("sarif").render(document(tmp_path, trees())))["runs"][0]
    assert run["properties"]["catalogVersion"] == trees().catalog_version
    ladder = run["properties"]["ladder"]
    assert ladder["checkpointing_resume.saved"] == {
        "answer": "met",
        "rung": "tested",
        "evidence": "train.py:7",
        "testedBy": "tests/test_it.py:12",
        "reaches": "train.py:7",
    }
    assert ladder["checkpointing_resume.tried"]["rung"] == "proven"
    assert ladder["checkpointing_resume.resume"]["mentioned"] == "README.md:40"
    assert "checkpointing_resume.plain" not in ladder
    resume = next(one for one in run["results"] if one["ruleId"].endswith(".resume"))
    assert "README.md:40 speaks of it" in resume["message"]["text"]


def test_the_terminal_counts_the_rungs(tmp_path: Path) -> None:
    said = summary(document(tmp_path, trees()), [])
    assert "\nCriteria: 12 coded, 1 tested, 1 proven, 0 refuted; 1 only mentioned" in said


def test_a_refuted_criterion_is_unmet_in_every_document(tmp_path: Path) -> None:
    audited = scan(
        capability(
            "checkpointing_resume",
            reached("cpu_rng_restored", proven_by=(f"{CPU}:main",)),
            criterion("saved"),
        )
    )
    made = document(tmp_path, audited, Verdict.FAIL)
    refuted = made.capabilities["checkpointing_resume"].criteria["cpu_rng_restored"]
    assert (refuted.answer, refuted.rung, refuted.tested_by) == (Answer.UNMET, "refuted", None)
    assert made.capabilities["checkpointing_resume"].status is Status.PARTIALLY
    assert [win.criterion for win in made.quick_wins] == ["cpu_rng_restored"]
    assert _fails(made, "gaps")
    assert "1 refuted" in summary(made, [])
    markdown = find_format("markdown").render(made)
    assert "| unmet | refuted |" in markdown
    assert "- RNG checkpoint capture available: no" in markdown  # though lines were read
    assert "Save the RNG states in checkpoints" in markdown
    assert "(1 required, 1 refuted by a gate)" in markdown
    run = json.loads(find_format("sarif").render(made))["runs"][0]
    assert run["results"][0]["ruleId"] == "checkpointing_resume.cpu_rng_restored"
    assert run["properties"]["ladder"]["checkpointing_resume.cpu_rng_restored"]["rung"] == "refuted"


def test_what_a_gate_confirms_leaves_the_checklist_as_it_was(tmp_path: Path) -> None:
    audited = trees()
    assert document(tmp_path, audited).reproducibility == audited.reproducibility
