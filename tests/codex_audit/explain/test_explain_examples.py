"""The examples that `explain` shows, as they are found in a checkout and once installed."""

from __future__ import annotations

import py_compile
from typing import TYPE_CHECKING

import pytest

from codex_audit.explain import examples

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One example, where a package that holds its examples has them."""
    tree = tmp_path / "training_engine" / "training_loop" / "meets"
    tree.mkdir(parents=True)
    monkeypatch.setattr(examples, "PLACES", (tmp_path,))
    return tree


def test_the_files_of_an_example_are_shown_in_order(installed: Path) -> None:
    """Path by path, with what is in them."""
    (installed / "train.py").write_text("loss.backward()\n")
    (installed / "README.md").write_text("# Train\n")
    found = examples.example("training_engine", "training_loop", "meets")
    assert found is not None
    assert list(found.files.items()) == [
        ("README.md", "# Train\n"),
        ("train.py", "loss.backward()\n"),
    ]


def test_what_an_installer_compiled_is_no_part_of_an_example(installed: Path) -> None:
    """Pip compiles all modules of a package, the examples among them: they are not text."""
    (installed / "train.py").write_text("loss.backward()\n")
    beside = (
        installed / "__pycache__" / "train.cpython-311.pyc"
    )  # wherever this Python keeps its own
    py_compile.compile(str(installed / "train.py"), cfile=str(beside), doraise=True)
    assert beside.is_file()
    found = examples.example("training_engine", "training_loop", "meets")
    assert found is not None
    assert list(found.files) == ["train.py"]


def test_an_added_criterion_has_none(installed: Path) -> None:
    """Nothing is made up."""
    assert installed.is_dir()
    assert examples.example("training_engine", "of_my_own", "meets") is None
