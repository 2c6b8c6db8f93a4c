"""What is told of a checkpoint's files, and of how a resume reads them."""

from __future__ import annotations

import hashlib
import os
import pickle
import subprocess
import sys
import textwrap
from argparse import Namespace
from typing import TYPE_CHECKING

import numpy as np
import torch
from safetensors.torch import save_file

from codex_audit.proofs.trainer.checkpoint_files import PLAIN, files_in

if TYPE_CHECKING:
    from pathlib import Path


def sha256(tensor: torch.Tensor) -> str:
    return hashlib.sha256(tensor.numpy().tobytes()).hexdigest()


def test_tensors_of_every_kind_of_file_are_found(tmp_path: Path) -> None:
    one, two, three = torch.arange(4.0), torch.arange(3), torch.ones(2, 2)
    save_file({"one": one}, tmp_path / "weights.safetensors")
    torch.save({"nested": [{"two": two}]}, tmp_path / "state.pt")
    torch.save({"three": three, "args": Namespace(a=1)}, tmp_path / "more.ckpt")
    (tmp_path / "notes.json").write_text("{}")
    found = {file.path: file for file in files_in(tmp_path)}
    assert found["weights.safetensors"].tensors == {sha256(one)}
    assert found["state.pt"].tensors == {sha256(two)}
    assert found["more.ckpt"].tensors == {sha256(three)}
    assert found["notes.json"].tensors == frozenset()


def test_what_torch_objects_to_is_named(tmp_path: Path) -> None:
    torch.save({"args": Namespace(a=1)}, tmp_path / "a.pt")
    torch.save({"rng": np.random.default_rng(0).random(3)}, tmp_path / "b.pt")
    torch.save({"step": 1}, tmp_path / "c.pt")
    (tmp_path / "d.pt").write_bytes((tmp_path / "c.pt").read_bytes()[:-9])
    (tmp_path / "e.pkl").write_bytes(pickle.dumps({"step": 1}, protocol=4))
    refused = {file.path: file.refused for file in files_in(tmp_path)}
    assert "argparse.Namespace" in refused["a.pt"]
    assert "numpy" in refused["b.pt"]
    assert refused["c.pt"] == ""
    assert refused["d.pt"] == ""  # no archive any more: what it is cannot be told
    assert refused["e.pkl"] == PLAIN


def test_a_cut_off_file_of_safetensors_holds_nothing(tmp_path: Path) -> None:
    save_file({"one": torch.arange(4.0)}, tmp_path / "a.safetensors")
    (tmp_path / "b.safetensors").write_bytes((tmp_path / "a.safetensors").read_bytes()[:20])
    found = {file.path: file for file in files_in(tmp_path)}
    assert found["b.safetensors"].tensors == frozenset()


def test_reads_are_told_with_whether_they_are_safe(tmp_path: Path) -> None:
    torch.save({"a": torch.ones(2)}, tmp_path / "safe.pt")
    torch.save({"args": Namespace(a=1)}, tmp_path / "unsafe.pt")
    torch.save({"args": Namespace(a=1)}, tmp_path / "allowed.pt")
    torch.save({"args": Namespace(a=1)}, tmp_path / "unread.pt")
    (tmp_path / "plain.pkl").write_bytes(pickle.dumps([1]))
    code = """
        import argparse, pathlib, pickle, sys, torch
        from codex_audit.proofs.trainer.checkpoint_files import files_in
        from codex_audit.proofs.trainer.reading import Reads
        where = pathlib.Path(sys.argv[1])
        files = files_in(where)
        reads = Reads(where)
        torch.load(where / "safe.pt", weights_only=True)
        torch.load(where / "unsafe.pt", weights_only=False)
        with torch.serialization.safe_globals([argparse.Namespace]):
            torch.load(where / "allowed.pt", weights_only=True)
        with (where / "plain.pkl").open("rb") as stream:
            pickle.load(stream)
        for file in reads.told(files):
            print(file.path, file.read, file.safely)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), str(tmp_path)],
        check=True, env=os.environ, timeout=60, capture_output=True, text=True,
    )  # fmt: skip
    assert done.stdout.splitlines() == [
        "allowed.pt True True",
        "plain.pkl True False",
        "safe.pt True True",
        "unread.pt False False",
        "unsafe.pt True False",
    ]
