"""Files that the README names, and that they come first as evidence."""

from __future__ import annotations

from typing import TYPE_CHECKING

from codex_audit.scan import scan
from codex_audit.settings import load_settings
from codex_audit.tree.files import list_tree
from codex_audit.tree.readme import named_in_readme

if TYPE_CHECKING:
    from pathlib import Path

STEP = "def train(loss, optimizer):\n    loss.backward()\n    optimizer.step()\n"


def test_names_are_counted_without_their_folders(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "README.md").write_text("python other.py\n")
    (tmp_path / "README.md").write_text(
        "Run `python src/train-all.py --config a.yaml`, then train-all.py; not pytrain.pyc.\n"
    )
    assert named_in_readme(list_tree(tmp_path)) == {"train-all.py": 2, "a.yaml": 1}


def test_a_word_of_a_megabyte_hides_nothing(tmp_path: Path) -> None:
    # Tried from each of its letters, it would take half an hour.
    (tmp_path / "README.md").write_text(f"![]({'a' * 1_000_000})\n\n    python train.py\n")
    assert named_in_readme(list_tree(tmp_path)) == {"train.py": 1}


def test_without_a_readme_nothing_is_named(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(STEP)
    assert not named_in_readme(list_tree(tmp_path))


def test_what_the_readme_names_is_cited_first(tmp_path: Path) -> None:
    for name in ("first.py", "second.py"):
        (tmp_path / name).write_text(STEP)
    assert _cited(tmp_path) == ["first.py", "second.py"]
    (tmp_path / "README.md").write_text("# A trainer\n\n    python second.py\n")
    assert _cited(tmp_path) == ["second.py", "first.py"]


def _cited(root: Path) -> list[str]:
    capability = scan(root, load_settings(root)).capabilities["training_engine"]
    return [one.path for one in capability.criteria["training_loop"].evidence]
