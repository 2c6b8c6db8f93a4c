"""TensorBoard, MLflow and W&B themselves, without a network, and what they wrote."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from codex_ml_isolated import NOWHERE, run_alone

from codex_ml.tracking import records

NEEDED = ("tensorboard", "mlflow", "sqlalchemy", "wandb")
absent = [name for name in NEEDED if find_spec(name) is None]
pytestmark = pytest.mark.skipif(
    bool(absent), reason=f"pip install 'codex-audit[tracking]' for {', '.join(absent)}"
)

LOGS = """
import json, sys, warnings
from pathlib import Path
from codex_ml.tracking import open_tracker, start_run

directory = Path(sys.argv[1])
with warnings.catch_warnings():
    warnings.simplefilter("error", UserWarning)
    with open_tracker(["tensorboard", "mlflow", "wandb"], directory, experiment="e") as tracker:
        start_run(tracker, {"lr": 0.1, "model": {"width": 8}}, seed=7)
        for step in range(5):
            tracker.log_metrics({"loss": 1 / (step + 3), "bad": float("nan")}, step)
        tracker.log_metrics({"late": 0.0625}, 2)
        assert sorted(tracker.others) == ["mlflow", "tensorboard", "wandb"]

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
events = EventAccumulator(str(directory / "tensorboard"))
events.Reload()
(text,) = events.Tensors("params/text_summary")[0].tensor_proto.string_val
scalars = {name: [(e.step, e.value) for e in events.Scalars(name)] for name in ("loss", "late")}
print(json.dumps({"text": text.decode(), **scalars}))

# The same once more, where no file of this process may grow: as on a full disk.
import resource, shutil
from codex_ml.tracking import records
full = directory.with_name("full")
full.mkdir()
shutil.copy(directory / "mlflow.db", full)  # making one takes seconds
tracker = open_tracker(["tensorboard", "mlflow"], full, experiment="e")
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, resource.RLIM_INFINITY))
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    for step in range(200):
        tracker.log_metrics({"loss": 1.0, "other": 2.0, "third": 3.0, "fourth": 4.0}, step)
    tracker.close()
lines = [*records(full / "metrics.jsonl"), *records(tracker.local.path)]
steps = [line["step"] for line in lines if line["kind"] == "metrics"]
print(json.dumps({"warned": [str(w.message) for w in caught], "steps": steps}))
"""
LOSSES = [1 / (step + 3) for step in range(5)]
Run = tuple[Path, dict[str, Any], dict[str, Any]]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Where a run with all three is, what TensorBoard reads there, how a second one failed."""
    root = tmp_path_factory.mktemp("backends")
    done = run_alone(LOGS, root, str(root / "run"), TMPDIR=str(root))
    assert done.returncode == 0, done.stderr
    read, failed = map(json.loads, done.stdout.splitlines()[-2:])
    return root / "run", read, failed


def test_tensorboard_shows_the_curves_and_the_parameters(run: Run) -> None:
    _, found, _ = run
    assert [step for step, _ in found["loss"]] == list(range(5))
    assert [value for _, value in found["loss"]] == pytest.approx(LOSSES)
    assert found["late"] == [[2, 0.0625]]
    params = json.loads(found["text"].removeprefix("```json\n").removesuffix("\n```"))
    assert params["config"] == {"lr": 0.1, "model": {"width": 8}}


def test_mlflow_has_them_in_its_file(run: Run) -> None:
    directory, _, _ = run
    with closing(sqlite3.connect(directory / "mlflow.db")) as db:
        assert db.execute("select name, status from runs").fetchall() == [("run", "FINISHED")]
        assert ("e",) in db.execute("select name from experiments").fetchall()
        found = db.execute("select step, value from metrics where key='loss' order by step")
        assert [tuple(row) for row in found] == list(enumerate(LOSSES))
        assert db.execute("select step from metrics where key='late'").fetchall() == [(2,)]
        params = dict(db.execute("select key, value from params").fetchall())
    assert (params["seed"], params["config.lr"], params["config.model.width"]) == ("7", "0.1", "8")
    assert len(params["config_hash"]) == 64
    (artifact,) = directory.glob("artifacts/*/artifacts/params.json")
    whole = json.loads(artifact.read_text())
    assert any(package.startswith("torch==") for package in whole["packages"])


def test_wandb_has_them_in_its_file(run: Run) -> None:
    directory, _, _ = run
    (file,) = directory.glob("wandb/offline-run-*/run-*.wandb")
    content = file.read_bytes()  # records of protocol buffers, their values as JSON text
    for value in (*LOSSES, 0.0625):
        assert str(value).encode() in content
    assert b"config_hash" in content
    assert b'"width":8' in content.replace(b" ", b"")


def test_the_local_file_has_everything_too(run: Run) -> None:
    directory, _, _ = run
    found = list(records(directory / "metrics.jsonl"))
    assert [line["kind"] for line in found] == ["params", *["metrics"] * 6, "end"]
    assert [line["metrics"]["loss"] for line in found[1:6]] == LOSSES


def test_files_that_cannot_grow_end_no_run_and_lose_no_line(run: Run) -> None:
    _, _, found = run
    assert found["steps"] == list(range(200))
    names = ("mlflow failed", "tensorboard failed", "the run goes on in")
    assert [sum(name in text for text in found["warned"]) for name in names] == [1, 1, 1]
    assert len(found["warned"]) == 3


ONLINE = """
import sys, warnings
from pathlib import Path
import codex_ml.tracking.wandb as module
from codex_ml.tracking import open_tracker
module._CONNECT_SECONDS = 2
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    for name in sys.argv[1:]:
        with open_tracker("wandb", Path(name), online=True) as tracker:
            tracker.log_metrics({"loss": 0.0625}, 1)
            print(sorted(tracker.others))
for warning in caught:
    if issubclass(warning.category, UserWarning):
        print(warning.message)
"""


@pytest.mark.parametrize(
    ("key", "reason"), [("", "no API key is set"), ("0" * 40, "W&B is offline: ")]
)
def test_online_without_a_key_or_a_network_is_offline(
    tmp_path: Path, key: str, reason: str
) -> None:
    done = run_alone(
        ONLINE, tmp_path, str(tmp_path / "run"), WANDB_API_KEY=key, WANDB_BASE_URL=NOWHERE
    )
    assert done.returncode == 0, done.stderr
    used, warned = done.stdout.splitlines()
    assert used == "['wandb']"
    assert reason in warned
    (file,) = (tmp_path / "run").glob("wandb/offline-run-*/run-*.wandb")
    assert b"0.0625" in file.read_bytes()
