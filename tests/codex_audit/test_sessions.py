from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from codex_audit.cli import main
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


def test_an_installation_that_fails_leaves_its_cause_and_no_old_outcome(
    make_repository: Make,
) -> None:
    call = 'register(requirements={"lint": ("-r", "absent.txt")})'
    noxfile = NOXFILE.replace("register()", call)
    root = make_repository({"noxfile.py": noxfile, "pyproject.toml": SETTINGS, "a.py": "x = 1\n"})
    outcomes = root / ".audit" / "outcomes"
    outcomes.mkdir(parents=True)
    (outcomes / "lint.json").write_text("{}")
    done = nox(root, "-s", "lint")
    assert done.returncode == 1, done.stdout + done.stderr
    assert [path.name for path in outcomes.iterdir()] == ["lint.not-installed.txt"]
    assert "absent.txt" in (outcomes / "lint.not-installed.txt").read_text()
    assert "absent.txt" in done.stderr
    merged = CliRunner().invoke(main, ["report", "--root", str(root)])
    assert merged.exit_code == 1
    assert "its environment could not be installed: " in merged.output
    # What can be installed, or needs no installation, leaves none.
    assert nox(root, "--no-venv", "-s", "lint").returncode == 0
    assert [path.name for path in outcomes.iterdir()] == ["lint.json"]


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


def test_bytecode_is_kept_with_the_environment_where_it_may_not_lie_beside_sources(
    make_tree: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    noxfile = (
        "import nox\n"
        "from codex_audit.sessions import keep_bytecode\n\n\n"
        "@nox.session\n"
        "def one(session):\n"
        "    keep_bytecode(session)\n"
        '    session.run("python", "-c", "import own")\n'
    )
    root = make_tree({"noxfile.py": noxfile, "own.py": "x = 1\n"})
    monkeypatch.setenv("PYTHONPATH", str(root))
    monkeypatch.delenv("PYTHONPYCACHEPREFIX", raising=False)
    for forbidden in ("1", ""):
        monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", forbidden)
        done = nox(root, "-s", "one")
        assert done.returncode == 0, done.stderr
        kept = list(root.glob(".nox/one/bytecode/**/own.cpython-*.pyc"))
        beside = list(root.glob("__pycache__/own.cpython-*.pyc"))
        assert (len(kept), len(beside)) == ((1, 0) if forbidden else (0, 1))
