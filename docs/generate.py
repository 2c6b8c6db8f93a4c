"""Write the generated pages of this folder; `--check` only says which are out of date."""

from __future__ import annotations

import sys
from collections import defaultdict
from pathlib import Path

from codex_audit.capabilities.accuracy import (
    DOUBTFUL_PRECISION,
    ENOUGH_ANSWERS,
    Figures,
    load_accuracy,
)
from codex_audit.capabilities.catalog import load_catalog
from codex_audit.gates.base import all_gates
from codex_audit.proofs.proof import Proof, battery
from codex_audit.report.schema import schema_text

HERE = Path(__file__).parent


def criteria_page() -> str:
    """The criteria reference, from the catalog."""
    catalog, accuracy = load_catalog(), load_accuracy()
    count = sum(len(rule.criteria) for rule in catalog.capabilities.values())
    lines = [
        "# Criteria",
        "",
        f"{len(catalog.capabilities)} capabilities, {count} criteria. A capability is",
        "`Implemented` when every required criterion (marked *) that applies is met, none refuted.",
        "`codex-audit explain ID` says more of each, with examples of what counts and what not.",
        "",
        f"Right and found are counted over {len(accuracy.repositories)} labelled repositories:",
        "how many answers `met` are right, and how many that are there were found. A criterion",
        f"with at least {ENOUGH_ANSWERS} answers `met`, of which under {DOUBTFUL_PRECISION:.0%}",
        "are right, is experimental: shown, and neither graded nor among the quick wins and the",
        "results in SARIF.",
    ]
    for rule in catalog.capabilities.values():
        lines += ["", f"## {rule.id}", "", f"{rule.title}. {rule.why}", ""]
        lines += [
            "| criterion | question | why | remedy | right | found |",
            "|---|---|---|---|---|---|",
        ]
        for name, one in rule.criteria.items():
            key = f"{rule.id}.{name}"
            mark = ("\\*" if one.required else "") + (
                " (experimental)" if key in catalog.experimental else ""
            )
            remedy = f"{one.remedy} Kit: `{one.kit}`." if one.kit else one.remedy
            figures = accuracy.criteria.get(key, Figures())
            cells = [
                *(f"`{name}`{mark}", one.question, one.why, remedy),
                f"{figures.tp}/{figures.tp + figures.fp}",
                f"{figures.tp}/{figures.tp + figures.fn}",
            ]
            lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def frameworks_page() -> str:
    """The frameworks reference: each claim with its versions and where it can be read."""
    frameworks = load_catalog().frameworks
    count = sum(len(rule.claims) for rule in frameworks.values())
    lines = [
        "# Frameworks",
        "",
        f"What {len(frameworks)} frameworks provide: {count} claims. A claim counts where the use",
        "that it needs is found, and for the lowest version that the requirements allow: what an",
        "installation needs before extras, the lowest bound of several files. Where no requirement",
        "names a version the newest counts, or the newest that the code can still run with. A",
        "reference is a distribution, its version, a file in it and what is found there;",
        "`benchmarks/framework_references.py` looks each one up.",
    ]
    for name, rule in frameworks.items():
        version = f" Version: that of `{'`, `'.join(rule.packages)}`." if rule.packages else ""
        lines += ["", f"## {rule.title}", "", f"`{name}.toml`.{version}", ""]
        lines += ["| criteria | claim | needs | versions | reference |", "|---|---|---|---|---|"]
        for claim in rule.claims:
            reference = claim.reference
            cells = [
                ", ".join(f"`{key}`" for key in claim.criteria),
                claim.text,
                ", ".join(claim.needs),
                claim.versions,
                reference if reference.startswith("https://") else f"`{reference}`",
            ]
            lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def gates_page() -> str:
    """The gates reference, from their declarations."""
    lines = [
        "# Gates",
        "",
        "`codex-audit gate NAME`, or `nox -s NAME` where the sessions are set up.",
    ]
    for gate in sorted(all_gates().values(), key=lambda one: (one.phase, one.name)):
        lines += ["", f"## {gate.name}", "", f"{gate.title}. Phase {gate.phase}.", "", gate.why]
    return "\n".join(lines) + "\n"


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:].removesuffix('.')}."


def proofs_page() -> str:
    """The proofs of both batteries, from their declarations."""
    lines = [
        "# Proofs",
        "",
        "What the gates `tokenizer`, `trainer-smoke-cpu` and `trainer-smoke-cuda` try. One ends",
        "`pass`, `fail` with the cause, `declared-limit` with the subject's reason, `skip` with",
        "ours, or `error`. A gate given names of proofs tries only these.",
    ]
    judged: dict[str, list[str]] = defaultdict(list)
    for rule in load_catalog().capabilities.values():
        for name, one in rule.criteria.items():
            for key in one.proven_by:
                judged[key.partition(":")[2]].append(f"`{rule.id}.{name}`")
    for title, package in (
        ("Trainers", "codex_audit.proofs.trainer.battery"),
        ("Tokenizers", "codex_audit.proofs.tokenizer.battery"),
    ):
        lines += ["", f"## {title}"]
        for proof in battery(package, Proof).values():
            criteria = sorted(set(judged.get(proof.id, ())))
            lines += ["", f"### {proof.id}", "", _sentence(proof.claim), "", proof.why, ""]
            lines += [f"- Written for: {fault.removesuffix('.')}." for fault in proof.catches]
            lines += [f"- Remedy: {_sentence(proof.remedy)}"]
            lines += [f"- Confirms or refutes: {', '.join(criteria)}."] if criteria else []
    return "\n".join(lines) + "\n"


KINDS = """# Kinds of repository

What kind of repository this is stands in the document's Repo Map Summary, in `status.json`
(`kind`), in SARIF's properties and on the terminal, with the lines that show it.

It is inferred from the code: the first kind of this table that holds, from the top. One that
holds besides and is worth a word is named as well. The rules are in `capabilities/kinds.toml`.

{table}

## What it decides

A criterion does not apply where what it is about is absent. Where the kind is inferred, the code
alone decides that (`subjects.toml`), and the reason names the kind and its line: "the repository
trains nothing (kind: service: app/main.py:3)". An inferred kind never takes away what the code
shows.

Settings override it:

```toml
[tool.codex-audit]
kind = "service"
```

A declared kind binds. What it is without does not apply, even where the code shows some: a small
training script in a service is then not held against it. What it has applies, even where no code
for it was found. Everything else is left to the code. The document says "declared in
pyproject.toml", and what the code reads as where that is another kind. A kind that is without
training cannot be declared beside `trainer.factory`, nor one that is without a tokenizer beside
`tokenizer.path`. A declared kind is that of its own directory: [projects](projects.md) below it
don't inherit it.
"""


def kinds_page() -> str:
    """The kinds of repository, from their rules."""
    rows = ["| kind | what it is | declared: has | declared: is without |", "|---|---|---|---|"]
    for name, rule in load_catalog().kinds.items():
        lists = [", ".join(subjects) for subjects in (rule.has, rule.without)]
        rows.append(f"| `{name}` | {rule.title}: {rule.means} | {lists[0]} | {lists[1]} |")
    return KINDS.replace("{table}", "\n".join(rows))


def pages() -> dict[str, str]:
    """Every generated file of this folder: name -> content."""
    return {
        "criteria.md": criteria_page(),
        "frameworks.md": frameworks_page(),
        "gates.md": gates_page(),
        "proofs.md": proofs_page(),
        "kinds.md": kinds_page(),
        "outcome.schema.json": schema_text(),
    }


def main(arguments: list[str]) -> int:
    """Write all, or with `--check` name those that are out of date and return 1."""
    stale = [
        name
        for name, text in pages().items()
        if not (HERE / name).exists() or (HERE / name).read_text(encoding="utf-8") != text
    ]
    if "--check" not in arguments:
        for name in stale:
            (HERE / name).write_text(pages()[name], encoding="utf-8")
    verb = "out of date" if "--check" in arguments else "written"
    print(f"{verb}: {', '.join(stale)}" if stale else "all pages are up to date")
    return 1 if stale and "--check" in arguments else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
