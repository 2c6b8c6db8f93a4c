"""Checkpoints of every known format are opened; half-written and unsafe ones are told apart."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from codex_audit.proofs.trainer.commands import reader
from codex_audit.proofs.trainer.commands.asked import Asked, Opened, Ran, Written
from codex_audit.proofs.trainer.commands.compare import entries, holds_generators

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def opened(directory: Path, glob: str = "*", *, trusted: bool = False) -> Written:
    told: list[Mapping[str, Any]] = []
    bits = directory.with_name(f"{directory.name}.bits")
    spec = {
        "directory": str(directory),
        "glob": glob,
        "bits": str(bits),
        "since": 0,
        "trusted": trusted,
        "hidden": [str(directory)],
        "path": [],
    }
    reader.job(spec, told.append)
    found = msgspec.convert(told[0]["opened"], tuple[Opened, ...])
    return Written(asked=Asked(steps=1), ran=Ran(exit_code=0), opened=found, bits=str(bits))


def only(directory: Path, *, trusted: bool = False) -> Opened:
    return opened(directory, trusted=trusted).opened[0]


@pytest.fixture
def where(tmp_path: Path) -> Path:
    made = tmp_path / "run"
    made.mkdir()
    return made


def checkpoint(where: Path, value: float = 1.0, **more: object) -> dict[str, object]:
    model = torch.nn.Linear(2, 1)
    with torch.no_grad():
        model.weight.fill_(value)
    return {
        "model": model.state_dict(),
        "optimizer": {"state": {0: {"exp_avg": torch.full((2,), value)}}, "groups": [{"lr": 0.1}]},
        "iter_num": 7,
        "config": {"out_dir": f"{where}/x", "none": None},
        "rng": torch.get_rng_state(),
        **more,
    }


def test_everything_in_a_torch_file_has_a_name(where: Path) -> None:
    torch.save(checkpoint(where), where / "a.pt")
    found = only(where)
    assert found.kind == "torch"
    assert found.refused == found.broken == ""
    assert list(found.tensors) == [
        "model.weight", "model.bias", "optimizer.state.0.exp_avg", "rng",
    ]  # fmt: skip
    assert found.leaves == {
        "optimizer.groups.0.lr": "0.1",
        "iter_num": "7",
        "config.out_dir": "'{dir}/x'",
        "config.none": "None",
    }
    assert holds_generators([found])


def test_what_weights_only_refuses_is_compared_by_its_storages(where: Path) -> None:
    torch.save(checkpoint(where, args=argparse.Namespace(lr=1)), where / "a.pt")
    found = only(where)
    assert found.kind == "storages"
    assert "Unsupported global: GLOBAL argparse.Namespace" in found.refused
    assert len(found.tensors) >= 3
    trusted = only(where, trusted=True)
    assert trusted.kind == "torch"
    assert trusted.refused == found.refused
    assert trusted.leaves["args.lr"] == "1"


def test_a_whole_module_is_its_state(where: Path) -> None:
    torch.save(torch.nn.Linear(2, 1), where / "a.pt")
    assert list(only(where, trusted=True).tensors) == ["weight", "bias"]


@pytest.mark.parametrize("name", ["a.pt", "b.npz", "c.safetensors", "d.json"])
@pytest.mark.parametrize("part", [0.0, 0.1, 0.5, 0.99])
def test_a_half_written_file_is_broken(where: Path, name: str, part: float) -> None:
    path = where / name
    write(path, 1.0)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * part)])
    found = only(where)
    assert found.broken, found
    assert found.tensors == {}


def write(path: Path, value: float) -> None:
    if path.suffix == ".pt":
        torch.save(checkpoint(path.parent, value), path)
    elif path.suffix == ".npz":
        np.savez(path, w=np.full(40, value, np.float32), n=np.array(3))
    elif path.suffix == ".safetensors":
        save_file({"w": torch.full((40,), value)}, path, metadata={"step": "3"})
    else:
        path.write_text(json.dumps({"state": {"step": 3, "loss": value}}))


@pytest.mark.parametrize(
    ("name", "first"),
    [("a.pt", "model.weight"), ("b.npz", "w"), ("c.safetensors", "w"), ("d.json", "state.loss")],
)
def test_one_bit_of_difference_is_found_and_named(
    where: Path, tmp_path: Path, name: str, first: str
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    torch.manual_seed(0)
    write(where / name, 1.0)
    torch.manual_seed(0)
    write(other / name, 1.0 + 2**-23)
    found = entries(opened(where), opened(other))
    assert found.files == (name,)
    if found.tensor is None:
        assert list(found.leaves) == [first]
    else:
        assert found.tensor.name == first
        assert found.tensor.ulps == 1
    same = entries(opened(where), opened(where))
    assert (same.tensor, same.leaves, same.generators) == (None, {}, ())


def test_a_generator_that_differs_is_told_apart_from_a_tensor(where: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    for place, seed in ((where, 1), (other, 2)):
        torch.save({"w": torch.ones(2), "states": {"cpu": state(seed)}}, place / "a.pt")
    found = entries(opened(where), opened(other))
    assert found.tensor is None
    assert found.generators == ("states.cpu",)


def state(seed: int) -> torch.Tensor:
    return torch.Generator().manual_seed(seed).get_state()


def test_files_of_a_directory_and_unknown_ones(where: Path) -> None:
    (where / "checkpoint-5").mkdir()
    write(where / "checkpoint-5" / "c.safetensors", 1.0)
    (where / "checkpoint-5" / "notes.txt").write_text("hello")
    found = {each.path: each.kind for each in opened(where, "checkpoint-*").opened}
    assert found == {"checkpoint-5/c.safetensors": "safetensors", "checkpoint-5/notes.txt": ""}
