"""The command in processes of its own: exit codes, files, one clear line for bad input."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from evaluation_tasks import write_rows, write_task

from codex_ml.evaluation.__main__ import main

if TYPE_CHECKING:
    from pathlib import Path

ROWS = [{"id": f"r{number}", "x": number, "label": number % 3} for number in range(30)]
BODY = 'target = "label"\nmetrics = ["accuracy"]\n'
MODEL = """
from pathlib import Path

def load(checkpoint):
    modulus = int(Path(checkpoint).read_text())
    return lambda rows: [{"prediction": row["x"] % modulus} for row in rows]

NOTHING = None

def broken(checkpoint):
    return None
"""


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    write_task(tmp_path, ROWS, BODY)
    write_rows(
        tmp_path / "p.jsonl", [{"id": row["id"], "prediction": row["label"]} for row in ROWS[3:]]
        + [{"id": row["id"], "prediction": 9} for row in ROWS[:3]],
    )  # fmt: skip
    (tmp_path / "my_model.py").write_text(MODEL)
    (tmp_path / "weights").write_text("3")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    """`python -m codex_ml.evaluation`, which says at its end whether torch was loaded."""
    code = (
        "import atexit, runpy, sys; "
        "atexit.register(lambda: print('torch' in sys.modules)); "
        "runpy.run_module('codex_ml.evaluation', run_name='__main__', alter_sys=True)"
    )
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", code, *arguments],
        capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_a_threshold_sets_the_exit_code_without_loading_torch(
    directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ("--task", "task.toml", "--predictions", "p.jsonl", "--out", "out/results.json")
    done = command(*arguments, "--threshold", "accuracy >= 0.9")
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert (lines[0], lines[-1]) == ("small: 30 examples", "False")  # no torch for predictions
    assert "accuracy 0.9 (95% 0.7" in done.stdout
    assert "holds: accuracy >= 0.9" in done.stdout
    results = json.loads((directory / "out" / "results.json").read_text())
    assert results["passed"]
    assert results["source"]["predictions"] == "p.jsonl"
    thresholds = ("--threshold", "accuracy>=0.9", "--threshold", "accuracy.low>0.9")
    assert main([*arguments, *thresholds]) == 1
    assert "FAILS: accuracy.low > 0.9" in capsys.readouterr().out


def test_a_trained_model_is_loaded_and_judged(directory: Path) -> None:
    arguments = ["--task", "task.toml", "--model", "my_model:load", "--checkpoint", "weights"]
    assert main([*arguments, "--out", "results.json"]) == 0
    results = json.loads((directory / "results.json").read_text())
    assert results["metrics"]["accuracy"]["value"] == 1
    assert results["source"] == {"model": "my_model:load", "checkpoint": "weights"}
    (directory / "weights").write_text("2")
    assert main([*arguments, "--threshold", "accuracy >= 1"]) == 1


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--task", "none.toml"], "error: none.toml: No such file or directory"),
        (["--predictions", "none.jsonl"], "error: none.jsonl: No such file or directory"),
        (["--predictions", "task.toml"], "error: task.toml: its rows cannot be read"),
        (["--out", "p.jsonl/results.json"], "error: p.jsonl: "),
        (["--model", "my_model"], "error: --model my_model: write it as package.module:factory"),
        (["--model", "no_such:load"], "error: --model no_such:load: there is no module"),
        (["--model", "my_model:NOTHING"], "has no function 'NOTHING'"),
        (["--model", "my_model:broken"], "it must return a function of rows"),
        (["--threshold", "bleu > 1"], "error: threshold bleu > 1: the task"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(
    directory: Path, arguments: list[str], named: str, capsys: pytest.CaptureFixture[str]
) -> None:
    defaults = {"--task": "task.toml", "--predictions": "p.jsonl"}
    given = {**defaults, **dict(zip(arguments[::2], arguments[1::2], strict=True))}
    if "--model" in given:
        del given["--predictions"]
    assert main([part for pair in given.items() for part in pair]) == 2
    assert directory.exists()
    message = capsys.readouterr().err
    assert named in message
    assert message.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--threshold", "accuracy"], "'accuracy' is no threshold; write METRIC"),
        (["--confidence", "2"], "confidence=2.0: must lie between 0 and 1"),
        (["--batch-size", "0"], "--batch-size 0: must be at least 1"),
        (["--model", "x:y"], "not allowed with argument"),
    ],
)
def test_bad_arguments_are_refused(
    arguments: list[str], named: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["--task", "task.toml", "--predictions", "p.jsonl", *arguments])
    assert stopped.value.code == 2
    assert named in capsys.readouterr().err
