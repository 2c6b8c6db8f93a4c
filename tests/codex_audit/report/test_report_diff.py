"""What changed between two documents: which way, shown by which line, and traced to what."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from click.testing import CliRunner
from status_factory import (
    CPU,
    SETTINGS,
    capability,
    check,
    criterion,
    finding,
    outcome,
    provenance,
    scan,
    write_all,
)

from codex_audit.cli import main
from codex_audit.outcome import Check, Evidence, Verdict, write_outcome
from codex_audit.records import Answer, Kind, Proof, Status
from codex_audit.report.diff import Effect, compare
from codex_audit.report.diff_markdown import render
from codex_audit.report.json_format import render as as_json
from codex_audit.report.merge import merge
from codex_audit.report.phases import packaged

if TYPE_CHECKING:
    from pathlib import Path

    from codex_audit.records import Capability, Criterion
    from codex_audit.report.diff import Change, Difference
    from codex_audit.report.document import StatusDocument

OLD, NEW = "old.json", "new.json"
NAME = "training_engine"


def static(*capabilities: Capability, **changes: Any) -> StatusDocument:
    return merge(scan(*capabilities, **changes), None, SETTINGS)


def reported(directory: Path, *outcomes: Any, **changes: Any) -> StatusDocument:
    document = merge(scan(**changes), write_all(directory, *outcomes), SETTINGS)
    return packaged(document, ["STATUS.md"])


def difference(home: Path, old: StatusDocument, new: StatusDocument) -> Difference:
    (home / OLD).write_text(as_json(old), encoding="utf-8")
    (home / NEW).write_text(as_json(new), encoding="utf-8")
    return compare(home / OLD, home / NEW)


def one_criterion(home: Path, old: Criterion, new: Criterion) -> Change:
    made = difference(home, static(capability(NAME, old)), static(capability(NAME, new)))
    (change,) = made.changes
    return change


def test_the_same_document_has_no_change(tmp_path: Path) -> None:
    document = reported(tmp_path / "outcomes")
    made = difference(tmp_path, document, document)
    assert made.changes == ()
    assert made.not_compared == ()
    assert [cause.changed for cause in made.causes] == [False, False, False]
    assert "changed.\n" in render(made)


UNMET = criterion(
    "clip", Answer.UNMET, nearest=Evidence("train.py", 9, "step()"), miss="steps without a limit"
)
MET = criterion("clip")
TESTED = criterion("clip", proof=Proof.TESTED)
PROVEN = criterion("clip", proof=Proof.PROVEN)
REFUTED = criterion("clip", Answer.UNMET, proof=Proof.REFUTED, gap="cpu:x refuted it: it differs")
UNKNOWN = criterion("clip", Answer.UNKNOWN)
ABSENT = criterion("clip", Answer.NOT_APPLICABLE, reason="trains nothing")


@pytest.mark.parametrize(
    ("old", "new", "said", "effect"),
    [
        (UNMET, MET, "unmet → met", Effect.BETTER),
        (MET, UNMET, "met → unmet", Effect.WORSE),
        (MET, REFUTED, "met → refuted", Effect.WORSE),
        (PROVEN, REFUTED, "met and proven → refuted", Effect.WORSE),
        (UNMET, REFUTED, "unmet → refuted", Effect.WORSE),
        (MET, UNKNOWN, "met → unknown", Effect.WORSE),
        (MET, TESTED, "met → met and tested", Effect.BETTER),
        (TESTED, PROVEN, "met and tested → met and proven", Effect.BETTER),
        (REFUTED, PROVEN, "refuted → met and proven", Effect.BETTER),
        # No gate took back what a gate said, or none ran to say it again.
        (REFUTED, MET, "refuted → met", Effect.OTHER),
        (PROVEN, MET, "met and proven → met", Effect.OTHER),
        (MET, ABSENT, "met → not-applicable", Effect.OTHER),
        (ABSENT, UNMET, "not-applicable → unmet", Effect.OTHER),
        (UNKNOWN, MET, "unknown → met", Effect.OTHER),
    ],
)
def test_a_criterion_that_turned(
    tmp_path: Path, old: Criterion, new: Criterion, said: str, effect: Effect
) -> None:
    change = one_criterion(tmp_path, old, new)
    assert (change.what, change.name) == ("criterion", f"{NAME}.clip")
    assert (f"{change.before} → {change.after}", change.effect) == (said, effect)


def test_experimental_criteria_are_shown_but_lose_nothing(tmp_path: Path) -> None:
    unmet = msgspec.structs.replace(UNMET, experimental=True)
    change = one_criterion(tmp_path, msgspec.structs.replace(MET, experimental=True), unmet)
    assert change.effect is Effect.OTHER
    assert change.note.startswith("experimental, not graded; ")


def test_the_new_line_shows_a_met_answer_and_the_nearest_an_unmet_one(tmp_path: Path) -> None:
    met = one_criterion(tmp_path, UNMET, MET)
    assert [str(place) for place in met.evidence] == ["train.py:7"]
    unmet = one_criterion(tmp_path, MET, UNMET)
    assert [str(place) for place in unmet.evidence] == ["train.py:9"]
    assert "steps without a limit" in unmet.note
    assert unmet.note.endswith("; it was shown by train.py:7")
    same = msgspec.structs.replace(UNMET, nearest=Evidence("train.py", 7), miss="")
    assert one_criterion(tmp_path, MET, same).note == "nothing does clip"


@pytest.mark.parametrize(
    ("old", "new", "effect"),
    [
        (Status.PARTIALLY, Status.IMPLEMENTED, Effect.BETTER),
        (Status.IMPLEMENTED, Status.PARTIALLY, Effect.WORSE),
        (Status.MISSING, Status.STUBBED, Effect.BETTER),
        (Status.PARTIALLY, Status.NOT_APPLICABLE, Effect.OTHER),
    ],
)
def test_a_capability_that_turned(tmp_path: Path, old: Status, new: Status, effect: Effect) -> None:
    before, after = (capability(NAME, status=status) for status in (old, new))
    (change,) = difference(tmp_path, static(before), static(after)).changes
    assert (change.name, change.before, change.after, change.effect) == (NAME, old, new, effect)


def test_a_criterion_of_one_catalog_alone_is_neither(tmp_path: Path) -> None:
    more = capability(NAME, criterion("there"), criterion("clip", Answer.UNMET))
    made = difference(tmp_path, static(), static(more, catalog_version="2026.2"))
    (change,) = made.changes
    assert (change.before, change.effect) == ("not in the catalog", Effect.OTHER)
    assert "Catalog: changed, from 2026.1 to 2026.2" in render(made)
    assert "only the catalog changed" in render(made)


def test_causes_are_told_apart(tmp_path: Path) -> None:
    moved = provenance(tree_digest="other", commit="fedcba9876543210", dirty=True)
    strict = msgspec.structs.replace(SETTINGS, exclude=("old/**",), asker="me")
    new = merge(scan(capability(NAME, UNMET), provenance=moved), None, strict)
    old = static(capability(NAME, MET))
    told = render(difference(tmp_path, old, new))
    changed = "changed, from commit 0123456789 to commit fedcba9876 with uncommitted changes"
    assert f"- Tree: {changed}" in told
    assert '- Settings: changed, `exclude` from its default to `["old/**"]`' in told
    assert "More than one cause: tree and settings." in told
    here = static(provenance=provenance(tree_digest="other", dirty=True))
    said = "- Tree: changed, in files that commit 0123456789 does not have so"
    assert said in render(difference(tmp_path, static(), here))
    nobody = render(difference(tmp_path, msgspec.structs.replace(old, settings=None), old))
    assert "- Settings: not recorded in both documents" in nobody


def test_a_gate_that_turned_red_shows_its_new_findings(tmp_path: Path) -> None:
    known, fresh = finding(), finding(fingerprint="ff", path="b.py", line=4)
    silenced = finding(fingerprint="aa", suppressed_by="# noqa")
    old = reported(tmp_path / "a", outcome("lint", findings=(known,)))
    red = outcome("lint", Verdict.FAIL, findings=(known, fresh, silenced))
    made = difference(tmp_path, old, reported(tmp_path / "b", red))
    gate, turned = made.changes
    assert (gate.name, gate.before, gate.after, gate.effect) == (
        "lint", "PASS", "FAIL", Effect.WORSE,
    )  # fmt: skip
    assert [str(place) for place in gate.evidence] == ["b.py:4"]
    assert (turned.what, turned.name, turned.effect) == ("check", "lint:main", Effect.WORSE)
    back = difference(tmp_path, reported(tmp_path / "b", red), old)
    assert {change.effect for change in back.changes} == {Effect.BETTER}


@pytest.mark.parametrize("verdict", [Verdict.ERROR, Verdict.SKIP])
def test_a_pass_that_is_none_any_more_is_a_regression(tmp_path: Path, verdict: Verdict) -> None:
    old = reported(tmp_path / "a")
    made = difference(tmp_path, old, reported(tmp_path / "b", outcome("lint", verdict)))
    assert next(change.name for change in made.of(Effect.WORSE)) == "lint"


def test_a_gate_without_an_outcome_lost_its_pass(tmp_path: Path) -> None:
    old = reported(tmp_path / "a")
    for path in (tmp_path / "a").glob("*.json"):
        path.unlink()
    made = difference(tmp_path, old, packaged(merge(scan(), tmp_path / "a", SETTINGS), []))
    assert {change.after for change in made.of(Effect.WORSE)} == {"NOT RUN"}


def test_a_static_audit_alone_says_nothing_of_gates(tmp_path: Path) -> None:
    made = difference(tmp_path, reported(tmp_path / "a"), static())
    assert made.changes == ()
    assert made.not_compared[0].startswith("gates, for no outcome was asked for in ")


def test_tools_of_another_version_are_named(tmp_path: Path) -> None:
    newer = outcome(
        "lint", Verdict.FAIL, provenance=provenance(tools={"ruff": "0.13.0"}), checks=(check("a"),)
    )
    made = difference(tmp_path, reported(tmp_path / "a"), reported(tmp_path / "b", newer))
    assert "ruff 0.12.0 is now 0.13.0" in made.changes[0].note
    assert "Neither the tree, the catalog nor the settings changed" in render(made)


def test_a_proof_that_fails_is_traced_to_its_check(tmp_path: Path) -> None:
    own = {"subject": {"in_tree": True}}
    resumes = criterion("resumes", proven_by=(f"{CPU}:same",))
    found = scan(capability("checkpointing_resume", resumes))

    def document(place: str, verdict: Verdict) -> StatusDocument:
        said = Check("same", verdict, f"resume {verdict}ed at step 3")
        made = outcome(CPU, verdict, checks=(said,), facts=own)
        write_outcome(write_all(tmp_path / place), made)
        return packaged(merge(found, tmp_path / place, SETTINGS), [])

    made = difference(tmp_path, document("a", Verdict.PASS), document("b", Verdict.FAIL))
    turned = {change.name: change for change in made.changes if change.what == "criterion"}
    change = turned["checkpointing_resume.resumes"]
    assert (change.before, change.after) == ("met and proven", "refuted")
    assert "resume failed at step 3" in change.note


def test_projects_and_the_kind_are_compared(tmp_path: Path) -> None:
    part = {"packages/a": scan(capability(NAME, MET))}
    old = merge(scan(), None, SETTINGS, part)
    other = Kind("library", "library", (), "it has no program")
    gone = {"packages/a": scan(capability(NAME, UNMET)), "packages/b": scan()}
    made = difference(tmp_path, old, merge(scan(kind=other), None, SETTINGS, gone))
    assert [(change.what, change.name) for change in made.changes] == [
        ("kind", "kind"), ("criterion", f"packages/a: {NAME}.clip"),
    ]  # fmt: skip
    assert "the project packages/b, which only one of the two has" in made.not_compared


def run(*arguments: object) -> tuple[int, str]:
    done = CliRunner().invoke(main, ["diff", *map(str, arguments)])
    return done.exit_code, done.output


def test_the_command_exits_1_on_a_regression_alone(tmp_path: Path) -> None:
    difference(tmp_path, static(capability(NAME, MET)), static(capability(NAME, UNMET)))
    old, new, answers = tmp_path / OLD, tmp_path / NEW, tmp_path / "changes.json"
    code, printed = run(old, new, "--json", answers)
    assert code == 1
    assert "## Regressions" in printed
    (change,) = json.loads(answers.read_text())["changes"]
    assert (change["name"], change["effect"]) == (f"{NAME}.clip", "regression")
    code, printed = run(new, old)
    assert code == 0
    assert "## Improvements" in printed


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, "cannot be read (No such file or directory)"),
        ("{", "no status document"),
        ('{"schema_version": "1.0"}', "no status document (Object missing required field"),
        ('{"schema_version": "2.0"}', "schema_version '2.0' is not readable"),
        ('{"schema_version": 1}', "no status document"),
        ("[" * 100_000, "no status document"),
        ("\udcff", "no status document"),
    ],
)
def test_what_is_no_document_is_one_line(tmp_path: Path, text: str | None, words: str) -> None:
    difference(tmp_path, static(), static())
    bad = tmp_path / "bad.json"
    if text is not None:
        bad.write_bytes(text.encode("utf-8", "surrogateescape"))
    code, printed = run(tmp_path / OLD, bad)
    assert code == 2
    assert printed.startswith(f"codex-audit: {bad}: {words}")
    assert printed.count("\n") == 1


def test_text_of_a_repository_is_escaped(tmp_path: Path) -> None:
    line = Evidence("a.py", 1, "`x` | <b>")
    told = render(
        difference(
            tmp_path,
            static(capability(NAME, UNMET)),
            static(capability(NAME, criterion("clip", evidence=(line,)))),
        )
    )
    assert "`a.py:1` `` `x` | <b> ``" in told
