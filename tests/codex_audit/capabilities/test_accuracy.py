"""The shipped figures are those of the labels, and doubtful criteria are shown but not graded."""

from __future__ import annotations

import tomllib
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest
from click.testing import CliRunner

from codex_audit.capabilities.accuracy import Accuracy, Figures, experimental, load_accuracy
from codex_audit.capabilities.catalog import load_catalog
from codex_audit.capabilities.grading import grade
from codex_audit.cli import main
from codex_audit.outcome import Evidence
from codex_audit.records import Answer, Criterion, Proof, Status

if TYPE_CHECKING:
    from collections.abc import Callable

LABELS = Path(__file__).parents[3] / "benchmarks" / "accuracy" / "labels"


def test_the_figures_count_what_the_labels_say() -> None:
    accuracy = load_accuracy()
    there: Counter[str] = Counter()
    absent: Counter[str] = Counter()
    for name in accuracy.repositories:
        data = tomllib.loads((LABELS / f"{name}.toml").read_text(encoding="utf-8"))
        for capability, criteria in data.items():
            for criterion, label in criteria.items() if isinstance(criteria, dict) else ():
                if label["a"] != "?":
                    (there if label["a"] == "y" else absent)[f"{capability}.{criterion}"] += 1
    assert accuracy.repositories
    assert {
        key: one.tp + one.fn for key, one in accuracy.criteria.items() if one.tp + one.fn
    } == there
    assert {
        key: one.fp + one.tn for key, one in accuracy.criteria.items() if one.fp + one.tn
    } == absent
    known = {
        f"{rule.id}.{name}"
        for rule in load_catalog().capabilities.values()
        for name in rule.criteria
    }
    assert set(accuracy.criteria) <= known


@pytest.mark.parametrize(
    ("figures", "doubtful"),
    [
        (Figures(tp=4, fp=1), True),
        (Figures(tp=3, fp=1), False),  # too few answers to tell
        (Figures(tp=9, fp=1), False),
        (Figures(tp=8, fp=1), True),
        (Figures(fn=9), False),
        (Figures(), False),
    ],
)
def test_what_is_experimental(figures: Figures, doubtful: bool) -> None:
    assert figures.experimental is doubtful
    assert experimental(Accuracy(("a",), {"x.y": figures})) == ({"x.y"} if doubtful else set())


def criterion(name: str, answer: Answer, **changes: object) -> Criterion:
    evidence = (Evidence("a.py", 1, "x"),) if answer is Answer.MET else ()
    made = Criterion(
        id=name, question="?", answer=answer, required=True, impact=1, effort=1, evidence=evidence
    )
    return msgspec.structs.replace(made, **changes)


def test_an_experimental_criterion_is_not_graded() -> None:
    met = criterion("met", Answer.MET)
    doubtful = criterion("doubtful", Answer.UNMET, experimental=True)
    refuted = msgspec.structs.replace(doubtful, proof=Proof.REFUTED)

    def status(*given: Criterion) -> Status:
        return grade({each.id: each for each in given}, (), trains=True)

    assert status(met, doubtful) is Status.IMPLEMENTED
    assert status(met, msgspec.structs.replace(doubtful, experimental=False)) is Status.PARTIALLY
    assert (
        status(criterion("unmet", Answer.UNMET), criterion("m", Answer.MET, experimental=True))
        is Status.MISSING
    )
    assert status(met, refuted) is Status.PARTIALLY  # a gate knows better than any rule


def test_an_experimental_criterion_is_shown_and_counts_nowhere(
    make_repository: Callable[[dict[str, str]], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    root = str(make_repository({"a.py": "x = 1\n", "Dockerfile": "FROM python\n"}))
    key = "deployment.base_image_pinned"
    plain = CliRunner().invoke(main, ["scan", root]).stdout
    sarif = CliRunner().invoke(main, ["scan", root, "--format", "sarif"]).stdout
    assert "**deployment · base_image_pinned**" in plain
    assert key in sarif
    marked = msgspec.structs.replace(load_catalog(), experimental=frozenset({key}))
    monkeypatch.setattr("codex_audit.capabilities.extension.load_catalog", lambda: marked)
    again = ["scan", root, "--no-cache"]  # the key of an audit knows of no patched catalog
    shown = CliRunner().invoke(main, again).stdout
    assert "`base_image_pinned` (required) (experimental)" in shown
    assert "**deployment · base_image_pinned**" not in shown
    assert key not in CliRunner().invoke(main, [*again, "--format", "sarif"]).stdout

    def row(text: str) -> str:
        return next(line for line in text.splitlines() if line.startswith("| deployment |"))

    assert row(plain) != row(shown)
