"""Merging: only a fresh pass is a pass, whatever the order of the files."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from status_factory import (
    CPU,
    SETTINGS,
    capability,
    captured,
    check,
    criterion,
    outcome,
    provenance,
    scan,
    write_all,
)

from codex_audit.gates import base
from codex_audit.outcome import Verdict, write_outcome
from codex_audit.records import Answer, Proof, Status
from codex_audit.report.document import GateVerdict, Overall, PhaseStatus, StatusDocument
from codex_audit.report.merge import merge
from codex_audit.settings import Settings

if TYPE_CHECKING:
    from pathlib import Path

CUDA = "trainer-smoke-cuda"


def verdicts(document: StatusDocument) -> dict[str, GateVerdict]:
    return {gate.name: gate.verdict for gate in document.gates}


def phase(document: StatusDocument, number: int) -> PhaseStatus:
    return document.phases[number - 1].status


def note(document: StatusDocument, gate: str) -> str:
    return next(each.note for each in document.gates if each.name == gate)


def test_all_passed_is_a_pass(tmp_path: Path) -> None:
    document = merge(scan(), write_all(tmp_path), SETTINGS)
    assert document.verdict is Overall.PASS
    assert document.reason == "all 6 required gates passed"
    assert {each.status for each in document.phases[:7]} == {PhaseStatus.PASS}
    assert phase(document, 8) is PhaseStatus.NOT_RUN
    assert document.errors == ()


@pytest.mark.parametrize(
    ("verdict", "shown", "status"),
    [
        (Verdict.FAIL, GateVerdict.FAIL, PhaseStatus.FAIL),
        (Verdict.ERROR, GateVerdict.ERROR, PhaseStatus.DEGRADED),
        (Verdict.SKIP, GateVerdict.SKIP, PhaseStatus.NOT_RUN),
    ],
)
def test_a_required_gate_that_did_not_pass_fails_the_audit(
    tmp_path: Path, verdict: Verdict, shown: GateVerdict, status: PhaseStatus
) -> None:
    document = merge(scan(), write_all(tmp_path, outcome("lint", verdict)), SETTINGS)
    assert verdicts(document)["lint"] is shown
    assert phase(document, 6) is status
    assert phase(document, 5) is PhaseStatus.PASS
    assert document.verdict is Overall.FAIL
    assert f"lint ({shown})" in document.reason


def test_an_outcome_of_another_tree_is_stale_and_says_nothing_of_this_one(tmp_path: Path) -> None:
    other = outcome(
        "type",
        errors=(captured(6),),
        provenance=provenance(tree_digest="other", commit="feedfacefeed", dirty=True),
    )
    document = merge(scan(), write_all(tmp_path, other), SETTINGS)
    row = next(gate for gate in document.gates if gate.name == "type")
    assert row.verdict is GateVerdict.STALE
    assert (row.checks, row.seconds) == ((), None)
    assert row.note == (
        "said pass of another tree (commit feedfacefe with changes): "
        "cannot import name 'nn' from 'torch' (torch/__init__.py); run it again on this one"
    )
    assert document.errors == ()
    assert phase(document, 6) is PhaseStatus.STALE
    assert document.verdict is Overall.FAIL


def test_a_gate_whose_environment_could_not_be_installed_is_not_run_and_says_why(
    tmp_path: Path,
) -> None:
    (write_all(tmp_path) / "type.json").unlink()
    (tmp_path / "type.not-installed.txt").write_text("Resolving\nerror: no numpy==999\n")
    (tmp_path / "lint.not-installed.txt").write_text("error: of an earlier run\n")
    document = merge(scan(), tmp_path, SETTINGS)
    assert verdicts(document)["type"] is GateVerdict.NOT_RUN
    assert verdicts(document)["lint"] is GateVerdict.PASS
    said = "its environment could not be installed: error: no numpy==999"
    assert note(document, "type") == said
    (error,) = document.errors
    assert (error.phase, error.step, error.message) == (6, "install", "error: no numpy==999")
    assert (phase(document, 6), phase(document, 7)) == (PhaseStatus.DEGRADED, PhaseStatus.PASS)
    assert document.verdict is Overall.FAIL
    assert "type (NOT RUN)" in document.reason


def test_an_absent_outcome_is_not_run(tmp_path: Path) -> None:
    (write_all(tmp_path) / "security.json").unlink()
    document = merge(scan(), tmp_path, SETTINGS)
    assert verdicts(document)["security"] is GateVerdict.NOT_RUN
    assert phase(document, 6) is PhaseStatus.NOT_RUN
    assert document.verdict is Overall.FAIL


@pytest.mark.parametrize(
    "data",
    [
        b"{",
        b"",
        b'{"schema_version": "2.0"}',
        b'{"schema_version": "1.0", "gate": "lint"}',
        b'{"schema_version": "\xff"}',
        b"[" * 5000,
    ],
    ids=["cut", "empty", "major", "fields", "bytes", "deep"],
)
def test_an_unreadable_outcome_is_an_error_that_names_its_file(tmp_path: Path, data: bytes) -> None:
    (write_all(tmp_path / "outcomes") / "lint.json").write_bytes(data)
    document = merge(scan(), tmp_path / "outcomes", SETTINGS)
    assert verdicts(document)["lint"] is GateVerdict.ERROR
    (error,) = document.errors
    assert (error.phase, error.step) == (1, "read_outcome")
    assert error.message.startswith("outcomes/lint.json: ")
    assert str(tmp_path) not in error.message
    assert "run its gate again" in error.remedy
    assert error.diagnosis
    assert error.message == f"{error.diagnosis}; {error.remedy}"
    for number in (1, 6, 7):
        assert phase(document, number) is PhaseStatus.DEGRADED
    assert document.verdict is Overall.FAIL


def test_a_further_outcome_is_shown_and_decides_nothing(tmp_path: Path) -> None:
    write_all(tmp_path, outcome("licenses", Verdict.FAIL))
    document = merge(scan(), tmp_path, SETTINGS)
    assert verdicts(document)["licenses"] is GateVerdict.FAIL
    assert phase(document, 6) is PhaseStatus.FAIL
    assert document.verdict is Overall.PASS
    assert "licenses (FAIL)" in document.reason


def test_nothing_but_skips_is_no_pass_even_where_nothing_is_required(tmp_path: Path) -> None:
    settings = Settings(project="demo", gates=("lint", CUDA), required=())
    skips = [outcome(gate, Verdict.SKIP) for gate in settings.gates]
    document = merge(scan(), write_all(tmp_path, *skips, settings=settings), settings)
    assert document.verdict is Overall.FAIL
    assert "no gate judged this tree" in document.reason
    one = [outcome("lint"), outcome(CUDA, Verdict.SKIP)]
    document = merge(scan(), write_all(tmp_path, *one, settings=settings), settings)
    assert document.verdict is Overall.PASS


def test_no_gate_at_all_is_not_run(tmp_path: Path) -> None:
    for settings in (SETTINGS, Settings(project="demo", gates=())):
        assert merge(scan(), tmp_path / "none", settings).verdict is Overall.NOT_RUN


def test_a_plain_scan_runs_no_gate_phase() -> None:
    document = merge(scan(), None, SETTINGS)
    found = {each.number: each.status for each in document.phases}
    ran = dict.fromkeys((1, 2, 3, 4, 7), PhaseStatus.PASS)
    assert found == ran | dict.fromkeys((5, 6, 8), PhaseStatus.NOT_RUN)
    assert set(verdicts(document).values()) == {GateVerdict.NOT_RUN}


def test_a_skipped_gate_leaves_its_phase_not_run_and_says_why(tmp_path: Path) -> None:
    document = merge(scan(), write_all(tmp_path, outcome(CUDA, Verdict.SKIP)), SETTINGS)
    assert phase(document, 5) is PhaseStatus.NOT_RUN
    assert document.phases[4].note == (
        "passed: tokenizer, trainer-smoke-cpu; skipped: trainer-smoke-cuda (no CUDA device)"
    )
    assert document.verdict is Overall.PASS


def test_statuses_of_a_phase_outweigh_each_other_in_order(tmp_path: Path) -> None:
    write_all(
        tmp_path,
        outcome("lint", Verdict.FAIL),
        outcome("type", Verdict.ERROR),
        outcome("security", provenance=provenance(tree_digest="other")),
        outcome("tests", Verdict.SKIP),
    )
    for gate, status in (
        ("lint", PhaseStatus.FAIL),
        ("type", PhaseStatus.DEGRADED),
        ("security", PhaseStatus.STALE),
        ("tests", PhaseStatus.NOT_RUN),
    ):
        assert phase(merge(scan(), tmp_path, SETTINGS), 6) is status
        write_outcome(tmp_path, outcome(gate))
    assert phase(merge(scan(), tmp_path, SETTINGS), 6) is PhaseStatus.PASS


@pytest.mark.parametrize("number", range(1, 8))
def test_a_phase_that_holds_a_captured_error_is_never_a_pass(tmp_path: Path, number: int) -> None:
    audited = scan(errors=(captured(number),))
    document = merge(audited, write_all(tmp_path), SETTINGS)
    degraded = [each.number for each in document.phases if each.status is PhaseStatus.DEGRADED]
    assert degraded == [number]
    assert "1 captured error: trainer_smoke_test" in document.phases[number - 1].note


def test_a_passing_gate_with_a_captured_error_degrades_the_phase_of_the_error(
    tmp_path: Path,
) -> None:
    odd = outcome("lint", errors=(captured(5),))
    document = merge(scan(), write_all(tmp_path, odd), SETTINGS)
    assert phase(document, 5) is PhaseStatus.DEGRADED
    assert phase(document, 6) is PhaseStatus.PASS


def test_an_unanswered_criterion_degrades_its_phase(tmp_path: Path) -> None:
    audited = scan(capability("tokenization", criterion("special_tokens", Answer.UNKNOWN)))
    document = merge(audited, write_all(tmp_path), SETTINGS)
    assert phase(document, 3) is PhaseStatus.DEGRADED
    assert "tokenization.special_tokens" in document.phases[2].note


def _without_times(document: StatusDocument) -> Any:
    gates = tuple(msgspec.structs.replace(gate, provenance=None) for gate in document.gates)
    errors = tuple(msgspec.structs.replace(error, at="") for error in document.errors)
    return msgspec.structs.replace(document, gates=gates, errors=errors)


def test_times_hosts_and_the_order_of_files_change_nothing_else(tmp_path: Path) -> None:
    first = [outcome(CPU, Verdict.ERROR, errors=(captured(), captured(6))), outcome("lint")]
    later = [
        msgspec.structs.replace(
            each,
            provenance=provenance(started="2027-01-01T00:00:00Z", seconds=9.0, platform="Darwin"),
            errors=tuple(
                msgspec.structs.replace(error, at="2027-01-01T00:00:00Z")
                for error in reversed(each.errors)
            ),
        )
        for each in first
    ]
    documents = []
    for number, order in enumerate(
        [*itertools.permutations(first), *itertools.permutations(later)]
    ):
        directory = write_all(tmp_path / str(number), *order)
        documents.append(_without_times(merge(scan(), directory, SETTINGS)))
    assert all(document == documents[0] for document in documents)


@pytest.mark.parametrize("names", [("a", "b"), ("b", "a")])
def test_of_several_outcomes_of_a_gate_the_worst_is_shown(
    tmp_path: Path, names: tuple[str, str]
) -> None:
    write_all(tmp_path)
    for name, verdict in zip(names, (Verdict.FAIL, Verdict.SKIP), strict=True):
        written = write_outcome(tmp_path / "job", outcome("lint", verdict))
        written.rename(tmp_path / f"lint-{name}.json")
    assert verdicts(merge(scan(), tmp_path, SETTINGS))["lint"] is GateVerdict.FAIL


def test_a_gate_of_a_plug_in_is_shown_in_its_own_phase(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(_: base.Context) -> base.Report:
        raise AssertionError("a report runs no gate")

    plug_in = base.Gate("my-trainer", 5, "my_trainer", "title", "why", run)
    monkeypatch.setattr(base, "all_gates", lambda: {"my-trainer": plug_in})
    write_all(tmp_path, outcome("my-trainer", Verdict.FAIL))
    document = merge(scan(), tmp_path, SETTINGS)
    assert phase(document, 5) is PhaseStatus.FAIL
    assert phase(document, 6) is PhaseStatus.PASS


def test_a_note_says_which_checks_were_skipped_or_went_wrong(tmp_path: Path) -> None:
    partly = (check("a"), check("b", Verdict.SKIP), check("c", Verdict.DECLARED_LIMIT))
    nameless = outcome("type", Verdict.ERROR, checks=())
    write_all(tmp_path, outcome("lint", checks=partly), nameless)
    write_outcome(tmp_path, outcome("security", Verdict.FAIL, checks=(check("a"),)))
    write_outcome(tmp_path, outcome("tests", Verdict.ERROR))
    document = merge(scan(), tmp_path, SETTINGS)
    assert note(document, "lint") == "1 of 3 checks passed, declared limits: c, skipped: b"
    assert note(document, "type") == "ended in an error that its outcome does not name"
    assert note(document, "tests") == "main errored"
    assert note(document, "security") == (
        "1 of 1 check passed, and its outcome names no check that failed"
    )


TRIAL = f"{CPU}:resume_bit_exact"


def _tried(verdict: Verdict, *, in_tree: bool) -> Any:
    overall = Verdict.PASS if verdict is Verdict.SKIP else verdict
    return outcome(
        CPU,
        overall,
        checks=(check("loss_falls"), check("resume_bit_exact", verdict)),
        facts={"subject": {"in_tree": in_tree}},
    )


def _checkpointing(document: StatusDocument) -> Any:
    return document.capabilities["checkpointing_resume"]


def _resumes(answer: Answer = Answer.MET) -> Any:
    return scan(
        capability(
            "checkpointing_resume",
            criterion("resume", answer, proven_by=(TRIAL, "gone:check")),
            criterion("saved"),
        )
    )


def test_a_check_that_passed_on_our_own_trainer_proves(tmp_path: Path) -> None:
    directory = write_all(tmp_path, _tried(Verdict.PASS, in_tree=True))
    found = _checkpointing(merge(_resumes(), directory, SETTINGS))
    assert found.criteria["resume"].proof is Proof.PROVEN
    assert found.criteria["saved"].proof is Proof.STATIC
    assert found.status is Status.IMPLEMENTED


def test_a_check_that_failed_refutes_and_the_capability_is_graded_again(tmp_path: Path) -> None:
    directory = write_all(tmp_path, _tried(Verdict.FAIL, in_tree=True))
    document = merge(_resumes(), directory, SETTINGS)
    found = _checkpointing(document)
    resume = found.criteria["resume"]
    assert (resume.answer, resume.proof) == (Answer.UNMET, Proof.REFUTED)
    assert resume.gap == f"{TRIAL} refuted it: resume_bit_exact failed"
    assert resume.evidence == ()
    assert str(resume.nearest) == "train.py:7"
    assert found.status is Status.PARTIALLY
    assert document.quick_wins[0].criterion == "resume"


@pytest.mark.parametrize("verdict", [Verdict.PASS, Verdict.FAIL])
def test_the_reference_kit_proves_nothing_of_a_foreign_repository(
    tmp_path: Path, verdict: Verdict
) -> None:
    document = merge(_resumes(), write_all(tmp_path, _tried(verdict, in_tree=False)), SETTINGS)
    assert _checkpointing(document) == _resumes().capabilities["checkpointing_resume"]
    assert note(document, CPU).startswith(
        "no trainer of this repository is configured; subject: reference kit codex_ml"
    )
    row = next(gate for gate in document.gates if gate.name == CPU)
    # Its pass is none of this repository's; its failure says that the environment is broken.
    assert row.verdict is (GateVerdict.SKIP if verdict is Verdict.PASS else GateVerdict.FAIL)


@pytest.mark.parametrize(
    ("arguments", "expected"), [(["--require"], "PASS"), (["tests/test_a.py"], "NOT RUN")]
)
def test_a_gate_narrowed_by_arguments_is_no_pass(
    tmp_path: Path, arguments: list[str], expected: str
) -> None:
    tried = _tried(Verdict.PASS, in_tree=True)
    narrowed = msgspec.structs.replace(tried, facts={**tried.facts, "arguments": arguments})
    document = merge(_resumes(), write_all(tmp_path, narrowed), SETTINGS)
    row = next(gate for gate in document.gates if gate.name == CPU)
    assert row.verdict == expected
    assert ("tests/test_a.py" in row.note) is (expected == "NOT RUN")


@pytest.mark.parametrize("facts", [{}, {"subject": "codex_ml"}, {"subject": {"in_tree": "yes"}}])
def test_a_subject_that_is_not_named_proves_nothing(tmp_path: Path, facts: dict[str, Any]) -> None:
    tried = msgspec.structs.replace(_tried(Verdict.FAIL, in_tree=True), facts=facts)
    document = merge(_resumes(), write_all(tmp_path, tried), SETTINGS)
    assert _checkpointing(document).criteria["resume"].proof is Proof.STATIC


def test_a_stale_or_skipped_trial_proves_nothing(tmp_path: Path) -> None:
    stale = msgspec.structs.replace(
        _tried(Verdict.PASS, in_tree=True), provenance=provenance(tree_digest="other")
    )
    for tried in (stale, _tried(Verdict.SKIP, in_tree=True)):
        document = merge(_resumes(), write_all(tmp_path, tried), SETTINGS)
        assert _checkpointing(document).criteria["resume"].proof is Proof.STATIC


def test_a_pass_makes_no_unmet_answer_met_and_what_does_not_apply_stays_so(tmp_path: Path) -> None:
    passed = write_all(tmp_path / "pass", _tried(Verdict.PASS, in_tree=True))
    failed = write_all(tmp_path / "fail", _tried(Verdict.FAIL, in_tree=True))
    unmet = _checkpointing(merge(_resumes(Answer.UNMET), passed, SETTINGS)).criteria["resume"]
    assert (unmet.answer, unmet.proof) == (Answer.UNMET, Proof.STATIC)
    refuted = _checkpointing(merge(_resumes(Answer.UNMET), failed, SETTINGS)).criteria["resume"]
    assert refuted.gap == f"nothing does resume; {TRIAL} refuted it: resume_bit_exact failed"
    absent = _checkpointing(merge(_resumes(Answer.NOT_APPLICABLE), failed, SETTINGS))
    assert absent.criteria["resume"].answer is Answer.NOT_APPLICABLE


def test_quick_wins_are_at_most_ten_required_first_then_impact_for_effort(tmp_path: Path) -> None:
    unmet = Answer.UNMET
    audited = scan(
        capability(
            "config_mgmt",
            criterion("big", unmet, required=False, impact=3, effort=1),
            criterion("dear", unmet, impact=3, effort=3),
            criterion("cheap", unmet, impact=2, effort=1),
            criterion("shown"),
        ),
        capability("deployment", *(criterion(f"d{n}", unmet, required=False) for n in range(12))),
        capability("tokenization", criterion("n", unmet), status=Status.NOT_APPLICABLE),
    )
    wins = merge(audited, write_all(tmp_path), SETTINGS).quick_wins
    assert [win.criterion for win in wins[:3]] == ["cheap", "dear", "big"]
    assert len(wins) == 10
    assert wins[0].where is None
    assert wins[3].where is None
