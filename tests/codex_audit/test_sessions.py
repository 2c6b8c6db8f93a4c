from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from codex_audit.sessions import _with_extra

if TYPE_CHECKING:
    from collections.abc import Callable

    Make = Callable[[dict[str, str]], Path]

NOXFILE = "from codex_audit.sessions import register\n\nregister()\n"
SETTINGS = '[tool.codex-audit]\ngates = ["lint"]\n[tool.ruff.lint]\nselect = ["F"]\n'


def nox(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    # as in an activated environment
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        [sys.executable, "-m", "nox", *arguments],
        cwd=root,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_noxfile_of_one_call_has_every_gate_and_its_line(make_repository: Make) -> None:
    done = nox(make_repository({"noxfile.py": NOXFILE}), "-l")
    assert done.returncode == 0, done.stderr
    for line in (
        "lint [gate] -> ",
        "trainer-smoke-cuda [gate] -> ",
        "audit-report -> ",
        "* audit -> Run every gate",
    ):
        assert line in done.stdout


@pytest.mark.parametrize(("source", "code"), [("x = 1\n", 0), ("import os\n", 1)])
def test_audit_runs_the_gates_of_another_repository_and_reports_also_after_a_failure(
    make_repository: Make, source: str, code: int
) -> None:
    root = make_repository({"noxfile.py": NOXFILE, "pyproject.toml": SETTINGS, "a.py": source})
    done = nox(root, "--no-venv", "-s", "audit")
    assert done.returncode == code, done.stdout + done.stderr
    assert (root / ".audit" / "STATUS.md").is_file()
    assert f"repository: {'FAIL' if code else 'PASS'}" in done.stdout


@pytest.mark.parametrize(
    ("source", "requirement"),
    [
        ("codex-audit==0.1", "codex-audit[lint]==0.1"), ("codex-audit", "codex-audit[lint]"),
        ("codex-audit @ file:///x", "codex-audit[lint] @ file:///x"),
    ],
)  # fmt: skip
def test_an_extra_is_put_where_it_belongs(source: str, requirement: str) -> None:
    assert _with_extra(source, "lint") == requirement
    assert _with_extra(source, "") == source
