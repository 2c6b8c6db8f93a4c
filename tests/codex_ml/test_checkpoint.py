"""Checkpoints are whole or absent, verified, and kept by the policy."""

from __future__ import annotations

import json
import logging
import shutil
from typing import TYPE_CHECKING

import pytest
import torch

from codex_ml import checkpoint
from codex_ml.checkpoint import (
    CheckpointError,
    CheckpointStore,
    DamagedError,
    FormatError,
)

if TYPE_CHECKING:
    from pathlib import Path

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
    [({"format": "other"}, "not a codex-ml-checkpoint"), ({"format_version": 99}, "version 99")],
)
def test_foreign_and_future_formats_are_errors_and_never_passed_over(
    tmp_path: Path, change: dict[str, object], message: str
) -> None:
    store = CheckpointStore(tmp_path)
    save(store, 1)
    manifest = save(store, 2) / "manifest.json"
    manifest.write_text(json.dumps({**json.loads(manifest.read_text()), **change}))
    with pytest.raises(FormatError, match=message):
        store.load()


@pytest.mark.parametrize("fatal", ["save_file", "save", "_sha256", "_fsync"])
def test_a_crash_at_any_point_leaves_the_last_one_and_no_half(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fatal: str
) -> None:
    store = CheckpointStore(tmp_path)
    save(store, 1)

    def crash(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    owner = torch if fatal == "save" else checkpoint
    with monkeypatch.context() as patch:
        patch.setattr(owner, fatal, crash)
        with pytest.raises(KeyboardInterrupt):
            save(store, 2)
    assert steps(store) == [1]
    assert store.load().step == 1
    save(store, 3)
    assert not list(tmp_path.glob(".writing-*"))


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
    store = CheckpointStore("./out/", keep_last=1)
    for step in (1, 2):
        save(store, step)
    assert steps(CheckpointStore(tmp_path / "out")) == [2]
    with pytest.raises(ValueError, match="keep at least one"):
        CheckpointStore("out", keep_last=0)
    keep_all = CheckpointStore("out", keep_last=None)
    save(keep_all, 3)
    assert steps(keep_all) == [2, 3]
    shutil.rmtree("out")
    assert keep_all.paths() == []
