"""The command that loads a model and answers rows."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import pytest

from codex_ml.predict import main

if TYPE_CHECKING:
    from pathlib import Path

MODEL = """
from pathlib import Path
from codex_ml.checkpoint import CheckpointStore

def load(checkpoint):
    scale = int(Path(checkpoint).read_text())
    return lambda rows: [{"prediction": scale * len(row["text"]), "of": len(rows)} for row in rows]

def short(checkpoint):
    return lambda rows: []

def from_store(checkpoint):
    return CheckpointStore(checkpoint).load()
"""


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "lengths.py").write_text(MODEL)
    (tmp_path / "weights").write_text("10")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "lengths", raising=False)
    return tmp_path


def test_rows_of_a_file_are_answered_in_order_with_their_ids(
    directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = [{"id": f"r{n}", "text": "x" * n} for n in range(3)] + [{"text": "vier"}]
    (directory / "rows.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    arguments = ["--model", "lengths:load", "--checkpoint", "weights", "--rows", "rows.jsonl"]
    assert main([*arguments, "--batch-size", "3"]) == 0
    answers = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert answers == [
        {"id": "r0", "prediction": 0, "of": 3},
        {"id": "r1", "prediction": 10, "of": 3},
        {"id": "r2", "prediction": 20, "of": 3},
        {"id": 4, "prediction": 40, "of": 1},
    ]


def test_texts_of_the_command_line_are_rows(
    directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert directory
    texts = ["--text", "a", "--text", "bc"]
    assert main(["--model", "lengths:load", "--checkpoint", "weights", *texts]) == 0
    answers = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(a["id"], a["prediction"]) for a in answers] == [(1, 10), (2, 20)]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            "--model lengths:load --checkpoint none --text a",
            "error: none: No such file or directory",
        ),
        ("--model lengths:load --checkpoint weights --rows none.jsonl", "none.jsonl: No such file"),
        ("--model lengths:nothing --text a", "lengths has no function 'nothing'"),
        ("--model nolengths:load --text a", "there is no module 'nolengths'"),
        ("--model lengths:short --text a", "the model gave 0 answers to 1 rows"),
        ("--model lengths:from_store --checkpoint none --text a", "none: no intact checkpoint"),
        ("--model lengths:load --checkpoint weights --rows weights", "its rows cannot be read"),
    ],
)
def test_bad_input_is_one_line(
    arguments: str, message: str, directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert directory
    assert main(arguments.split()) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert len(told.err.splitlines()) == 1
    assert message in told.err


def test_a_batch_of_none_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["--model", "a:b", "--text", "a", "--batch-size", "0"])
    assert end.value.code == 2
    assert "--batch-size 0: must be at least 1" in capsys.readouterr().err
