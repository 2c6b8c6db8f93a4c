"""What belongs to the audited repository, and where evidence points."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from codex_audit.proofs.child import in_tree, place_of

if TYPE_CHECKING:
    import pytest


def test_the_place_of_a_function_is_relative_to_the_root() -> None:
    root = Path(__file__).parents[1]
    place = place_of(test_the_place_of_a_function_is_relative_to_the_root, root)
    assert place is not None
    assert place["path"] == "proofs/test_child.py"
    assert place["snippet"].startswith("def test_the_place_of_a_function")
    assert place_of(Path.cwd, root) is None
    assert place_of(len, root) is None


def test_an_environment_inside_the_repository_is_not_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "prefix", str(tmp_path / ".nox" / "gate"))
    assert in_tree(tmp_path / "src" / "a.py", tmp_path)
    assert not in_tree(tmp_path / ".nox" / "gate" / "lib" / "a.py", tmp_path)
    assert not in_tree(tmp_path / "env" / "site-packages" / "a.py", tmp_path)
    assert not in_tree(tmp_path.parent / "a.py", tmp_path)
    monkeypatch.setattr(sys, "prefix", str(tmp_path.parent))
    assert in_tree(tmp_path / "a.py", tmp_path)
