"""Every criterion has a pair of small trees: one that meets it and one that nearly does."""

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


def answer(tree: Path, tmp_path: Path, capability: str, criterion: str) -> Criterion:
    root = tmp_path / "repository"
    shutil.copytree(tree, root)  # away from this repository's own git
    result = scan(root, load_settings(root))
    assert result.errors == ()
    return result.capabilities[capability].criteria[criterion]


@pytest.mark.parametrize(("capability", "criterion"), KEYS, ids=[".".join(key) for key in KEYS])
def test_a_tree_that_meets_it(tmp_path: Path, capability: str, criterion: str) -> None:
    tree = FIXTURES / capability / criterion / "meets"
    found = answer(tree, tmp_path, capability, criterion)
    assert found.answer is Answer.MET
    marked = {
        (path.relative_to(tree).as_posix(), number)
        for path in tree.rglob("*.py")
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if line.endswith("# evidence")
    }
    if marked:
        assert (found.evidence[0].path, found.evidence[0].line) in marked


@pytest.mark.parametrize(("capability", "criterion"), KEYS, ids=[".".join(key) for key in KEYS])
def test_a_tree_that_nearly_meets_it(tmp_path: Path, capability: str, criterion: str) -> None:
    found = answer(FIXTURES / capability / criterion / "nearly", tmp_path, capability, criterion)
    assert found.answer in {Answer.UNMET, Answer.NOT_APPLICABLE}
    assert found.evidence == ()
    assert found.gap or found.reason
