"""What a nursery imports for all its children, and what it leaves to them."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest

from codex_audit.proofs.children import Children
from codex_audit.proofs.nursery import slow_modules

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

JOB = """
import sys

def job(spec, report):
    report({"there": sorted({"quiet", "threaded", "broken", "after"} & set(sys.modules))})
"""
THREADED = """
import threading
threading.Thread(target=threading.Event().wait, daemon=True).start()
"""


@pytest.fixture
def children(tmp_path: Path) -> Iterator[Children]:
    root, scratch = tmp_path / "root", tmp_path / "scratch"
    root.mkdir()
    scratch.mkdir()
    sources = {"told": JOB, "quiet": "", "threaded": THREADED, "broken": "1 / 0", "after": ""}
    for name, source in sources.items():
        (root / f"{name}.py").write_text(source)
    with Children(root, scratch, timeout=60, nurse=True) as made:
        yield made


@pytest.mark.parametrize(
    ("tried", "there"),
    [
        (["quiet", "after"], ["after", "quiet"]),
        (["quiet", "threaded"], []),
        (["broken", "after"], []),
    ],
)
def test_modules_are_imported_once_for_all_unless_one_does_harm(
    children: Children, tried: list[str], there: list[str]
) -> None:
    children.try_to_preload(tried)
    for number in (1, 2):
        children.start(f"run{number}", "told", {})
        assert children.wait(f"run{number}") == {"there": there}


def test_only_modules_of_installed_libraries_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = set(sys.modules)
    files: dict[str, Any] = {
        "library_of_it": tmp_path.parent / "lib/site-packages/library_of_it.py",
        "own_module": tmp_path / "own_module.py",
        "standard": tmp_path.parent / "lib/standard.py",
        "without_file": None,
    }
    for name, file in files.items():
        module = ModuleType(name)
        module.__file__ = None if file is None else str(file)
        monkeypatch.setitem(sys.modules, name, module)
    assert slow_modules(before, tmp_path) == ["library_of_it"]
    assert slow_modules({*before, "library_of_it"}, tmp_path) == []
