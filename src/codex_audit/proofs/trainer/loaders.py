"""Data loaders made with another batch size or number of workers than their maker asked for."""

from __future__ import annotations

import functools
import importlib
import inspect
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from torch.utils.data import DataLoader

from codex_audit.proofs.trainer.session import UnableError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

KNOBS = frozenset({"batch_size", "workers"})
_OF_WORKERS = ("prefetch_factor", "persistent_workers", "multiprocessing_context", "timeout")


@contextmanager
def remade(knobs: Mapping[str, Any]) -> Iterator[None]:
    """Let every DataLoader made meanwhile obey the knobs `batch_size` and `workers`."""
    if not KNOBS & knobs.keys():
        yield
        return
    kinds: list[Any] = [DataLoader]
    with suppress(ImportError):  # a factory may import it later
        kinds.append(importlib.import_module("torchdata.stateful_dataloader").StatefulDataLoader)
    originals = [(kind, kind.__init__) for kind in kinds]
    try:
        for kind, original in originals:
            kind.__init__ = _obeying(original, knobs)
        yield
    finally:
        for kind, original in originals:
            kind.__init__ = original


def require_obedience(loader: Any, knobs: Mapping[str, Any]) -> None:
    """See that a loader is as the knobs ask.

    Raises:
        UnableError: it is no DataLoader, or makes its batches itself.
    """
    names = {"batch_size": "batch_size", "workers": "num_workers"}
    for knob in KNOBS & knobs.keys():
        found = getattr(loader, names[knob], None)
        if found != knobs[knob] and (found, knob, knobs[knob]) != (None, "workers", 0):
            raise UnableError(
                f"`{knob}` cannot be tried: the loader ({type(loader).__name__}) has "
                f"{names[knob]} {found!r}, whatever it is asked for"
            )


def _obeying(original: Callable[..., None], knobs: Mapping[str, Any]) -> Callable[..., None]:
    signature = inspect.signature(original)

    @functools.wraps(original)
    def initialised(loader: Any, *args: Any, **kwargs: Any) -> None:
        bound = signature.bind(loader, *args, **kwargs)
        given = bound.arguments
        if "batch_size" in knobs and _of_samples(given):
            given["batch_size"] = knobs["batch_size"]
        if "workers" in knobs:
            given["num_workers"] = knobs["workers"]
            if not knobs["workers"]:
                for name in _OF_WORKERS:
                    given.pop(name, None)
        original(*bound.args, **bound.kwargs)

    return initialised


def _of_samples(given: Mapping[str, Any]) -> bool:
    """Whether a loader makes batches of single samples."""
    return given.get("batch_sampler") is None and given.get("batch_size", 1) is not None
