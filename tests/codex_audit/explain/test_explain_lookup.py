"""`codex-audit explain ID`, by the user's command."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest
from click.testing import CliRunner

from codex_audit.capabilities import accuracy, catalog
from codex_audit.capabilities.accuracy import Accuracy, Figures
from codex_audit.capabilities.catalog import load_catalog
from codex_audit.cli import main
from codex_audit.explain import examples
from codex_audit.outcome import Finding, Level, Outcome, Verdict, write_outcome
from codex_audit.provenance import provenance
from codex_audit.tree.files import list_tree

if TYPE_CHECKING:
    from collections.abc import Callable

    Make = Callable[[dict[str, str]], Path]

HERE = Path(__file__).parents[3]


def explain(*arguments: str) -> str:
    done = CliRunner().invoke(main, ["explain", *arguments])
    assert (done.exit_code, done.stderr) == (0, "")
    return done.stdout


@pytest.mark.parametrize(
    ("identifier", "words"),
    [
        ("checkpointing_resume.retention", ["criterion checkpointing_resume.retention", "Why:", "This counts:", "os.remove(old_checkpoint)  # evidence", "This does not:", "shutil.rmtree(folder)", "Closed by: codex_ml.checkpoint.CheckpointStore", "Accuracy:", "trainer-smoke-cpu:retention: The last"]),
        ("cpu_rng_restored", ["Confirmed or refuted by:", "trainer-smoke-cpu:rng_restored: After a resume", "Asked only where: the subject training is there; else"]),
        ("no_committed_secrets", ["it is read from the code", "Met where: nothing is found that speaks against it"]),
        ("gradient_clipping", ["Met also through:", "transformers.Trainer: max_grad_norm is 1.0 by default"]),
        ("trainer-smoke-cpu", ["gate trainer-smoke-cpu (phase 5)", "resume_bit_exact: "]),
        ("resume_bit_exact", ["check resume_bit_exact", "Gate: trainer-smoke-cpu, trainer-smoke-cuda", "Remedy:"]),
        ("trainer-smoke-cpu:rng_restored", ["check rng_restored", "Confirms or refutes:", "checkpointing_resume.cpu_rng_restored"]),
        ("training", ["subject training", "the repository trains nothing", "training_engine.lr_schedule"]),
        ("service", ["kind service", "this is not there: training", "Inferred where one of these is found"]),
        ("transformers_trainer", ["framework transformers_trainer", "Provides by default:", "Provides where it is turned on:"]),
        ("missing optional dependency", ["cause of an error missing optional dependency", "Remedy:"]),
        ("trainer_smoke_test", ["step trainer_smoke_test", "Phase 5"]),
        ("STALE", ["word STALE", "Never a pass"]),
        ("not run", ["word NOT RUN"]),
        ("tokenizer", ["gate tokenizer", "criterion tokenization.tokenizer", "subject tokenizer"]),
    ],
)  # fmt: skip
def test_an_identifier_is_explained(identifier: str, words: list[str]) -> None:
    text = explain(identifier)
    for word in words:
        assert word in text


def test_all_that_is_listed_can_be_explained() -> None:
    names = [
        line.split(": ")[0].strip()
        for line in explain().splitlines()
        if ": " in line or line.startswith("  ")
    ]
    assert len(names) > 150
    for name in names[::7]:
        assert explain(name)


@pytest.mark.parametrize(
    ("identifier", "near"),
    [
        ("retentoin", "did you mean"),
        ("resume_bit_exat", "resume_bit_exact"),
        ("Stubed", "Stubbed"),
        ("xyzzyx", "`codex-audit explain` lists all"),
    ],
)
def test_what_is_unknown_gives_the_nearest(identifier: str, near: str) -> None:
    done = CliRunner().invoke(main, ["explain", identifier])
    assert (done.exit_code, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert near in done.stderr


def test_a_semgrep_rule_of_the_repository_is_explained(make_tree: Make) -> None:
    rules = (
        "rules:\n  - id: no-print\n    message: do not print\n    severity: WARNING\n"
        "    metadata:\n      references: [https://example.org/why]\n"
    )
    bomb = "rules: [{id: bomb, message: &a [x], metadata: {cwe: [*a, *a], references: [*a]}}]\n"
    root = make_tree(
        {
            "semgrep_rules/python/no-print.yaml": rules,
            "semgrep_rules/bad.yaml": "a: [",
            "semgrep_rules/deep.yaml": "[" * 5000,
            "semgrep_rules/bomb.yaml": bomb,
            "semgrep_rules/list.yaml": "- 1\n",
        }
    )
    assert "It has no message." in explain("bomb", "--root", str(root))
    text = explain("no-print", "--root", str(root))
    assert "semgrep rule no-print\n  do not print" in text
    assert "https://example.org/why" in text
    assert "semgrep_rules/python/no-print.yaml" in text


def test_a_rule_of_a_tool_is_explained_by_the_last_outcome(make_repository: Make) -> None:
    root = make_repository({"a.py": "import os\n"})
    assert CliRunner().invoke(main, ["explain", "F401", "--root", str(root)]).exit_code == 2
    from datetime import UTC, datetime  # noqa: PLC0415

    here = provenance(
        tree=list_tree(root), tools={}, device="cpu", started=datetime.now(UTC), seconds=1.0,
        command="codex-audit gate lint",
    )  # fmt: skip
    finding = Finding("F401", Level.ERROR, "`os` imported but unused", "a.py", 1, "00ff")
    outcome = Outcome(gate="lint", verdict=Verdict.FAIL, findings=(finding,), provenance=here)
    write_outcome(root / ".audit" / "outcomes", outcome)
    text = explain("F401", "--root", str(root))
    assert "A rule of a tool that the gate lint runs." in text
    assert "a.py:1: `os` imported but unused" in text


def test_an_added_criterion_is_explained(make_tree: Make) -> None:
    rules = (
        'id = "house"\ntitle = "House"\nwhy = "w"\n[criteria.card]\nquestion = "Is there a card?"\n'
        'why = "It is found."\ngap = "no card"\nremedy = "Write one."\nimpact = 1\neffort = 1\n'
        'required = true\nmet = [{ call = "card" }]\n'
    )
    root = make_tree(
        {"pyproject.toml": '[tool.codex-audit]\ncatalog = ["a.toml"]\n', "a.toml": rules}
    )
    text = explain("card", "--root", str(root))
    assert "Added by: a.toml" in text
    assert "not measured" in text
    assert "This counts" not in text


def test_each_shipped_criterion_has_examples_and_the_wheel_holds_them() -> None:
    for name, rule in load_catalog().capabilities.items():
        for criterion in rule.criteria:
            for kind in ("meets", "nearly"):
                found = examples.example(name, criterion, kind)
                assert found is not None
                assert found.files
    build = tomllib.loads((HERE / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["hatch"]
    forced = build["build"]["targets"]["wheel"]["force-include"]
    shipped, checkout = examples.PLACES
    assert HERE / next(iter(forced)) == checkout
    assert HERE / "src" / forced[checkout.relative_to(HERE).as_posix()] == shipped


def test_a_doubtful_criterion_is_explained_as_experimental(monkeypatch: pytest.MonkeyPatch) -> None:
    figures = {"training_engine.lr_schedule": Figures(tp=4, fp=1, fn=2, tn=3)}
    monkeypatch.setattr(
        "codex_audit.explain.criterion.load_accuracy", lambda: Accuracy(("a",), figures)
    )
    doubtful = msgspec.structs.replace(
        load_catalog(), experimental=accuracy.experimental(Accuracy(("a",), figures))
    )
    monkeypatch.setattr("codex_audit.explain.lookup.full_catalog", lambda *_: doubtful)
    text = " ".join(explain("lr_schedule").split())
    assert "precision 0.80 (4 of 5 answers `met` are right)" in text
    assert "recall 0.67 (4 of 6 that are there were found); experimental" in text
    assert catalog.load_catalog() is not doubtful
