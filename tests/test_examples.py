"""The examples as anyone runs them: processes of their own, a few steps, real files."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch

from codex_ml.checkpoint import CheckpointStore
from codex_ml.errors import exit_code
from codex_ml.shards import read_manifest
from codex_ml.tracking import records

if TYPE_CHECKING:
    from types import ModuleType

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "examples"
SMALL = "--width 32 --layers 1 --context 32 --batch_size 8 --trainer.save_every 4"


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-W", "error", *arguments]


def environment() -> dict[str, str]:
    # One thread: the tests share the machine, and such models gain nothing from more.
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)]),
            "OMP_NUM_THREADS": "1"}  # fmt: skip


def run(directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*arguments), cwd=directory, env=environment(), capture_output=True, text=True,
        check=False, timeout=240,
    )  # fmt: skip


def charlm(directory: Path, output: str, options: str) -> subprocess.CompletedProcess[str]:
    arguments = f"--output {output} {SMALL} {options}".split()
    return run(directory, str(EXAMPLES / "charlm.py"), *arguments)


def classifier(*options: str) -> list[str]:
    return [str(EXAMPLES / "image_classifier.py"), "--images", "60", *options]


def module(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"example_{name}", EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = loaded  # where its dataclasses look up their annotations
    spec.loader.exec_module(loaded)
    return loaded


def metrics(output: Path, name: str) -> dict[int, float]:
    lines = [line for line in records(output / "metrics.jsonl") if line["kind"] == "metrics"]
    return {line["step"]: line["metrics"][name] for line in lines if name in line["metrics"]}


def assert_same_state(one: Path, other: Path) -> None:
    """The newest checkpoints of two runs hold the same bits: weights, optimizer, RNGs, place."""
    first, second = (CheckpointStore(output / "checkpoints").load() for output in (one, other))
    assert first.step == second.step
    assert_equal(first.weights, second.weights)
    for state in (first.state, second.state):
        del state["trainer_config"]  # how often to save differs
    assert_equal(first.state, second.state)


def assert_equal(one: Any, other: Any) -> None:
    assert type(one) is type(other)
    if isinstance(one, torch.Tensor):
        assert torch.equal(one, other)
    elif isinstance(one, dict):
        assert one.keys() == other.keys()
        for key, value in one.items():
            assert_equal(value, other[key])
    elif isinstance(one, list | tuple):
        for left, right in zip(one, other, strict=True):
            assert_equal(left, right)
    else:
        assert one == other


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with one finished run of the language model, in `whole`."""
    directory = tmp_path_factory.mktemp("charlm")
    done = charlm(directory, "whole", "--steps 24 --thresholds [bits_per_byte<8]")
    assert done.returncode == 0, done.stderr
    assert "holds: bits_per_byte < 8" in done.stdout
    assert "step 24: eval_loss" in done.stderr
    return directory


def test_the_language_model_gets_better_and_leaves_a_report_and_a_run(trained: Path) -> None:
    output = trained / "whole"
    losses = metrics(output, "eval_loss")
    assert losses[24] < losses[0] - 0.5
    report = json.loads((output / "evaluation.json").read_text())
    found = report["metrics"]["bits_per_byte"]
    assert report["passed"]
    assert report["examples"] == 7
    assert found["low"] < found["value"] < found["high"] < 8
    assert metrics(output, "test/bits_per_byte") == {24: found["value"]}
    assert metrics(output, "process/memory_bytes")
    assert metrics(output, "train/tokens_per_second")
    lines = list(records(output / "metrics.jsonl"))
    assert lines[0]["params"]["config"]["width"] == 32
    assert len(lines[0]["params"]["config_hash"]) == 64
    assert lines[-1]["kind"] == "end"
    assert not lines[-1]["failed"]
    newest = CheckpointStore(output / "checkpoints").load()
    assert (newest.path / "tokenizer").is_dir()
    assert newest.manifest["config_hash"] == lines[0]["params"]["config_hash"]
    assert newest.manifest["metrics"]["eval_loss"] == losses[24]


def test_a_run_of_some_steps_continues_exactly(trained: Path) -> None:
    assert charlm(trained, "parts", "--steps 10").returncode == 1  # a threshold fails
    resumed = charlm(trained, "parts", "--steps 24 --resume")
    assert "resumed from parts/checkpoints/" in resumed.stderr
    assert "-step-00000010" in resumed.stderr
    assert_same_state(trained / "whole", trained / "parts")
    reports = [
        json.loads((trained / name / "evaluation.json").read_text()) for name in ("whole", "parts")
    ]
    assert reports[0]["metrics"] == reports[1]["metrics"]
    assert "FAILS: bits_per_byte <= 4" in resumed.stdout
    assert resumed.returncode == 1


def test_a_trained_model_is_loaded_to_write_and_to_be_judged(trained: Path) -> None:
    asked = [*("--model", "examples.charlm:writer", "--checkpoint", "whole"), "--text", "Shall I"]
    written = run(trained, "-m", "codex_ml.predict", *asked)
    assert written.returncode == 0, written.stderr
    assert json.loads(written.stdout)["prediction"]
    judged = run(
        trained, "-m", "codex_ml.evaluation", "--model", "examples.charlm:reader",
        "--checkpoint", "whole", "--task", "whole/sonnets.toml", "--out", "again.json",
    )  # fmt: skip
    assert judged.returncode == 0, judged.stderr
    again = json.loads((trained / "again.json").read_text())
    report = json.loads((trained / "whole" / "evaluation.json").read_text())
    assert again["metrics"] == report["metrics"]


def test_a_classifier_that_is_stopped_midway_continues_exactly(tmp_path: Path) -> None:
    more = ("--schedule.total", "100000", "--trainer.save_every", "5")
    endless = subprocess.Popen(
        command(*classifier("--output", "stopped", "--steps", "100000", *more)),
        cwd=tmp_path, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        text=True,
    )  # fmt: skip
    deadline = time.monotonic() + 120
    while not list(tmp_path.glob("stopped/checkpoints/0*")) and time.monotonic() < deadline:
        assert endless.poll() is None, endless.communicate()[1]
        time.sleep(0.01)
    endless.send_signal(signal.SIGTERM)
    told = endless.communicate(timeout=120)[1]
    assert endless.returncode == 1, told
    step = CheckpointStore(tmp_path / "stopped" / "checkpoints").load().step
    assert f"stopped at step {step}; --resume continues" in told
    assert not (tmp_path / "stopped" / "evaluation.json").exists()
    steps = str(step + 15)
    resumed = run(tmp_path, *classifier("--output", "stopped", "--steps", steps, "--resume", *more))
    whole = run(tmp_path, *classifier("--output", "whole", "--steps", steps, *more))
    assert_same_state(tmp_path / "stopped", tmp_path / "whole")
    assert resumed.stdout == whole.stdout
    assert "accuracy" in whole.stdout
    losses = metrics(tmp_path / "whole", "eval_loss")
    assert losses[step + 15] < losses[0]
    rows = [row.values for row in read_manifest(tmp_path / "whole" / "shapes.json").rows()]
    answers = module("image_classifier").classifier(tmp_path / "whole")(rows)
    right = [a["prediction"] == row["label"] for a, row in zip(answers, rows, strict=True)]
    report = json.loads((tmp_path / "whole" / "evaluation.json").read_text())
    assert sum(right) / len(rows) == pytest.approx(report["metrics"]["accuracy"]["value"])


@pytest.mark.parametrize("name", ["charlm", "image_classifier"])
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--stepz 3", "command line: stepz: unknown key; did you mean 'steps'?"),
        ("--model lineal", "command line: model: model=lineal: unknown model 'lineal'"),
        ("--thresholds [good]", "thresholds: thresholds=good: 'good' is no threshold"),
        ("--device gpu", "command line: device: device=gpu: torch knows none of that name"),
        ("--resume", "holds no run to resume; leave out --resume to begin one"),
        ("--config none.yaml", "none.yaml: cannot be read"),
    ],
)
def test_bad_settings_give_one_clear_line_and_no_run(
    name: str,
    options: str,
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    example = module(name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [f"{name}.py", *options.split()])
    try:
        code: Any = exit_code(example.main)
    except SystemExit as end:
        code = end.code
    told = [line for line in capsys.readouterr().err.splitlines() if "usage:" not in line]
    assert code == 2
    assert len(told) == 1
    assert message in told[0]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["charlm", "image_classifier"])
def test_an_example_stays_short(name: str) -> None:
    assert len((EXAMPLES / f"{name}.py").read_text().splitlines()) < 150


def test_the_bundled_text_is_what_its_manifest_says() -> None:
    rows = list(read_manifest(EXAMPLES / "sonnets" / "manifest.json").rows())
    assert len(rows) == 71
    assert all(row.values["text"].count("\n") == 14 for row in rows)
