"""STATUS.md keeps its format, and shows text from anywhere as text."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import msgspec
import pytest
from status_factory import (
    CAPABILITIES,
    CPU,
    SETTINGS,
    capability,
    captured,
    check,
    criterion,
    finding,
    outcome,
    provenance,
    scan,
    write_all,
)

from codex_audit.outcome import Evidence, Level, Verdict
from codex_audit.records import Answer, Proof, Reproducibility, Status
from codex_audit.report.escaping import cell, code, shorten, text
from codex_audit.report.markdown import evidence_cell, gaps_cell, render
from codex_audit.report.merge import merge

if TYPE_CHECKING:
    from pathlib import Path

HEADINGS = [
    "Repo Map Summary",
    "Capability Matrix",
    "Reproducibility Checklist",
    "Key Gaps & Quick Wins",
    "Error Capture Summary",
    "Phase Results",
    "Gate Findings",
]
BLOCK = (
    "Question from ChatGPT @codex 2025-10-06T16:59:14Z:\n"
    "While performing [5:trainer_smoke_test], encountered the following error: "
    "cannot import name 'nn' from 'torch' (torch/__init__.py)\n"
    "Context: SimpleTrainer synthetic step\n"
    "What are the possible causes, and how can this be resolved while preserving intended "
    "functionality?\n"
    "Diagnosis: the directory `torch/` shadows the installed package\n"
    "Remedy: rename `torch/`\n"
)


def section(markdown: str, heading: str) -> str:
    found = re.search(
        rf"^## {re.escape(heading)}\n(.*?)(?=^## |\Z)", markdown, re.MULTILINE | re.DOTALL
    )
    assert found is not None, heading
    return found.group(1)


def table(body: str) -> list[list[str]]:
    """Every table row's cells, split where GitHub splits them."""
    rows = [line for line in body.splitlines() if line.startswith("|")]
    return [[each.strip() for each in re.split(r"(?<!\\)(?:\\\\)*\|", row)[1:-1]] for row in rows]


@pytest.fixture
def markdown(tmp_path: Path) -> str:
    gap = criterion("resume", Answer.UNMET, nearest=Evidence("train.py", 30, "torch.save(x)"))
    audited = scan(
        capability("checkpointing_resume", criterion("saved"), gap, status=Status.PARTIALLY),
        capability("deployment", status=Status.MISSING, criteria={}),
        errors=(captured(3, step="read_rules"),),
    )
    failing = outcome(
        "lint",
        Verdict.FAIL,
        findings=tuple(
            finding(line=line, level=Level.ERROR if line == 25 else Level.WARNING)
            for line in range(1, 26)
        ),
    )
    broken = outcome(CPU, Verdict.ERROR, errors=(captured(),))
    return render(merge(audited, write_all(tmp_path, failing, broken), SETTINGS))


def test_headings_stand_in_their_order(markdown: str) -> None:
    assert markdown.startswith("# demo Offline Audit Status\n\n**FAIL**: ")
    assert re.findall(r"^## (.+)$", markdown, re.MULTILINE) == HEADINGS


def bare() -> str:
    """A scan that found as good as nothing."""
    absent = criterion("there", Answer.NOT_APPLICABLE, reason="it trains nothing")
    base = scan()
    repo = msgspec.structs.replace(
        base.repo_map, languages=(), largest=(), stubs=(), markers=(), left_out=(), unparsed=()
    )
    nothing = Reproducibility(
        **dict.fromkeys(Reproducibility.__struct_fields__, ()),
    )
    empty = msgspec.structs.replace(
        base,
        repo_map=repo,
        reproducibility=nothing,
        trains=False,
        capabilities={
            name: capability(name, absent, status=Status.NOT_APPLICABLE) for name in CAPABILITIES
        },
        provenance=provenance(commit=None, dirty=None),
    )
    return render(merge(empty, None, SETTINGS))


def test_a_scan_that_found_nothing_says_so() -> None:
    markdown = bare()
    assert re.findall(r"^## (.+)$", markdown, re.MULTILINE) == HEADINGS
    assert "\nno git commit · " in markdown
    matrix = table(section(markdown, "Capability Matrix"))[2]
    assert matrix[1:] == ["Not applicable", "none needed", "it trains nothing"]
    assert "- Seeds detected: none\n" in markdown
    assert "- RNG checkpoint capture available: no\n" in markdown
    assert "- Environment lock files: none\n" in markdown
    assert "- Recommendations: none\n" in markdown
    assert "Unmet: 0 of 0 criteria that apply" in markdown
    assert section(markdown, "Error Capture Summary").strip() == "Total captured errors: 0"
    assert section(markdown, "Gate Findings").strip() == "No gate has judged this tree."


def test_the_text_has_no_needless_blanks(markdown: str) -> None:
    for rendered in (markdown, bare()):
        assert "\n\n\n" not in rendered
        assert re.findall(r"[ \t]+$", rendered, re.MULTILINE) == []
        assert re.search(r"[^\n]\n\Z", rendered)


def test_an_answer_that_is_not_known_is_no_gap_of_the_repository() -> None:
    document = merge(
        scan(capability("tokenization", criterion("special_tokens", Answer.UNKNOWN))),
        None,
        SETTINGS,
    )
    body = section(render(document), "Capability Matrix").split("### tokenization\n")[1]
    assert table(body.split("###")[0])[2][1:] == [
        *("unknown", "static", "", "its rule failed: see the captured errors"),
    ]


def test_the_repo_map_states_its_four_lines_and_what_was_left_out(markdown: str) -> None:
    body = section(markdown, "Repo Map Summary")
    for line in (
        "- Root directory: `demo`",
        "- Total files scanned: 12",
        "- Python LOC: 400",
        "- Stub density (per KLOC): 5.00",
        "  - `model.py:3` `def later(): ...`",
        "  - `model.py:9` `# TODO: finish`",
        "  - 4 vendored: `vendor/a.py`, `vendor/b.py`, …",
        "  - `broken.py:2`: invalid syntax",
    ):
        assert f"{line}\n" in body


def test_stubs_are_listed_up_to_twenty_and_the_rest_counted() -> None:
    base = scan()
    stubs = tuple(Evidence("m.py", line, "pass") for line in range(1, 26))
    repo = msgspec.structs.replace(base.repo_map, stubs=stubs)
    body = section(
        render(merge(msgspec.structs.replace(base, repo_map=repo), None, SETTINGS)),
        "Repo Map Summary",
    )
    assert body.count("`m.py:") == 20
    assert "  - and 5 more\n" in body


def test_the_matrix_has_each_capability_with_evidence_and_its_own_gaps(markdown: str) -> None:
    rows = table(section(markdown, "Capability Matrix"))
    assert rows[0] == ["Capability", "Status", "Evidence", "Gaps"]
    matrix = {row[0]: row for row in rows if row[0] in CAPABILITIES}
    assert tuple(matrix) == CAPABILITIES
    assert matrix["checkpointing_resume"][1:] == [
        "Partially",
        "`train.py:7` `saved()` (saved)",
        "nothing does resume",
    ]
    assert matrix["deployment"][1:] == ["Missing", "none found", "none"]


def test_each_criterion_is_answered_below_the_matrix(markdown: str) -> None:
    body = section(markdown, "Capability Matrix")
    section_of = body.split("### checkpointing_resume\n")[1].split("###")[0]
    row = next(row for row in table(section_of) if row[0].startswith("`resume` (required)"))
    assert row[1:3] == ["unmet", "static"]
    assert row[4] == "nothing does resume<br>nearest: `train.py:30` `torch.save(x)`"


def test_what_does_not_apply_is_summarised_with_its_reason() -> None:
    absent = Answer.NOT_APPLICABLE
    names = ("base_image_pinned", "non_root_user")
    none = [criterion(name, absent, reason="there is no container") for name in names]
    document = merge(
        scan(capability("deployment", criterion("container", Answer.UNMET), *none)), None, SETTINGS
    )
    body = section(render(document), "Capability Matrix").split("### deployment\n")[1]
    line = "Not applicable: `base_image_pinned`, `non_root_user` - there is no container\n"
    assert line in body.split("###")[0]


def test_the_checklist_names_what_was_found_and_what_to_do(markdown: str) -> None:
    body = section(markdown, "Reproducibility Checklist")
    seeds = "numpy (`train.py:6`), python (`train.py:5`, and 1 more), torch (`train.py:4`)"
    assert f"- Seeds detected: {seeds}\n" in body
    assert "- RNG checkpoint capture available: yes (`train.py:40`)\n" in body
    assert "- Environment lock files: `uv.lock`\n" in body
    assert "- Determinism switches: none found\n" in body
    assert "- Git commit captured: no\n" in body
    assert "- Recommendations:\n  - Record the git commit of each run\n" in body


def test_a_quick_win_says_what_where_and_how(markdown: str) -> None:
    body = section(markdown, "Key Gaps & Quick Wins")
    assert "Unmet: 1 of 13 criteria that apply (1 required, 0 refuted by a gate).\n" in body
    assert (
        "1. **checkpointing_resume · resume** (required, impact 2 of 3, effort 1 of 3)\n"
        "   - What: nothing does resume\n"
        "   - Where: `train.py:30` `torch.save(x)`\n"
        "   - How: write resume\n"
    ) in body


def test_every_captured_error_is_a_block_of_exactly_its_form(markdown: str) -> None:
    body = section(markdown, "Error Capture Summary")
    assert body.startswith("\nTotal captured errors: 2\n")
    assert BLOCK in body
    assert body.count("\nQuestion from ") == 2


def test_an_error_block_keeps_its_lines_whatever_the_error_holds() -> None:
    hostile = captured(step="a]b", message="one\ntwo\r```", context="", remedy=" ")
    body = section(render(merge(scan(errors=(hostile,)), None, SETTINGS)), "Error Capture Summary")
    block = body.split("```text\n")[1].split("\n```\n")[0].splitlines()
    assert len(block) == 6
    assert block[1].startswith("While performing [5:a)b], encountered the following error: one")
    assert block[2] == "Context: not given"
    assert block[5] == "Remedy: not given"


def test_phases_hold_the_rows_of_their_gates(markdown: str) -> None:
    rows = {row[0]: row for row in table(section(markdown, "Phase Results"))}
    assert [name for name in rows if name[0].isdigit()] == [
        "1 - Preparation",
        "2 - Repository Mapping",
        "3 - Capability Signal Extraction",
        "4 - Reproducibility & Seeds",
        "5 - Training & Tokenizer Smoke",
        "6 - Quality & Security Gates",
        "7 - Consolidated Report",
        "8 - Final Packaging",
    ]
    assert rows["3 - Capability Signal Extraction"][1] == "DEGRADED"
    assert rows["&nbsp;&nbsp;lint"][1:] == ["FAIL", "1.5 s: main: main failed"]
    names = list(rows)
    assert names.index("&nbsp;&nbsp;tokenizer") == names.index("5 - Training & Tokenizer Smoke") + 1


def test_findings_are_shown_worst_first_and_the_rest_counted(markdown: str) -> None:
    body = section(markdown, "Gate Findings").split("### lint: FAIL\n")[1].split("###")[0]
    assert "- FAIL `main`: main failed\n" in body
    rows = table(body)[2:]
    assert len(rows) == 20
    assert rows[0] == ["`src/a b.py:25`", "error", "F401", "`os` imported but unused"]
    assert "And 5 more, in `status.json` and `status.sarif`." in body


def test_suppressed_findings_are_counted_and_not_shown(tmp_path: Path) -> None:
    silenced = outcome("lint", findings=(finding(suppressed_by="noqa"),))
    document = merge(scan(), write_all(tmp_path, silenced), SETTINGS)
    body = section(render(document), "Gate Findings")
    assert "- Findings: 0, and 1 suppressed in the code\n" in body
    assert "F401" not in body


def test_hostile_text_breaks_no_table_and_hides_nothing(tmp_path: Path) -> None:
    evil = "a|b\n## Phase Results\n<!-- `x|y` *z* [l](http://e) \\| c:\\"
    gap = criterion(
        "bad", Answer.UNMET, gap=evil, question=evil, remedy=evil, nearest=Evidence(evil, 1, evil)
    )
    met = criterion("good", reason=evil, evidence=(Evidence(evil, 2, evil),))
    audited = scan(capability("config_mgmt", gap, met, title=evil), project=evil)
    judged = outcome(
        "lint",
        Verdict.FAIL,
        checks=(check("main", Verdict.FAIL),),
        findings=(finding(path=evil, message=evil, rule=evil),),
        errors=(captured(6, message=evil),),
    )
    rendered = render(merge(audited, write_all(tmp_path, judged), SETTINGS))
    assert re.findall(r"^## (.+)$", rendered, re.MULTILINE) == HEADINGS
    assert "\\<!--" in rendered
    outside_code = re.sub(
        r"```text\n.*?\n```|(`+)(?!`).+?(?<!`)\1(?!`)", "", rendered, flags=re.DOTALL
    )
    assert re.findall(r"(?<!\\)<!--|(?<![\\])<(?!br>)", outside_code) == []
    for heading, widths in (
        ("Capability Matrix", {4, 5}),
        ("Phase Results", {3}),
        ("Gate Findings", {4}),
    ):
        assert {len(row) for row in table(section(rendered, heading))} == widths


def test_a_line_that_names_an_environment_is_cited_without_its_text() -> None:
    ignore = criterion("dockerignore", evidence=(Evidence(".dockerignore", 1, ".venv/"),))
    shown = evidence_cell(capability("deployment", ignore))
    assert shown == "`.dockerignore:1` (dockerignore)"


def test_evidence_is_best_first_and_one_line_shows_several_criteria() -> None:
    line = (Evidence("a.py", 1, "x"),)
    shown = evidence_cell(
        capability(
            "extensibility",
            criterion("small", required=False, evidence=line),
            criterion("other", evidence=line),
            criterion("tried", proof=Proof.PROVEN, evidence=(Evidence("b.py", 2, "y"),)),
        )
    )
    assert shown == "`b.py:2` `y` (tried)<br>`a.py:1` `x` (other, small)"


def test_stubs_are_the_evidence_of_what_is_only_stubbed() -> None:
    stub = Evidence("a.py", 1, "def f(): ...")
    only = capability(
        "extensibility", criterion("a", Answer.UNMET), status=Status.STUBBED, stubs=(stub,)
    )
    assert evidence_cell(only) == "`a.py:1` `def f(): ...` (stub)"


def test_an_answer_about_an_absence_cites_nothing_and_says_so() -> None:
    absence = criterion("no_secrets", evidence=())
    shown = evidence_cell(capability("security_safety", absence))
    assert shown == "nothing that speaks against no_secrets"


def test_gaps_beyond_four_are_counted_and_unanswered_ones_named() -> None:
    unmet = [criterion(f"c{number}", Answer.UNMET) for number in range(6)]
    shown = gaps_cell(capability("extensibility", *unmet, criterion("u", Answer.UNKNOWN)))
    assert shown.endswith("and 2 more<br>1 unanswered: see the captured errors")
    assert shown.count("nothing does") == 4


def test_escaping_keeps_code_spans_and_shows_the_rest_as_it_is() -> None:
    assert text("use `a_b|c` in __init__ <b> snake_case") == (
        "use `a_b|c` in \\_\\_init\\_\\_ \\<b> snake_case"
    )
    assert code("a`b") == "``a`b``"
    assert code("`") == "`` ` ``"
    assert cell("`a|b` c|d") == "`a\\|b` c\\|d"
    assert cell(code("r'a\\|b'")) == "`r'a\\ \\|b'`"
    assert shorten("one  two\nthree", 9) == "one two…"
