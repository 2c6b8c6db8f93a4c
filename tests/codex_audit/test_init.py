"""`codex-audit init`: what it finds, what it writes, and that it touches nothing of others."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml
from click.testing import CliRunner

from codex_audit.cli import main
from codex_audit.init import NOXFILE, SETTINGS, WORKFLOW, Done, init
from codex_audit.settings import DEFAULT_GATES, load_settings

if TYPE_CHECKING:
    from collections.abc import Callable

    Make = Callable[[dict[str, str]], Path]

TRAIN = (
    "import torch\n\nmodel = torch.nn.Linear(1, 1)\n"
    "optimizer = torch.optim.SGD(model.parameters(), lr=0.1)\n"
    "for _ in range(9):\n"
    "    loss = model(torch.ones(1)).sum()\n    loss.backward()\n    optimizer.step()\n"
)
PROJECT = '[project]\nname = "kit"\nversion = "1"\n'
TOKENIZER = (Path(__file__).parents[1] / "fixtures" / "tokenizers" / "lowercasing.json").read_text(
    encoding="utf-8"
)
PLAIN = {"a.py": "x = 1\n"}


def register_call(root: Path) -> dict[str, object]:
    """The arguments of the only call in the noxfile."""
    statement = ast.parse((root / NOXFILE).read_text()).body[-1]
    assert isinstance(statement, ast.Expr)
    assert isinstance(statement.value, ast.Call)
    assert ast.unparse(statement.value.func) == "register"
    return {str(word.arg): ast.literal_eval(word.value) for word in statement.value.keywords}


def test_all_three_files_are_written_and_can_be_used(make_repository: Make) -> None:
    root = make_repository({"train.py": TRAIN, "tokenizer.json": TOKENIZER})
    assert [(part.path, part.done) for part in init(root)] == [
        (NOXFILE, Done.WRITTEN), (SETTINGS, Done.WRITTEN), (WORKFLOW, Done.WRITTEN),
    ]  # fmt: skip
    settings = load_settings(root)
    assert settings.gates == DEFAULT_GATES
    assert settings.tokenizer.path == "tokenizer.json"
    assert '# command = "python train.py ' in (root / SETTINGS).read_text()
    assert register_call(root) == {"project": ()}
    jobs = yaml.safe_load((root / WORKFLOW).read_text())["jobs"]
    assert tuple(jobs["gate"]["strategy"]["matrix"]["gate"]) == DEFAULT_GATES
    assert jobs["report"]["needs"] == "gate"
    runs = [step.get("run", "") for step in jobs["gate"]["steps"]]
    assert "nox -s ${{ matrix.gate }}" in runs
    assert any("codex-audit" in run for run in runs)
    assert not any(str(root.parent) in run or "file:" in run for run in runs)


def test_what_is_commented_out_is_valid_once_it_is_not(make_repository: Make) -> None:
    root = make_repository({"train.py": TRAIN, "bpe.py": "class Tokenizer: ...\n"})
    init(root)
    text = (root / SETTINGS).read_text()
    lines = [line.removeprefix("# ") for line in text.splitlines() if " = " in line or "[" in line]
    bare = "\n".join(line for line in lines if not line.startswith("# "))
    (root / SETTINGS).write_text(bare)
    assert load_settings(root).trainer.factory == "your_package.trial:make"
    assert "train.py" in str(load_settings(root).trainer.command)


def test_of_several_tokenizers_none_is_guessed_and_all_are_named(make_repository: Make) -> None:
    root = make_repository({"b/tokenizer.json": TOKENIZER, "a/tokenizer.json": TOKENIZER})
    init(root)
    settings = load_settings(root)
    assert settings.tokenizer.path is None
    assert "tokenizer" in settings.gates
    for name in "ab":
        assert f'# path = "{name}/tokenizer.json"' in (root / SETTINGS).read_text()


def test_gates_without_anything_to_judge_are_left_out_and_named(make_repository: Make) -> None:
    root = make_repository(PLAIN)
    init(root)
    assert load_settings(root).gates == ("lint", "type", "security", "tests")
    text = (root / SETTINGS).read_text()
    assert "# No tokenizer was found" in text
    assert "# Nothing trains here" in text
    jobs = yaml.safe_load((root / WORKFLOW).read_text())["jobs"]
    assert jobs["gate"]["strategy"]["matrix"]["gate"] == ["lint", "type", "security", "tests"]


@pytest.mark.parametrize(
    ("files", "call"),
    [
        ({"pyproject.toml": PROJECT}, {}),
        ({"setup.py": "from setuptools import setup\n\nsetup()\n"}, {}),
        ({"requirements.txt": "torch\n"}, {"project": ("-r", "requirements.txt")}),
        ({"pyproject.toml": "[tool.ruff]\n", "requirements.txt": ""},
         {"project": ("-r", "requirements.txt")}),
        ({"pyproject.toml": "[tool.poetry]\nname = 'kit'\n"}, {}),
        ({"pyproject.toml": "tool = 1\n"}, {"project": ()}),
        ({"pyproject.toml": f"{PROJECT}[project.optional-dependencies]\ntest = []\n"},
         {"requirements": {"tests": ("-e", ".[test]")}}),
        ({"pyproject.toml": f"{PROJECT}[dependency-groups]\ntests = []\ndev = []\n"},
         {"requirements": {"tests": ("--group", "tests")}}),
        ({"setup.cfg": "", "requirements-dev.txt": ""},
         {"requirements": {"tests": ("-r", "requirements-dev.txt")}}),
    ],
)  # fmt: skip
def test_how_the_project_is_installed(
    make_repository: Make, files: dict[str, str], call: dict[str, object]
) -> None:
    root = make_repository({**PLAIN, **files})
    init(root)
    assert register_call(root) == call


def test_a_long_call_is_one_argument_a_line(make_repository: Make) -> None:
    name = "requirements/dev.txt"
    init(root := make_repository({**PLAIN, "requirements.txt": "", name: ""}))
    text = (root / NOXFILE).read_text()
    assert max(map(len, text.splitlines())) < 80
    assert register_call(root)["requirements"] == {"tests": ("-r", name)}


@pytest.mark.parametrize(("wanted", "version"), [(">=3.8", "3.11"), ("~=3.13", "3.13"), ("", "3.11"),
                                                 (">= 3.12,<4", "3.12")])  # fmt: skip
def test_ci_has_a_python_that_both_can_use(
    make_repository: Make, wanted: str, version: str
) -> None:
    root = make_repository({"pyproject.toml": f'{PROJECT}requires-python = "{wanted}"\n'})
    init(root)
    assert f'python-version: "{version}"' in (root / WORKFLOW).read_text()


def test_nothing_of_others_is_touched_and_what_to_add_is_told(make_repository: Make) -> None:
    noxfile = "import nox\n\n@nox.session\ndef lint(session): ...\n\n@nox.session(name='x')\ndef tests(session): ...\n"
    files = {"train.py": TRAIN, NOXFILE: noxfile, SETTINGS: PROJECT, WORKFLOW: "on: push\n"}
    root = make_repository(files)
    done = CliRunner().invoke(main, ["init", str(root)])
    assert done.exit_code == 0
    assert {name: (root / name).read_text() for name in files} == files
    assert "noxfile.py: to be added by hand; it has sessions of the same name (lint)" in done.output
    assert "from codex_audit.sessions import register\n\nregister()" in done.output
    assert "pyproject.toml: to be added by hand\n\n[tool.codex-audit]" in done.output
    assert "nox -s audit-report" in done.output
    parts = {part.path: part for part in init(root)}
    assert parts[SETTINGS].done is Done.TO_ADD
    (root / SETTINGS).write_text(PROJECT + "\n" + parts[SETTINGS].text)
    assert tomllib.loads((root / SETTINGS).read_text())["project"]["name"] == "kit"
    assert {part.path: part.done for part in init(root)}[SETTINGS] is Done.THERE


def test_a_second_time_there_is_nothing_to_do(make_repository: Make) -> None:
    root = make_repository(PLAIN)
    init(root)
    before = {path: path.read_bytes() for path in root.rglob("*.*") if path.is_file()}
    assert {part.done for part in init(root)} == {Done.THERE}
    assert "There was nothing to do." in CliRunner().invoke(main, ["init", str(root)]).output
    assert {path: path.read_bytes() for path in before} == before


def test_gates_that_settings_name_are_those_of_the_workflow(make_repository: Make) -> None:
    text = '[tool.codex-audit]\ngates = ["lint", "tokenizer"]\nout = "out/audit"\n'
    root = make_repository({**PLAIN, SETTINGS: text})
    init(root)
    workflow = (root / WORKFLOW).read_text()
    assert "gate: [lint, tokenizer]" in workflow
    assert "path: out/audit/outcomes" in workflow
    assert "out/audit/STATUS.md" in (root / NOXFILE).read_text()


def test_a_workflow_below_the_top_of_a_repository_is_told(make_repository: Make) -> None:
    root = make_repository({"part/a.py": "x = 1\n", **PLAIN})
    assert "GitHub reads it only in" in init(root / "part")[2].note
    assert "GitHub" not in init(root)[2].note


def test_a_link_that_leads_nowhere_is_not_followed(make_repository: Make) -> None:
    root = make_repository(PLAIN)
    outside = root.parent / "outside.py"
    (root / NOXFILE).symlink_to(outside)
    done = CliRunner().invoke(main, ["init", str(root)])
    assert done.exit_code == 2
    assert not outside.exists()


@pytest.mark.parametrize(
    ("files", "place", "words"),
    [
        ({}, "no/such", "no such directory"),
        ({"a.py": ""}, "a.py", "is a file"),
        ({SETTINGS: "[tool.codex-audit\n"}, ".", "not valid TOML"),
        ({SETTINGS: "[tool.codex-audit]\ngate = 1\n"}, ".", "did you mean 'gates'?"),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(
    make_tree: Make, files: dict[str, str], place: str, words: str
) -> None:
    root = make_tree({"b.py": "", **files})
    done = CliRunner().invoke(main, ["init", str(root / place)])
    assert (done.exit_code, done.output.count("\n")) == (2, 1)
    assert words in done.output
    assert sorted(path.name for path in root.iterdir()) == sorted({"b.py", *files})


def test_what_it_writes_runs(make_repository: Make) -> None:
    root = make_repository(PLAIN)
    init(root)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"

    def nox(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "nox", "--no-venv", *arguments],
            cwd=root, env={**os.environ, "PATH": path}, capture_output=True, text=True, check=False,
        )  # fmt: skip

    lint = nox("-s", "lint")
    assert lint.returncode == 0, lint.stdout + lint.stderr
    assert (root / ".audit" / "outcomes" / "lint.json").is_file()
    report = nox("-s", "audit-report")
    assert report.returncode == 1  # three required gates did not run
    assert "PASS     lint" in report.stdout
    assert (root / ".audit" / "STATUS.md").is_file()
