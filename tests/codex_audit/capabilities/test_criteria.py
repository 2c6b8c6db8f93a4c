"""Every criterion has a pair of small trees: one that meets it and one that nearly does.

Further pairs beside them, `meets_<idiom>` and `nearly_<idiom>`, hold other ways to write it.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from codex_audit.capabilities.catalog import load_catalog
from codex_audit.records import Answer, Criterion
from codex_audit.scan import scan
from codex_audit.settings import load_settings

FIXTURES = Path(__file__).parents[2] / "fixtures" / "criteria"
KEYS = [
    (capability.id, name)
    for capability in load_catalog().capabilities.values()
    for name in capability.criteria
]


def trees(kind: str) -> list[Path]:
    """The trees of this kind, each criterion's own first: those two must exist."""
    return [
        tree
        for key in KEYS
        for tree in (
            FIXTURES.joinpath(*key, kind),
            *sorted(FIXTURES.joinpath(*key).glob(f"{kind}_*")),
        )
    ]


def name(tree: Path) -> str:
    return ".".join(tree.relative_to(FIXTURES).parts)


def answer(tree: Path, tmp_path: Path) -> Criterion:
    capability, criterion, _ = tree.relative_to(FIXTURES).parts
    root = tmp_path / "repository"
    shutil.copytree(tree, root)  # away from this repository's own git
    result = scan(root, load_settings(root))
    assert result.errors == ()
    return result.capabilities[capability].criteria[criterion]


def test_every_tree_belongs_to_a_criterion() -> None:
    known = {*trees("meets"), *trees("nearly")}
    assert {tree for tree in FIXTURES.glob("*/*/*") if tree.is_dir()} == known


@pytest.mark.parametrize("tree", trees("meets"), ids=name)
def test_a_tree_that_meets_it(tmp_path: Path, tree: Path) -> None:
    found = answer(tree, tmp_path)
    assert found.answer is Answer.MET
    marked = {
        (path.relative_to(tree).as_posix(), number)
        for path in tree.rglob("*.py")
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if line.endswith("# evidence")
    }
    if marked:
        assert (found.evidence[0].path, found.evidence[0].line) in marked


@pytest.mark.parametrize("tree", trees("nearly"), ids=name)
def test_a_tree_that_nearly_meets_it(tmp_path: Path, tree: Path) -> None:
    found = answer(tree, tmp_path)
    assert found.answer in {Answer.UNMET, Answer.NOT_APPLICABLE}
    assert found.evidence == ()
    assert found.gap or found.reason
