"""`STATUS.md`: the status document for people, and for tools that know its headings."""

from __future__ import annotations

import functools
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from codex_audit.capabilities.grading import is_graded
from codex_audit.outcome import Level, Verdict
from codex_audit.records import Answer, Proof, Status
from codex_audit.report.escaping import ENVIRONMENT, cell, code, one_line, shorten, text
from codex_audit.report.formats import Format
from codex_audit.report.ladder import UNDONE, counted
from codex_audit.report.quick_wins import quick_wins
from codex_audit.report.seeds import seeds_by_generator
from codex_audit.tree.cache import user_cache

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import jinja2

    from codex_audit.outcome import Evidence, Finding
    from codex_audit.records import Capability, Criterion, Scan
    from codex_audit.report.document import GateResult, StatusDocument

SNIPPET_WIDTH = 72
GAP_WIDTH = 110
CELL_EVIDENCE = 3
CELL_GAPS = 4
PROOF_RANK = (Proof.PROVEN, Proof.TESTED, Proof.STATIC, Proof.REFUTED)
LEVEL_RANK = (Level.ERROR, Level.WARNING, Level.NOTE)


def render(document: StatusDocument) -> str:
    """The document as Markdown, in the fixed order of its headings."""
    template = _environment(document.repo_map.root).get_template("status.md.j2")
    return template.render(doc=document).rstrip() + "\n"


def place(evidence: Evidence) -> str:
    """`path:line` as code."""
    return code(f"{evidence.path}:{evidence.line}")


def cite(evidence: Evidence) -> str:
    """`path:line` and what stands there, shortened.

    A line that names an environment's directory (of an ignore file, say) is cited without its
    text, which would read like evidence from that directory.
    """
    snippet = shorten(evidence.snippet, SNIPPET_WIDTH)
    if not snippet or ENVIRONMENT.search(snippet):
        return place(evidence)
    return f"{place(evidence)} {code(snippet)}"


def evidence_cell(capability: Capability) -> str:
    """The matrix's evidence: the best lines, each with the criteria that it shows."""
    if capability.status is Status.NOT_APPLICABLE:
        return "none needed"
    graded = [each for each in capability.criteria.values() if is_graded(each)]
    met = [each for each in graded if each.evidence]
    met.sort(key=lambda each: (PROOF_RANK.index(each.proof), not each.required, -each.impact))
    shown: dict[str, tuple[Evidence, list[str]]] = {}
    for criterion in met:
        best = criterion.evidence[0]
        shown.setdefault(str(best), (best, []))[1].append(criterion.id)
    if shown:
        best_lines = list(shown.values())[:CELL_EVIDENCE]
        return "<br>".join(f"{cite(line)} ({', '.join(ids)})" for line, ids in best_lines)
    if capability.stubs:
        return "<br>".join(f"{cite(stub)} (stub)" for stub in capability.stubs[:CELL_EVIDENCE])
    absences = [each.id for each in graded if each.answer is Answer.MET]
    return f"nothing that speaks against {', '.join(absences)}" if absences else "none found"


def gaps_cell(capability: Capability) -> str:
    """The matrix's gaps: what this repository lacks, required criteria first."""
    if capability.status is Status.NOT_APPLICABLE:
        return text(not_applicable_reason(capability))
    graded = [each for each in capability.criteria.values() if is_graded(each)]
    unmet = [each for each in graded if each.answer is Answer.UNMET]
    unmet.sort(key=lambda each: (not each.required, -each.impact))
    gaps = [text(shorten(each.gap or each.question, GAP_WIDTH)) for each in unmet[:CELL_GAPS]]
    if len(unmet) > CELL_GAPS:
        gaps.append(f"and {len(unmet) - CELL_GAPS} more")
    unknown = sum(each.answer is Answer.UNKNOWN for each in capability.criteria.values())
    if unknown:
        gaps.append(f"{unknown} unanswered: see the captured errors")
    return "<br>".join(gaps) if gaps else "none"


def not_applicable_reason(capability: Capability) -> str:
    """Why a whole capability does not apply."""
    reasons = dict.fromkeys(each.reason for each in capability.criteria.values() if each.reason)
    return "; ".join(reasons) or "it does not apply to this repository"


def not_applicable(capability: Capability) -> dict[str, list[str]]:
    """Reason -> the ids of the criteria that do not apply for it."""
    grouped: dict[str, list[str]] = {}
    for each in capability.criteria.values():
        if each.answer is Answer.NOT_APPLICABLE:
            grouped.setdefault(each.reason or "its subject is absent", []).append(each.id)
    return grouped


def gap_cell(criterion: Criterion) -> str:
    """What is missing and the line that comes closest, or who provides it, or why unanswered."""
    if criterion.answer is Answer.UNKNOWN:
        return "its rule failed: see the captured errors"
    said = text(criterion.gap if criterion.answer is Answer.UNMET else criterion.reason)
    if criterion.answer is Answer.UNMET and criterion.nearest is not None:
        said = f"{said}<br>{nearest_miss_cell(criterion)}"
    if criterion.mentioned is not None:
        said = f"{said}<br>{place(criterion.mentioned)} {UNDONE}"
    return said


def nearest_miss_cell(criterion: Criterion) -> str:
    """The line that comes closest, with what it does and does not."""
    if criterion.nearest is None:
        return ""
    miss = f"; it {text(criterion.miss)}" if criterion.miss else ""
    return f"nearest: {cite(criterion.nearest)}{miss}"


def proof_cell(criterion: Criterion) -> str:
    """How far the answer was shown; what only documents speak of is `mentioned`."""
    return "mentioned" if criterion.rung == "mentioned" else str(criterion.proof)


def tested_cell(criterion: Criterion) -> str:
    """The test that reaches the evidence, and which line where several are shown."""
    test = criterion.tested_by
    if test is None:
        return ""
    which = f" reaches {code(test.reaches)}" if len(criterion.evidence) > 1 else ""
    through = f" through {', '.join(map(code, test.through))}" if test.through else ""
    return f"tested: {place(test.evidence)}{which}{through}"


def counts(document: StatusDocument) -> dict[str, int]:
    """How many criteria apply, and how many of these are unmet, required and refuted."""
    asked = [
        criterion
        for capability in document.capabilities.values()
        if capability.status is not Status.NOT_APPLICABLE
        for criterion in capability.criteria.values()
        if criterion.answer is not Answer.NOT_APPLICABLE and is_graded(criterion)
    ]
    unmet = [each for each in asked if each.answer is Answer.UNMET]
    return {
        "asked": len(asked),
        "unmet": len(unmet),
        "required": sum(each.required for each in unmet),
        "refuted": sum(each.proof is Proof.REFUTED for each in unmet),
    }


def every_capability(projects: Mapping[str, Scan]) -> list[str]:
    """The ids of all capabilities that a project was asked for, in their order."""
    return list(dict.fromkeys(name for each in projects.values() for name in each.capabilities))


def open_findings(gate: GateResult) -> list[Finding]:
    """The findings that nothing suppresses, worst first, then by place."""
    found = [each for each in gate.findings if each.suppressed_by is None]
    return sorted(
        found, key=lambda each: (LEVEL_RANK.index(each.level), each.path, each.line, each.rule)
    )


def seconds(value: float | None) -> str:
    """Seconds for a reader; empty where there are none."""
    return "" if value is None else f"{value:.1f} s"


def plural(count: int, noun: str, many: str = "") -> str:
    """A count with its noun."""
    return f"{count:,} {noun if count == 1 else many or noun + 's'}"


def rest(items: Sequence[object], limit: int) -> str:
    """How many of `items` are not shown, where not all are."""
    return f"and {len(items) - limit:,} more" if len(items) > limit else ""


def step(value: str) -> str:
    """A step's name fit to stand in the square brackets of an error block."""
    return one_line(value).replace("]", ")")


def stated(value: str) -> str:
    """A line of an error block, which must not be empty."""
    return one_line(value) or "not given"


@functools.cache
def _environment(root: str) -> jinja2.Environment:
    # Imported late: the command line lists the formats without rendering one.
    import jinja2  # noqa: PLC0415

    kept = user_cache(Path(root))

    class Compiled(jinja2.BytecodeCache):
        """Compiling the template takes longer than auditing a small repository."""

        def load_bytecode(self, bucket: jinja2.bccache.Bucket) -> None:
            value = kept.text(self._name(bucket)) if kept else None
            if value:
                bucket.bytecode_from_string(value)

        def dump_bytecode(self, bucket: jinja2.bccache.Bucket) -> None:
            if kept:
                kept.keep_text(self._name(bucket), bucket.bytecode_to_string())

        def _name(self, bucket: jinja2.bccache.Bucket) -> str:
            return f"template {jinja2.__version__} {bucket.key} {bucket.checksum}"

    source = files("codex_audit.report").joinpath("status.md.j2").read_text(encoding="utf-8")
    environment = jinja2.Environment(
        loader=jinja2.DictLoader({"status.md.j2": source}),
        # Markdown, not HTML: the filters below escape it.
        autoescape=False,  # noqa: S701 # nosec B701
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=jinja2.StrictUndefined,
        bytecode_cache=Compiled(),
    )
    filters = (
        *(
            cell,
            cite,
            code,
            counted,
            counts,
            every_capability,
            evidence_cell,
            gap_cell,
            gaps_cell,
            not_applicable,
            open_findings,
            proof_cell,
            quick_wins,
            tested_cell,
        ),
        *(place, plural, rest, seconds, seeds_by_generator, shorten, stated, step, text),
    )
    environment.filters |= {each.__name__: each for each in filters}
    environment.globals |= {"Answer": Answer, "Status": Status, "Verdict": Verdict}
    return environment


FORMAT = Format("markdown", "STATUS.md", render)
