"""Commit, packages and configuration hashes."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from codex_ml import environment

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def test_a_commit_and_its_dirt_are_seen(
    make_repository: Callable[[dict[str, str]], Path], tmp_path: Path
) -> None:
    root = make_repository({"a.txt": "one"})
    head = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=root, check=True, capture_output=True, text=True
    ).stdout.strip()
    assert environment.git_state(root) == (head, False)
    other = tmp_path / "clone"
    subprocess.run(["git", "clone", "-q", root, other], check=True)
    (other / "a.txt").write_text("two")
    assert environment.git_state(other) == (head, True)


def test_outside_git_there_is_no_commit(tmp_path: Path) -> None:
    assert environment.git_state(tmp_path) == (None, None)


def test_the_hash_of_a_configuration_ignores_order_and_nothing_else() -> None:
    assert environment.config_hash({"a": 1, "b": [1, 2]}) == environment.config_hash(
        {"b": [1, 2], "a": 1}
    )
    assert environment.config_hash({"a": 1}) != environment.config_hash({"a": 2})
    with pytest.raises(TypeError):
        environment.config_hash({"a": object()})


def test_the_program_s_commit_counts_wherever_it_is_started_from(
    make_repository: Callable[[dict[str, str]], Path], tmp_path: Path
) -> None:
    program = "from codex_ml.environment import git_state\nprint(git_state())\n"
    root = make_repository({"train.py": program})
    elsewhere, outside = tmp_path / "elsewhere", tmp_path / "outside"
    subprocess.run(["git", "clone", "-q", root, elsewhere], check=True)
    (elsewhere / "train.py").write_text("pass  # dirty")
    outside.mkdir()
    (outside / "train.py").write_text(program)

    def told(*arguments: str, start: Path) -> object:
        done = subprocess.run(
            [sys.executable, *arguments], cwd=start, check=True, capture_output=True, text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
        )  # fmt: skip
        return ast.literal_eval(done.stdout)

    own = environment.git_state(root)
    assert own[0] is not None
    assert told(str(root / "train.py"), start=elsewhere) == own
    assert told(str(root / "train.py"), start=outside) == own
    assert told(str(outside / "train.py"), start=root) == own
    assert told("-c", program, start=elsewhere) == (own[0], True)


def test_the_manifest_names_what_is_installed() -> None:
    found = environment.manifest()
    assert found["packages"]["torch"].startswith("2.")
    assert (found["git_commit"], found["git_dirty"]) == environment.git_state()
    assert found["python"].startswith("3.")
