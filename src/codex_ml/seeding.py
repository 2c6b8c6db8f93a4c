"""Random numbers under control: seed every generator, carry their states, ask for determinism.

Sources: PyTorch's notes on reproducibility (https://docs.pytorch.org/docs/stable/notes/randomness.html)
and NVIDIA's on cuBLAS (https://docs.nvidia.com/cuda/cublas/#results-reproducibility).
"""

from __future__ import annotations

import hashlib
import os
import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from codex_ml.environment import rank

RngState = dict[str, Any]
"""The states of all generators: only tensors, numbers, strings, tuples and dictionaries."""

_CUBLAS = "CUBLAS_WORKSPACE_CONFIG"
_CUBLAS_DETERMINISTIC = (":4096:8", ":16:8")


class DeterminismError(RuntimeError):
    """Determinism was asked for when it could no longer be had; the message says what to do."""


class RngStateError(ValueError):
    """A state that does not fit this machine; restoring it would not continue the run."""


def seed_everything(seed: int) -> None:
    """Seed Python, NumPy, torch's CPU generator and that of every CUDA device.

    Raises:
        ValueError: `seed` is not in 0 to 2**32 - 1, the range that all of them take.
    """
    if not 0 <= seed < 2**32:
        raise ValueError(f"seed {seed} is not in 0 .. 2**32 - 1, the range that NumPy takes")
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 - the global generator is the one that libraries draw from
    torch.manual_seed(seed)  # also every CUDA device, now or when CUDA starts


def generator(seed: int, *stream: int) -> torch.Generator:
    """A CPU generator of its own, for a loader or a sampler: nobody else draws from it.

    Args:
        seed: of the run.
        stream: what it is for (an epoch, a rank, a purpose); other numbers, other draws.
    """
    own = torch.Generator()
    own.manual_seed(_mix(seed, *stream) >> 1)  # it takes 63 bits
    return own


def worker_init_fn(worker_id: int) -> None:
    """Seed a DataLoader's worker process; give it to the loader as `worker_init_fn`.

    torch seeds a worker by a number that the loader draws, plus `worker_id`: ranks that share
    a seed draw the same number and augment their samples alike. Here the rank counts as well.
    The loader draws anew each epoch: give it a `generator` of its own, and a resumed run must
    restore that or start from the epoch (https://docs.pytorch.org/docs/stable/data.html).
    """
    drawn = torch.initial_seed() - worker_id
    seed_everything(_mix(drawn, rank(), worker_id) >> 32)  # workers inherit the environment


def capture() -> RngState:
    """The states of all generators as one value that `torch.load(weights_only=True)` reads.

    Returns:
        `python`: (version, 625 integers, next Gaussian or None); `numpy`: what its
        `get_state()` gives, the key as an int64 tensor of 624; `torch`: a uint8 tensor; `cuda`:
        a uint8 tensor a device, empty without CUDA.
    """
    numpy_state: Any = np.random.get_state()  # noqa: NPY002 - as in seed_everything
    name, key, position, has_gauss, gauss = numpy_state
    return {
        "python": random.getstate(),
        # weights_only refuses NumPy arrays, and uint32 tensors lack most operators.
        "numpy": (name, torch.from_numpy(key.astype(np.int64)), position, has_gauss, gauss),
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }


def restore(state: RngState) -> None:
    """Set all generators to what `capture` returned, also one that was saved and loaded.

    Raises:
        RngStateError: the number of CUDA devices differs; or `state` is none.
    """
    missing = {"python", "numpy", "torch", "cuda"} - set(state)
    if missing:
        raise RngStateError(f"no value of capture(): it lacks {', '.join(sorted(missing))}")
    devices = torch.cuda.device_count() if torch.cuda.is_available() else 0
    saved = len(state["cuda"])
    if devices != saved:
        remedy = "resume on as many devices, or go on with other random numbers (exact=False)"
        raise RngStateError(f"{saved} CUDA generators are saved, {devices} are here; {remedy}")
    version, words, cached = state["python"]
    name, key, position, has_gauss, gauss = state["numpy"]
    numpy_state = (name, key.cpu().numpy().astype(np.uint32), position, has_gauss, gauss)
    random.setstate((version, tuple(words), cached))
    np.random.set_state(numpy_state)  # noqa: NPY002 - as in seed_everything
    # torch.load with map_location="cuda" moves these too; generators take CPU tensors.
    torch.set_rng_state(state["torch"].cpu())
    for device, own in enumerate(state["cuda"]):
        torch.cuda.set_rng_state(own.cpu(), device)


@contextmanager
def untouched() -> Iterator[None]:
    """Run a block after which every generator is where it was before it."""
    state = capture()
    try:
        yield
    finally:
        restore(state)


def deterministic(*, enabled: bool = True, warn_only: bool = False) -> None:
    """Switch deterministic algorithms on or off, with all that belongs to them.

    Call it before the first CUDA operation: cuBLAS reads `CUBLAS_WORKSPACE_CONFIG` once.

    Args:
        enabled: whether an operation without a deterministic algorithm is refused.
        warn_only: warn of such an operation instead.

    Raises:
        DeterminismError: CUDA has started without a deterministic cuBLAS workspace.
    """
    if enabled and os.environ.get(_CUBLAS) not in _CUBLAS_DETERMINISTIC:
        if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]  # torch lacks it
            remedy = f"start the process with {_CUBLAS}={_CUBLAS_DETERMINISTIC[0]}"
            raise DeterminismError(
                f"CUDA has started with {_CUBLAS}={os.environ.get(_CUBLAS)}, so cuBLAS stays "
                f"nondeterministic; {remedy}, or call deterministic() before any CUDA work"
            )
        os.environ[_CUBLAS] = _CUBLAS_DETERMINISTIC[0]
    torch.use_deterministic_algorithms(enabled, warn_only=warn_only)
    torch.backends.cudnn.deterministic = enabled
    # Benchmarking picks the fastest kernel of the moment, another one in another run.
    torch.backends.cudnn.benchmark = False


def _mix(*numbers: int) -> int:
    """64 bits in which each number counts; sums would make (1, 2) equal to (2, 1)."""
    text = ",".join(str(number) for number in numbers)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
