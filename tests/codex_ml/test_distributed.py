"""Two real processes under torchrun, with gloo on a CPU: gradients, checkpoints, refusals."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
import torch.distributed as dist
from ranks import SAVED_AT, Running, body
from test_training import Fixed, Rows, assert_same, loss
from torch.distributed.fsdp import fully_shard

from codex_ml.checkpoint import CheckpointStore, DamagedError, FormatError
from codex_ml.data import ResumableLoader
from codex_ml.distributed import ShardedStore, WorldSizeError, process_group
from codex_ml.training import Trainer, TrainerConfig

if TYPE_CHECKING:
    from collections.abc import Iterator

KINDS = ["ddp", "fsdp"]


def torchrun(directory: Path, part: str) -> str:
    """What went wrong, empty where nothing did."""
    script = Path(__file__).with_name("ranks.py")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    done = subprocess.run(
        [*command, str(script), str(directory), part],
        capture_output=True, text=True, timeout=180, env={**os.environ, "OMP_NUM_THREADS": "1"},
        check=False,
    )  # fmt: skip
    return done.stderr[-6000:] if done.returncode else ""


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("runs")
    assert not torchrun(directory, "first")
    assert "Signal 9 (SIGKILL)" in torchrun(directory, "resumed")
    return directory


def read(runs: Path, kind: str, name: str) -> list[Any]:
    return [torch.load(runs / f"{kind}-{name}-{rank}.pt", weights_only=True) for rank in (0, 1)]


@pytest.mark.parametrize("kind", KINDS)
def test_a_resume_continues_to_the_bit_on_every_rank(runs: Path, kind: str) -> None:
    first, straight, resumed = (read(runs, kind, name) for name in ("first", "straight", "resumed"))
    for before, expected, found in zip(first, straight, resumed, strict=True):
        assert before + found["losses"] == expected["losses"]
        assert torch.equal(found["draw"], expected["draw"])
        assert_same(found["state"], expected["state"])
    assert straight[0]["losses"] == straight[1]["losses"], "the loss is that of all ranks"
    assert not torch.equal(straight[0]["draw"], straight[1]["draw"])
    one, other = ({**run["state"]} for run in straight)
    assert not torch.equal(one.pop("4.seen"), other.pop("4.seen")), "each has its own"
    assert_same(one, other)


@pytest.mark.parametrize("kind", KINDS)
def test_tokens_of_all_ranks_weigh_alike_as_in_one_large_batch(runs: Path, kind: str) -> None:
    model = body(dropout=0.0)
    samples = [Rows()[index] for index in range(10)]
    batch = tuple(torch.stack(part) for part in zip(*samples, strict=True))
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.05)
    trainer = Trainer(model, optimizer, loss, Fixed([batch]), TrainerConfig(clip_norm=0.5))
    seen = [0, 1, 2, 3, 4, 5]
    total, count = loss(model, tuple(part[seen] for part in batch))
    losses = trainer.train(1)
    for found in read(runs, kind, "one"):
        assert found["losses"] == pytest.approx(losses, rel=1e-6)
        assert found["eval_loss"] == pytest.approx(total.item() / count, rel=1e-6)
        for name, value in model.state_dict().items():
            torch.testing.assert_close(found["state"][name], value, rtol=1e-5, atol=1e-6)


def test_what_is_wrong_on_one_rank_is_an_error_on_all(runs: Path) -> None:
    said = [torch.load(runs / f"said-{rank}.pt", weights_only=True) for rank in (0, 1)]
    for rank in (0, 1):
        alone, scaled, shared, uneven, bad, empty, other = said[rank]
        assert alone.startswith("ValueError: 2 processes would each train a model of its own")
        assert scaled == "ValueError: fp16 scales by each rank's own gradients; shard with bf16"
        assert "several processes cannot share a CheckpointStore" in shared
        assert f"rank {rank} has {rank + 1} batches in this step, others from 1 to 2" in uneven
        assert "bad'] is a pathlib." in bad
        assert "no intact checkpoint (it holds none)" in empty
        assert "of another model; '0.bias' is only in one" in other


def test_a_signal_to_one_rank_stops_all_at_the_same_step(runs: Path) -> None:
    counts = [torch.load(runs / f"terminated-{rank}.pt", weights_only=True) for rank in (0, 1)]
    assert counts == [3, 3]
    assert [path.name[-2:] for path in ShardedStore(runs / "terminated").paths()] == ["03"]


def test_another_number_of_ranks_is_refused_or_goes_on_without_their_state(
    runs: Path, alone: None, caplog: pytest.LogCaptureFixture
) -> None:
    del alone
    for kind in KINDS:
        model = body(0.2, Running())
        if kind == "fsdp":
            fully_shard(model)
        optimizer = torch.optim.AdamW(model.parameters(), lr=0.05)
        loader: ResumableLoader[Any] = ResumableLoader(Rows(), 2, seed=1)
        trainer = Trainer(
            model, optimizer, loss, loader, TrainerConfig(accumulate=2, clip_norm=0.5)
        )
        with pytest.raises(WorldSizeError, match="written by 2 ranks, and this run has 1"):
            trainer.load(ShardedStore(runs / kind))
        found = trainer.load(ShardedStore(runs / kind), exact=False)
        assert trainer.step == SAVED_AT
        assert (loader.sampler.epoch, loader.sampler.position) == (0, 8), "rows of both ranks"
        assert "rng" not in found.state
        assert optimizer.state_dict()["state"][0]["step"] == SAVED_AT
        assert "without the generators" in caplog.text
        moments = [slots["exp_avg"] for slots in optimizer.state_dict()["state"].values()]
        assert all(bool((moment != 0).any()) for moment in moments)
        with pytest.raises(FormatError, match="written by 2 ranks"):
            CheckpointStore(runs / kind).load()


def test_a_rank_killed_while_it_saves_leaves_the_one_before(runs: Path, alone: None) -> None:
    del alone
    store = ShardedStore(
        runs / "killed", attach={"tokenizer/vocabulary.txt": lambda path: _write(path, "a b")}
    )
    assert [path.name[-2:] for path in store.paths()] == ["01"]
    (half,) = (runs / "killed").glob(".writing-*")
    assert list(half.glob("shard-*")), "it was in the middle"
    model = body()
    fully_shard(model)
    found = store.load(like=model.state_dict(), exact=False)
    assert found.step == 1
    store.save(2, model.state_dict(), {"optimizer": {}})
    found = store.load(like=model.state_dict())
    assert found.step == 2
    assert "tokenizer/vocabulary.txt" in found.manifest["files"]
    assert not half.exists()


@pytest.mark.parametrize("part", ["rank-00001.pt", "shard-00002-model-00001-of-00001.safetensors"])
def test_damage_to_any_rank_s_part_is_seen(
    runs: Path, tmp_path: Path, alone: None, part: str
) -> None:
    del alone
    path = ShardedStore(runs / "fsdp").paths()[-1]
    copy = tmp_path / path.name
    copy.mkdir()
    for file in path.iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    data = bytearray((copy / part).read_bytes())
    data[-1] ^= 1
    (copy / part).write_bytes(data)
    with pytest.raises(DamagedError, match=part):
        ShardedStore(tmp_path).load(copy, like=body().state_dict())


def test_one_process_s_checkpoint_is_not_for_a_sharded_store(tmp_path: Path, alone: None) -> None:
    del alone
    CheckpointStore(tmp_path).save(1, {}, {})
    with pytest.raises(FormatError, match="written by one process"):
        ShardedStore(tmp_path).load(like={})
    with pytest.raises(ValueError, match="in the background"):
        ShardedStore(tmp_path, background=True)


def _write(path: Path, text: str) -> None:
    path.parent.mkdir()
    path.write_text(text)


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """A group of this process alone."""
    del tmp_path
    with process_group() as device:
        assert device.type in ("cpu", "cuda")
        assert not dist.is_initialized(), "nothing to join without torchrun"
    for name, value in {
        "RANK": "0",
        "WORLD_SIZE": "1",
        "MASTER_ADDR": "localhost",
        "MASTER_PORT": "0",
    }.items():
        monkeypatch.setenv(name, value)
    with process_group():
        yield
    assert not dist.is_initialized()
