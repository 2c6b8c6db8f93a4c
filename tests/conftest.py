"""Shared fixtures: small repositories, made for real."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

GIT_IDENTITY = {
    "GIT_AUTHOR_NAME": "A", "GIT_AUTHOR_EMAIL": "a@example.org",
    "GIT_COMMITTER_NAME": "A", "GIT_COMMITTER_EMAIL": "a@example.org",
    "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull,
}  # fmt: skip


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads what another found, nor what the user's own audits did."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))


def git(root: Path, *arguments: str) -> str:
    """Run git in `root` with an identity of its own and return what it printed."""
    done = subprocess.run(
        ["git", *arguments], cwd=root, env={**os.environ, **GIT_IDENTITY},
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    return done.stdout


@pytest.fixture
def make_tree(tmp_path: Path) -> Callable[[dict[str, str]], Path]:
    """A function that writes files (path -> text) below a fresh directory, without git."""

    def make(files: dict[str, str]) -> Path:
        root = tmp_path / "repository"
        for name, text in files.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(text.encode())
        return root

    return make


@pytest.fixture
def make_repository(
    make_tree: Callable[[dict[str, str]], Path],
) -> Callable[[dict[str, str]], Path]:
    """The same, committed to a git repository."""

    def make(files: dict[str, str]) -> Path:
        root = make_tree(files)
        git(root, "init", "-q", "-b", "main")
        git(root, "add", "-A", "-f")
        git(root, "commit", "-q", "-m", "first")
        return root

    return make
