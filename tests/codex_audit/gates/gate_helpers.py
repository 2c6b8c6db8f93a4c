"""Small real repositories, and real processes in the place of tools that misbehave."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

from codex_audit.gates.base import Context
from codex_audit.settings import load_settings

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def make_repo(tmp_path: Path, files: dict[str, str]) -> Path:
    """Write `files` into a git repository of their own, and commit them."""
    root = tmp_path / "repo"
    root.mkdir()
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    for command in (
        ["init", "-q"],
        ["add", "-A"],
        ["-c", "user.name=t", "-c", "user.email=t@t", "commit", "-q", "-m", "first"],
    ):
        subprocess.run(["git", *command], cwd=root, check=True)
    return root


def make_context(root: Path, *args: str, timeout: float = 120) -> Context:
    """The context that the runner would give a gate on `root`."""
    settings = load_settings(root)
    scratch = root / settings.out / "scratch"
    scratch.mkdir(parents=True, exist_ok=True)
    (root / settings.out / ".gitignore").write_text("*\n")
    return Context(root, settings, args, scratch, timeout)


def fake_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """Let gates start a shell script where they would start this Python."""
    path = tmp_path / "fake-python"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    monkeypatch.setattr("sys.executable", str(path))


def fake_bare_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let gates start a Python that has nothing installed."""
    fake_python(tmp_path, monkeypatch, f'exec "{sys.executable}" -I -S "$@"')
