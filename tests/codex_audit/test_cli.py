from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from codex_audit.cli import main

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Make = Callable[[dict[str, str]], Path]


def run(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """The command as a user starts it: a process of its own."""
    return subprocess.run(
        [sys.executable, "-W", "error", "-m", "codex_audit", *arguments],
        cwd=cwd, capture_output=True, text=True, check=False, env=os.environ,
    )  # fmt: skip


def test_scan_prints_the_document_and_writes_the_answers(
    make_repository: Make, tmp_path: Path
) -> None:
    root = make_repository({"train.py": "import torch\ntorch.manual_seed(1)\n"})
    answers = tmp_path / "answers.json"
    done = run("scan", str(root), "--json", str(answers))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("# repository Offline Audit Status\n")
    capabilities = json.loads(answers.read_text())["capabilities"]
    assert len(capabilities) == 13
    clipping = capabilities["training_engine"]["criteria"]["gradient_clipping"]
    assert set(clipping) >= {"answer", "proof", "evidence", "gap", "remedy"}


def test_answers_go_into_a_pipe_or_a_stream_and_not_in_its_place(
    make_repository: Make, tmp_path: Path
) -> None:
    root, pipe, got = make_repository({"a.py": "x = 1\n"}), tmp_path / "pipe", tmp_path / "got"
    os.mkfifo(pipe)
    with got.open("wb") as sink, subprocess.Popen(["cat", str(pipe)], stdout=sink):
        assert run("scan", str(root), "--json", str(pipe)).returncode == 0
    assert pipe.is_fifo()
    assert json.loads(got.read_bytes())["project"] == "repository"
    done = run("scan", str(root), "--json", "/proc/self/fd/1", "--format", "sarif")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith('{\n  "schema_version"')


@pytest.mark.parametrize("name", ["json", "sarif"])
def test_scan_prints_other_formats(make_repository: Make, name: str) -> None:
    done = run("scan", str(make_repository({"a.py": "x = 1\n"})), "--format", name)
    assert json.loads(done.stdout)


def test_scan_fails_on_gaps_when_asked_to(make_repository: Make) -> None:
    root = str(make_repository({"a.py": "x = 1\n"}))
    assert run("scan", root, "--fail-on", "gaps").returncode == 1
    assert run("scan", root, "--fail-on", "missing").returncode == 1
    assert run("scan", root).returncode == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["scan", "no/such/place"], ["no/such/place", "no such directory"]),
        (["gate", "lnt"], ["no gate 'lnt'", "lint"]),
        (["explain", "retentoin"], ["nothing is called 'retentoin'", "retention"]),
        (["report", "--root", "no/such"], ["no such directory"]),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(
    tmp_path: Path, arguments: list[str], words: list[str]
) -> None:
    done = run(*arguments, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    for word in words:
        assert word in done.stderr


def test_an_interrupt_ends_it_with_one_line_and_the_shells_code(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def interrupted(_root: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("codex_audit.projects.audited", interrupted)
    done = CliRunner().invoke(main, ["scan", str(tmp_path)])
    assert (done.exit_code, done.output) == (130, "\ncodex-audit: interrupted\n")


def test_bad_settings_are_one_line_and_write_nothing(make_tree: Make) -> None:
    root = make_tree({"pyproject.toml": "[tool.codex-audit]\nprojekt = 1\n"})
    for arguments in (["scan", "."], ["gate", "lint"], ["report"]):
        done = run(*arguments, cwd=root)
        assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
        assert "projekt" in done.stderr
    assert [path.name for path in root.iterdir()] == ["pyproject.toml"]


def test_a_document_that_cannot_be_written_is_one_line(
    make_repository: Make, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    root = make_repository({"a.py": "x = 1\n"})
    done = run("scan", str(root), "--json", str(tmp_path / "file" / "answers.json"))
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("identifier", "words"),
    [
        ("gradient_clipping", ["Why", "Remedy"]),
        ("training_engine.gradient_clipping", ["clip"]),
        ("training_engine", ["gradient_clipping"]),
        ("lint", ["gate lint", "Why"]),
    ],
)
def test_explain(identifier: str, words: list[str]) -> None:
    done = run("explain", identifier)
    assert done.returncode == 0
    for word in words:
        assert word in done.stdout


def test_explain_lists_everything() -> None:
    text = run("explain").stdout
    assert "trainer-smoke-cpu" in text
    assert "security_safety.no_committed_secrets" in text


def test_help_and_scan_do_not_import_torch(make_repository: Make) -> None:
    root = make_repository({"a.py": "import torch\n"})
    code = (
        "import sys; sys.argv = ['codex-audit', *sys.argv[1:]]\n"
        "from codex_audit.cli import main\n"
        "try:\n    main()\nfinally:\n    print([m for m in ('torch', 'codex_ml', 'a') if m in sys.modules], file=sys.stderr)\n"
    )
    for arguments in (["--help"], ["scan", str(root)]):
        done = subprocess.run(
            [sys.executable, "-c", code, *arguments],
            capture_output=True,
            text=True,
            check=True,
            cwd=root,
        )
        assert done.stderr == "[]\n"


def test_gate_and_report_end_to_end(make_repository: Make) -> None:
    root = make_repository(
        {
            "a.py": "import os\n",
            "pyproject.toml": '[tool.codex-audit]\ngates = ["lint"]\n[tool.ruff.lint]\nselect = ["F"]\n',
        }
    )
    red = run("gate", "lint", cwd=root)
    assert red.returncode == 1, red.stderr
    assert "F401" in red.stdout
    merged = run("report", cwd=root)
    assert merged.returncode == 1
    assert "lint (FAIL)" in merged.stdout
    document = (root / ".audit" / "STATUS.md").read_text()
    assert "F401" in document
    assert sorted(path.name for path in (root / ".audit").glob("[!.]*.*")) == [
        "STATUS.md", "manifest.json", "status.json", "status.sarif",
    ]  # fmt: skip
    (root / "a.py").write_text("x = 1\n")
    assert "lint (STALE)" in run("report", cwd=root).stdout
    assert run("gate", "lint", cwd=root).returncode == 0
    green = run("report", cwd=root)
    assert (green.returncode, green.stdout.strip().splitlines()[-1]) == (
        0, "repository: PASS: all 1 required gates passed",
    )  # fmt: skip
