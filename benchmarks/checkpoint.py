"""What a safe checkpoint costs: saving and loading beside `torch.save` of the same state.

    python benchmarks/checkpoint.py [--megabytes 300] [--rounds 7]

The state is that of a model under AdamW: a third weights, two thirds moments. Shown is the median
over interleaved rounds, and its ratio to `torch.save` or `torch.load` of the same round:

- `torch.save`: to a file, which after a power cut may be gone, and after a crash half there;
- `+ fsync`: flushed to the disk, under a temporary name, renamed;
- `CheckpointStore`: that, with SHA-256 of each file, a manifest, and provenance;
- `in the background`: how long training waits for it.
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import torch

from codex_ml.checkpoint import CheckpointStore

if TYPE_CHECKING:
    from collections.abc import Callable

TENSORS = 48


def state_of(megabytes: int) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Weights, and the optimizer's state, which is twice as large."""
    size = megabytes * 10**6 // 4 // 3 // TENSORS
    weights = {f"layer.{n}.weight": torch.randn(size) for n in range(TENSORS)}
    slots = {
        n: {"step": torch.tensor(7.0), "exp_avg": torch.randn(size), "exp_avg_sq": torch.rand(size)}
        for n in range(TENSORS)
    }
    return weights, {"optimizer": {"state": slots, "param_groups": [{"lr": 0.1}]}}


def bare(path: Path, weights: dict[str, torch.Tensor], state: dict[str, Any]) -> None:
    """One file, as in most repositories."""
    torch.save({"model": weights, **state}, path)


def flushed(path: Path, weights: dict[str, torch.Tensor], state: dict[str, Any]) -> None:
    """The least that a crash and a power cut leave whole."""
    aside = path.with_suffix(".writing")
    bare(aside, weights, state)
    for each in (aside, path.parent):
        handle = os.open(each, os.O_RDONLY)
        os.fsync(handle)
        os.close(handle)
    aside.rename(path)


def timed(act: Callable[[], object]) -> float:
    """Seconds of the wall: most of this is waiting for a disk."""
    started = time.perf_counter()
    act()
    return time.perf_counter() - started


def main() -> int:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--megabytes", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--directory", type=Path, help="on the disk to measure")
    options = parser.parse_args()
    weights, state = state_of(options.megabytes)
    with tempfile.TemporaryDirectory(dir=options.directory) as name:
        root = Path(name)
        saves: dict[str, list[float]] = {}
        loads: dict[str, list[float]] = {}
        for _ in range(options.rounds):
            one_round(root, weights, state, saves, loads)
            shutil.rmtree(root)
            root.mkdir()
    for title, times in (("save", saves), ("load", loads)):
        first = next(iter(times.values()))
        print(f"{title + f', {options.megabytes} MB':28} {'seconds':>8} {'ratio':>6}")
        for contender, each in times.items():
            ratio = median(a / b for a, b in zip(each, first, strict=True))
            print(f"{contender:28} {median(each):8.3f} {ratio:6.2f}")
    return 0


def one_round(
    root: Path,
    weights: dict[str, torch.Tensor],
    state: dict[str, Any],
    saves: dict[str, list[float]],
    loads: dict[str, list[float]],
) -> None:
    """Each contender once, on a disk that has written what came before."""

    def note(table: dict[str, list[float]], name: str, act: Callable[[], object]) -> None:
        table.setdefault(name, []).append(timed(act))
        os.sync()

    store = CheckpointStore(root / "store", keep_last=1)
    behind = CheckpointStore(root / "behind", keep_last=1, background=True)
    note(saves, "torch.save", lambda: bare(root / "bare.pt", weights, state))
    note(saves, "+ fsync", lambda: flushed(root / "flushed.pt", weights, state))
    note(saves, "CheckpointStore", lambda: store.save(1, weights, state))
    behind.save(1, weights, state)  # the first has no memory to use again
    behind.wait()
    note(saves, "in the background", lambda: behind.save(2, weights, state))
    behind.wait()
    note(loads, "torch.load", lambda: torch.load(root / "bare.pt", weights_only=True))
    note(loads, "CheckpointStore, verified", store.load)


if __name__ == "__main__":
    raise SystemExit(main())
