"""Checkpoints of every known format are opened; half-written and unsafe ones are told apart."""

from __future__ import annotations

import argparse
import collections
import functools
import hashlib
import json
import pickle
import random
from pathlib import Path
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


def opened(directory: Path, glob: str = "*") -> Written:
    told: list[Mapping[str, Any]] = []
    bits = directory.with_name(f"{directory.name}.bits")
    spec = {
        "directory": str(directory),
        "glob": glob,
        "bits": str(bits),
        "since": 0,
        "hidden": [str(directory)],
    }
    reader.job(spec, told.append)
    found = msgspec.convert(told[0]["opened"], tuple[Opened, ...])
    return Written(asked=Asked(steps=1), ran=Ran(exit_code=0), opened=found, bits=str(bits))


def only(directory: Path) -> Opened:
    return opened(directory).opened[0]


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


@pytest.mark.parametrize("archive", [True, False])
def test_what_weights_only_refuses_is_read_as_data(where: Path, archive: bool) -> None:
    held = checkpoint(where)
    torch.save(held, where / "safe.pt")
    args = argparse.Namespace(lr=1, out=where / "x")
    torch.save(held | {"args": args}, where / "a.pt", _use_new_zipfile_serialization=archive)
    refused, safe = opened(where).opened
    assert refused.refused == "GLOBAL argparse.Namespace"
    assert refused.kind == safe.kind == "torch"
    assert refused.tensors.keys() == safe.tensors.keys()
    for name, bits in refused.tensors.items():
        assert bits.same_as(safe.tensors[name]), name
    assert refused.leaves == safe.leaves | {"args.lr": "1", "args.out": "'{dir}/x'"}


def test_nothing_that_a_pickle_names_is_run(where: Path) -> None:
    torch.save({"w": torch.ones(2), "x": Touching(where / "touched")}, where / "a.pt")
    (where / "b.pkl").write_bytes(pickle.dumps({"x": Touching(where / "touched")}))
    first, second = opened(where).opened
    assert first.leaves == {"x.0": "'{dir}/touched'"}
    assert list(first.tensors) == ["w"]
    assert (second.kind, second.leaves) == ("pickle", {"x.0": "'{dir}/touched'"})
    assert second.refused.startswith("a plain pickle")
    assert not (where / "touched").exists()


class Touching:
    """Writes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return Path.touch, (str(self.path),)


def test_a_length_that_no_file_has_is_a_damage(where: Path) -> None:
    (where / "a.pkl").write_bytes(b"\x80\x04\x8e" + b"\xff" * 8 + b".")
    assert only(where).broken.startswith("OverflowError: ")


def test_operations_that_lead_nowhere_are_no_damage(where: Path) -> None:
    (where / "a.pkl").write_bytes(b"\x80\x02K\x01K\x02K\x03s.")  # 1[2] = 3
    assert (only(where).kind, only(where).broken) == ("", "")


def test_a_whole_module_is_its_state(where: Path) -> None:
    torch.save(torch.nn.Sequential(torch.nn.Linear(2, 1)), where / "a.pt")
    assert list(only(where).tensors) == ["0.weight", "0.bias"]


def odd() -> dict[str, Any]:
    numbers = np.arange(6, dtype=np.float32).reshape(2, 3)
    around: list[object] = []
    circle = argparse.Namespace(of=around)
    around.append(circle)
    return {
        "fortran": np.asfortranarray(numbers),
        "number": np.float64(3),
        "words": np.array(["a", None], dtype=object),
        "python": random.Random(1).getstate(),
        "generator": np.random.default_rng(1),
        "counts": collections.Counter("aab"),
        "queue": collections.deque([1, 2], maxlen=3),
        "set": {1, 2},
        "circle": circle,
        "part": functools.partial(int, base=2),
        "type": argparse.Namespace,
        "bytes": b"\xff\x00",
    }


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_objects_of_any_class_are_told_by_what_they_hold(where: Path, protocol: int) -> None:
    (where / "a.pkl").write_bytes(pickle.dumps(odd(), protocol))
    found = only(where)
    assert found.broken == ""
    rows = np.arange(6, dtype=np.float32).reshape(2, 3).tobytes()
    assert found.tensors["fortran"].sha256 == hashlib.sha256(rows).hexdigest()
    assert (found.tensors["fortran"].shape, found.tensors["fortran"].dtype) == ((2, 3), "float32")
    assert found.tensors["number"].shape == ()
    assert found.leaves["counts.0.a"] == "2"
    assert found.leaves["queue.2"] == "1"
    assert found.leaves["set"] == "['1', '2']"
    assert found.leaves["circle.of.0"] == "the same as circle"
    assert found.leaves["type"] == "argparse.Namespace"
    assert found.leaves["bytes"] == repr(b"\xff\x00")
    assert "625 numbers" in found.leaves["python.1"]
    assert any(name.startswith("generator.") for name in (*found.leaves, *found.tensors))


VIEWS = (
    torch.arange(6.0).reshape(2, 3).t(),
    torch.arange(6.0)[1::2],
    torch.zeros(0, 3),
    torch.tensor(2, dtype=torch.bfloat16),
    torch.arange(3).expand(2, 3),
    torch.tensor([1 + 2j]),
    torch.nn.Parameter(torch.ones(2, dtype=torch.float64)),
)
# torch itself cannot load these from the older form.
ARCHIVED = (*VIEWS, torch.tensor([1, 2, 65535], dtype=torch.uint16))


@pytest.mark.parametrize(
    ("made", "archive"),
    [*((made, True) for made in ARCHIVED), *((made, False) for made in VIEWS)],
)
def test_views_of_storages_are_the_tensors_that_torch_loads(
    where: Path,
    made: torch.Tensor,
    archive: bool,
) -> None:
    torch.save(
        {"w": made, "x": Touching(where)}, where / "a.pt", _use_new_zipfile_serialization=archive
    )
    found = only(where).tensors["w"]
    torch.save({"w": made}, where / "a.pt")
    assert found.same_as(only(where).tensors["w"])


def test_without_torch_all_has_the_same_names(where: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.save(checkpoint(where), where / "a.pt")
    usual = only(where)
    monkeypatch.setattr(reader, "find_spec", lambda _: None)
    found = only(where)
    assert found.leaves == usual.leaves
    assert all(bits.same_as(usual.tensors[name]) for name, bits in found.tensors.items())
    assert found.tensors.keys() == usual.tensors.keys()


@pytest.mark.parametrize("name", ["a.pt", "b.npz", "c.safetensors", "d.json", "e.pkl"])
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
    elif path.suffix == ".pkl":
        path.write_bytes(pickle.dumps({"w": np.full(40, value, np.float32)}))
    elif path.suffix == ".safetensors":
        save_file({"w": torch.full((40,), value)}, path, metadata={"step": "3"})
    else:
        path.write_text(json.dumps({"state": {"step": 3, "loss": value}}))


@pytest.mark.parametrize(
    ("name", "first"),
    [
        ("a.pt", "model.weight"),
        ("b.npz", "w"),
        ("c.safetensors", "w"),
        ("d.json", "state.loss"),
        ("e.pkl", "w"),
    ],
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
