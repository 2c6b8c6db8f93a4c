"""Checkpoints are whole or absent, verified, and kept by the policy."""

from __future__ import annotations

import json
import logging
import math
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
from collections import OrderedDict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from codex_ml import checkpoint, checkpoint_format
from codex_ml.checkpoint import (
    CheckpointError,
    CheckpointStore,
    DamagedError,
    FormatError,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

WEIGHTS = {"w": torch.arange(6.0).reshape(2, 3), "half": torch.ones(2, dtype=torch.bfloat16)}


def save(store: CheckpointStore, step: int, loss: float | None = None) -> Path:
    metrics = {} if loss is None else {"loss": loss}
    return store.save(step, WEIGHTS, {"step": step}, metrics=metrics, config={"seed": 1})


def steps(store: CheckpointStore) -> list[int]:
    return [int(path.name.rsplit("-", 1)[1]) for path in store.paths()]


def test_what_is_saved_comes_back_with_its_provenance(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path / "new" / "dir")
    path = save(store, 12, 0.5)
    found = store.load()
    assert found.path == path
    assert (found.step, found.state, found.skipped) == (12, {"step": 12}, ())
    assert all(torch.equal(found.weights[name], WEIGHTS[name]) for name in WEIGHTS)
    described = json.loads((path / "manifest.json").read_text())
    assert set(described["files"]) == {"weights.safetensors", "state.pt"}
    assert described["metrics"] == {"loss": 0.5}
    assert len(described["config_hash"]) == 64
    assert described["packages"]["torch"].startswith("2.")
    assert {"git_commit", "git_dirty", "device", "step"} <= set(described)


def test_tied_weights_are_written_once_and_views_correctly(tmp_path: Path) -> None:
    big = torch.arange(1000.0)
    store = CheckpointStore(tmp_path)
    path = store.save(1, {"a": big, "tied": big, "view": big[::2], "t": big.view(10, 100).t()}, {})
    assert (path / "weights.safetensors").stat().st_size < 4 * 3000
    weights = store.load().weights
    assert torch.equal(weights["tied"], big)
    assert torch.equal(weights["view"], big[::2])
    assert torch.equal(weights["t"], big.view(10, 100).t())


@pytest.mark.parametrize("part", ["weights.safetensors", "state.pt", "manifest.json"])
@pytest.mark.parametrize("damage", ["cut", "flip", "remove"])
def test_a_damaged_newest_is_passed_over_and_said_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, part: str, damage: str
) -> None:
    store = CheckpointStore(tmp_path)
    good, bad = save(store, 1), save(store, 2)
    file = bad / part
    data = bytearray(file.read_bytes())
    if damage == "cut":
        file.write_bytes(data[: len(data) // 2])
    elif damage == "flip":
        data[len(data) // 2 if part != "manifest.json" else 0] ^= 0xFF
        file.write_bytes(data)
    else:
        file.unlink()
    with caplog.at_level(logging.WARNING):
        found = store.load()
    assert (found.path, found.step) == (good, 1)
    assert len(found.skipped) == 1
    assert "passed over" in caplog.text
    assert part in caplog.text
    with pytest.raises(DamagedError):
        store.load(bad)


def test_no_intact_checkpoint_is_an_error_that_says_why(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path)
    with pytest.raises(CheckpointError, match="it holds none"):
        store.load()
    (save(store, 1) / "state.pt").unlink()
    with pytest.raises(CheckpointError, match=r"no intact checkpoint .*state\.pt cannot be read"):
        store.load()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": "other"}, "format: not 'codex-ml-checkpoint'"),
        (
            {"format_version": 99},
            "format_version: 99, and this one reads 1; read it with the codex_ml",
        ),
    ],
)
def test_foreign_and_future_formats_are_errors_and_never_passed_over(
    tmp_path: Path, change: dict[str, object], message: str
) -> None:
    store = CheckpointStore(tmp_path)
    save(store, 1)
    manifest = save(store, 2) / "manifest.json"
    manifest.write_text(json.dumps({**json.loads(manifest.read_text()), **change}))
    save(store, 3)
    (store.paths()[-1] / "state.pt").unlink()
    with pytest.raises(FormatError, match=message):
        store.load()


@pytest.mark.parametrize("fatal", ["save_file", "save", "sha256", "fsync"])
def test_a_crash_at_any_point_leaves_the_last_one_and_no_half(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fatal: str
) -> None:
    store = CheckpointStore(tmp_path)
    save(store, 1)

    def crash(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    owner = {"save": torch, "save_file": checkpoint}.get(fatal, checkpoint_format)
    with monkeypatch.context() as patch:
        patch.setattr(owner, fatal, crash)
        with pytest.raises(KeyboardInterrupt):
            save(store, 2)
    assert steps(store) == [1]
    assert store.load().step == 1
    save(store, 3)
    assert not list(tmp_path.glob(".writing-*"))


def test_a_changed_number_in_the_manifest_is_seen(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path)
    manifest = save(store, 12) / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"step": 12', '"step": 13'))
    with pytest.raises(CheckpointError, match=r"manifest\.json does not have the SHA-256"):
        store.load()


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({"rng": {"key": [1, np.arange(3)]}}, r"state\['rng'\]\['key'\]\[1\] is a numpy\.ndarray"),
        ({"lr": np.float64(0.1)}, r"state\['lr'\] is a numpy\.float64"),
        ({"where": Path("x")}, r"state\['where'\] is a pathlib\."),
        ({(1, 2): 3}, r"the key \(1, 2\)"),
    ],
)
def test_what_could_not_be_loaded_is_refused_when_it_is_saved(
    tmp_path: Path, state: dict[Any, Any], message: str
) -> None:
    with pytest.raises(TypeError, match=message):
        CheckpointStore(tmp_path).save(1, WEIGHTS, state)
    assert not list(tmp_path.iterdir())


def test_every_plain_value_comes_back(tmp_path: Path) -> None:
    state: dict[Any, Any] = {
        "none": None, "yes": True, "int": 3, "float": math.pi, "text": "a", "bytes": b"b", 7: "int key",
        "list": [1, (2, torch.Size([3, 4]))], "dtype": torch.bfloat16, "device": torch.device("cpu"),
        "ordered": OrderedDict(tensor=torch.eye(2, dtype=torch.float16)),
    }  # fmt: skip
    store = CheckpointStore(tmp_path)
    store.save(1, {}, state, metrics={"loss": math.nan, "best": -math.inf, "n": torch.tensor(2)})  # type: ignore[dict-item]
    found = store.load()
    tensor = found.state.pop("ordered")["tensor"]
    assert torch.equal(tensor, state.pop("ordered")["tensor"])
    assert found.state == {**state, "list": [1, (2, (3, 4))]}
    assert found.manifest["metrics"] == {"loss": "NaN", "best": "-Infinity", "n": 2.0}


def test_the_disk_is_told_in_the_order_that_a_power_cut_needs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    monkeypatch.setattr(
        os, "fsync", lambda handle: seen.append(Path(f"/proc/self/fd/{handle}").readlink().name)
    )
    rename = Path.rename

    def renamed(path: Path, to: Path) -> Path:
        seen.append(f"-> {to.name}")
        return rename(path, to)

    monkeypatch.setattr(Path, "rename", renamed)
    name = save(CheckpointStore(tmp_path / "runs"), 1).name
    writing = f".writing-{name}"
    assert sorted(seen[1:3]) == ["state.pt", "weights.safetensors"]
    assert seen[0] == tmp_path.name
    assert seen[3:] == ["manifest.json", writing, f"-> {name}", "runs"]


def test_the_last_and_the_best_are_kept(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path, keep_last=2, keep_best=1, metric="loss")
    for step, loss in enumerate([0.9, 0.2, 0.5, float("nan"), 0.4], start=1):
        save(store, step, loss)
    assert steps(store) == [2, 4, 5]
    first_nan = CheckpointStore(tmp_path / "nan", keep_last=1, metric="loss")
    for step, loss in enumerate([float("nan"), 0.9, 0.2, 0.5], start=1):
        save(first_nan, step, loss)
    assert steps(first_nan) == [3, 4]
    largest = CheckpointStore(tmp_path / "max", keep_last=1, metric="loss", mode="max")
    for step, loss in enumerate([0.9, 0.2, 0.5], start=1):
        save(largest, step, loss)
    assert steps(largest) == [1, 3]


def test_the_one_resumed_from_and_foreign_directories_stay(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path, keep_last=1)
    save(store, 1)
    foreign = tmp_path / "000000-step-00000009"
    foreign.mkdir()
    (foreign / "manifest.json").write_text('{"format": "somebody else\'s"}')
    store.load(store.paths()[-1])
    for step in (2, 3):
        save(store, step)
    assert steps(store) == [9, 1, 3]
    assert foreign.exists()


def test_a_new_run_in_a_used_directory_keeps_its_own_newest(tmp_path: Path) -> None:
    save(CheckpointStore(tmp_path), 500)
    fresh = CheckpointStore(tmp_path, keep_last=1)
    save(fresh, 10)
    assert fresh.load().step == 10
    assert steps(fresh) == [10]


def test_an_unclean_relative_directory_is_the_same_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    store = CheckpointStore(Path("./out/"), keep_last=1)
    for step in (1, 2):
        save(store, step)
    assert steps(CheckpointStore(tmp_path / "out")) == [2]
    with pytest.raises(ValueError, match="keep at least one"):
        CheckpointStore(Path("out"), keep_last=0)
    keep_all = CheckpointStore("out", keep_last=None)  # type: ignore[arg-type]  # text will do
    save(keep_all, 3)
    assert steps(keep_all) == [2, 3]
    shutil.rmtree("out")
    assert keep_all.paths() == []


def test_each_nth_stays_and_what_is_cut_off_neither_counts_nor_goes(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path, keep_last=2, keep_every=4, metric="loss")
    for step, loss in enumerate([0.5, 0.1, 0.6, 0.7, 0.8, 0.9], start=1):
        save(store, step, loss)
    assert steps(store) == [2, 4, 5, 6]
    (store.paths()[-1] / "weights.safetensors").write_bytes(b"cut")
    save(store, 7, 0.9)
    assert steps(store) == [2, 4, 5, 6, 7], "5 and 7 are the last two that are whole"
    (store.paths()[0] / "state.pt").unlink()
    save(store, 8, 0.9)
    assert steps(store) == [2, 4, 6, 7, 8], "of those that are whole, 4 is the best"
    with pytest.raises(ValueError, match="keep_best=0"):
        CheckpointStore(tmp_path, metric="loss", keep_best=0)
    with pytest.raises(ValueError, match="mode='least'"):
        CheckpointStore(tmp_path, metric="loss", mode="least")  # type: ignore[arg-type]


def test_what_cannot_be_deleted_is_warned_of_and_the_run_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    store = CheckpointStore(tmp_path, keep_last=1)
    save(store, 1)

    def refuse(_: Path) -> None:
        raise PermissionError("no")

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", refuse)
        save(store, 2)
    assert "could not be removed: no" in caplog.text
    assert steps(store) == [2]
    save(store, 3)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["000003-step-00000003"]


def test_in_the_background_what_is_saved_is_what_was_there_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = CheckpointStore(tmp_path, background=True)
    weight, moment = torch.zeros(3), torch.zeros(3)
    go = threading.Event()

    def slowly(*arguments: Any, **options: Any) -> None:
        go.wait(10)
        save_file(*arguments, **options)

    monkeypatch.setattr(checkpoint, "save_file", slowly)
    path = store.save(1, {"w": weight, "tied": weight}, {"m": [moment]})
    weight += 1
    moment += 1
    assert not path.exists()
    go.set()
    found = store.load()
    assert found.path == path
    again = store.save(2, {"w": weight[:2], "tied": weight}, {"m": [moment, moment]})
    weight += 1
    later = store.load()
    assert later.path == again
    assert later.weights["w"].tolist() + later.weights["tied"].tolist() == [1] * 5
    assert [moment.tolist() for moment in later.state["m"]] == [[1] * 3] * 2
    assert found.weights["w"].tolist() == found.weights["tied"].tolist() == [0, 0, 0]
    assert found.state["m"][0].tolist() == [0, 0, 0]


def test_a_failure_in_the_background_is_logged_and_raised_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    store = CheckpointStore(tmp_path, background=True)

    def full(*_: object, **__: object) -> None:
        raise OSError("No space left on device")

    for finish in (store.wait, lambda: save(store, 2), store.load):
        with monkeypatch.context() as patch:
            patch.setattr(checkpoint, "save_file", full)
            save(store, 1)
            with pytest.raises(OSError, match="No space left"):
                finish()
    assert caplog.text.count("checkpoint not written: OSError: No space left") == 3
    save(store, 3)
    assert store.load().step == 3


# Forks a process for each line of its input, so that torch is imported once: the directory,
# whether to save in the background, and after how many steps on the way to the disk to die.
FORKING = """
import os, shutil, sys
from pathlib import Path
import torch
from codex_ml import environment
from codex_ml.checkpoint import CheckpointStore

def dying(call, left):
    def counted(*arguments, **options):
        left[0] -= 1
        if left[0] == 0:
            os._exit(9)
        return call(*arguments, **options)
    return counted

def run(directory, background, fatal):
    if fatal:
        left = [fatal]
        os.fsync, os.unlink = dying(os.fsync, left), dying(os.unlink, left)
        Path.rename = dying(Path.rename, left)
        torch.save, os.mkdir = dying(torch.save, left), dying(os.mkdir, left)
    store = CheckpointStore(directory, keep_last=1, background=background)
    step = max([int(path.name.split("-")[2]) for path in store.paths()], default=0)
    for step in range(step + 1, step + (3 if fatal else 10**6)):
        value = torch.full((50_000,), float(step))
        store.save(step, {"w": value}, {"m": value.clone()})
        os.write(1, f"{step - background}\\n".encode())  # whole or not at all
    store.wait()

environment.manifest()
torch.set_num_threads(1)
for line in sys.stdin:
    directory, background, fatal = line.split()
    child = os.fork()
    if not child:
        run(directory, background == "1", int(fatal))
        os._exit(0)
    print("pid", child, flush=True)
    print("dead", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


class Forks:
    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", FORKING],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(
        self, directory: Path, *, background: int, fatal: int = 0, kill: float = 0
    ) -> tuple[int, int]:
        """The last step that a fork reported as saved, and its exit code."""
        stdin, stdout = self.process.stdin, self.process.stdout
        assert stdin is not None
        assert stdout is not None
        print(directory, background, fatal, file=stdin, flush=True)
        saved = 0
        for line in stdout:
            word, _, rest = line.partition(" ")
            if word == "pid" and kill:
                threading.Timer(kill, os.kill, (int(rest), signal.SIGKILL)).start()
            elif word == "dead":
                return saved, int(rest)
            elif word != "pid":
                saved = int(word)
        raise AssertionError("the forking process ended")


@pytest.fixture(scope="module")
def forks() -> Iterator[Forks]:
    forks = Forks()
    yield forks
    assert forks.process.stdin is not None
    assert forks.process.stdout is not None
    forks.process.stdin.close()
    assert forks.process.wait(10) == 0
    forks.process.stdout.close()


def assert_all_whole(store: CheckpointStore, at_least: int) -> None:
    for path in store.paths():
        found = store.load(path)
        values = torch.cat([found.weights["w"], found.state["m"]])
        assert bool((values == found.step).all())
    assert (store.load().step if store.paths() else 0) >= at_least


@pytest.mark.parametrize("background", [0, 1])
def test_a_process_killed_at_a_random_instant_leaves_only_whole_ones_and_loses_none(
    tmp_path: Path, forks: Forks, background: int
) -> None:
    store = CheckpointStore(tmp_path)
    instants = random.Random(background)
    last = 0
    for attempt in range(40):
        if attempt >= 8 and last:  # a machine that is busy gets more time for a save
            break
        instant = instants.uniform(0.001, 0.2 * 2 ** (attempt // 8))
        saved, code = forks.run(tmp_path, background=background, kill=instant)
        assert code == -signal.SIGKILL
        last = max(last, saved)
        assert_all_whole(store, last)
    assert last > 0


@pytest.mark.parametrize("background", [0, 1])
def test_a_process_that_dies_before_any_step_on_the_way_to_the_disk(
    tmp_path: Path, forks: Forks, background: int
) -> None:
    codes: list[int] = []
    while not codes or codes[-1]:
        directory = tmp_path / str(len(codes))
        save(CheckpointStore(directory), 0)
        store = CheckpointStore(directory)
        saved, code = forks.run(directory, background=background, fatal=len(codes) + 1)
        assert code in (0, 9)
        codes.append(code)
        assert [p for p in store.paths() if p.name[-1] != "0"] or saved == 0
        store.load()
        for path in store.paths():
            assert store.load(path).step == int(path.name.split("-")[2])
        assert store.load().step >= saved
    assert len(codes) > 20
