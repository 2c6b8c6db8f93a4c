"""Short hashes of tensors and of generators, by which they are known again."""

from __future__ import annotations

import hashlib
import random
import sys
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_flatten

from codex_audit.proofs.trainer.bits import flat_bytes, raw_bytes


def digest(tensor: Tensor) -> str:
    """A short hash of a tensor's type, shape and bits."""
    _, data = flat_bytes(tensor)
    head = f"{tensor.dtype}{tuple(tensor.shape)}".encode()
    return hashlib.sha256(head + data).hexdigest()[:16]


def rng_digests() -> dict[str, str]:
    """Stream -> hash of its generator's state: Python's, NumPy's, torch's, each CUDA device's."""
    states = {"python": repr(random.getstate()).encode()}
    numpy = sys.modules.get("numpy")
    if numpy is not None:
        name, keys, *rest = numpy.random.get_state()
        states["numpy"] = repr((name, keys.tobytes(), rest)).encode()
    states["torch"] = raw_bytes(torch.get_rng_state())
    if torch.cuda.is_available() and torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        for device in range(torch.cuda.device_count()):
            states[f"cuda:{device}"] = raw_bytes(torch.cuda.get_rng_state(device))
    return {stream: hashlib.sha256(state).hexdigest()[:16] for stream, state in states.items()}


def tensors_in(tree: Any) -> list[Tensor]:
    """Every tensor in nested containers."""
    return [leaf for leaf in tree_flatten(tree)[0] if isinstance(leaf, Tensor)]
