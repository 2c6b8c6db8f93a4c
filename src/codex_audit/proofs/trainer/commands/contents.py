"""What is in a loaded checkpoint, however it is nested: tensors as bits, all else as text."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from codex_audit.proofs.trainer.bits import Bits, BitsFile

_DEPTH = 24
_MANY = 16
_PLAIN = (int, float, complex, bool, type(None))


class Contents:
    """Names everything in an object by its path, such as "optimizer.state.0.exp_avg".

    Args:
        bits: where tensors' bytes go.
        hidden: texts that stand for the run's own directory, which no two runs share.
    """

    def __init__(self, bits: BitsFile, hidden: list[str]) -> None:
        self.bits = bits
        self._hidden = sorted(hidden, key=len, reverse=True)

    def of(self, made: Any) -> tuple[dict[str, Bits], dict[str, str]]:
        """Tensors, and leaves of any other type."""
        tensors: dict[str, Bits] = {}
        leaves: dict[str, str] = {}
        for name, thing in self._walk("", made, 0):
            if isinstance(thing, str):
                leaves[name] = thing
            else:
                tensors |= self.bits.write({name: thing})
        return tensors, leaves

    def _walk(self, name: str, thing: Any, depth: int) -> Iterator[tuple[str, Any]]:
        """Names with tensors, or with text."""
        tensor = _as_tensor(thing)
        if tensor is not None:
            yield name or "tensor", tensor
        elif isinstance(thing, str | bytes | os.PathLike):
            yield name, repr(self._text(thing))
        elif isinstance(thing, _PLAIN):
            yield name, repr(thing)
        elif depth >= _DEPTH:
            yield name, f"something of type {type(thing).__name__}, nested too deeply"
        elif isinstance(thing, set | frozenset):
            yield name, repr(sorted(map(repr, thing)))
        elif isinstance(thing, list | tuple):
            if len(thing) > _MANY and all(isinstance(each, _PLAIN) for each in thing):
                digest = hashlib.sha256(repr(thing).encode()).hexdigest()[:12]
                yield name, f"{len(thing)} numbers ({digest})"
                return
            for number, each in enumerate(thing):
                yield from self._walk(_joined(name, number), each, depth + 1)
        else:
            inside = _inside(thing)
            if inside is None:
                yield name, f"something of type {type(thing).__name__}"
                return
            for key, each in inside.items():
                yield from self._walk(_joined(name, key), each, depth + 1)

    def _text(self, thing: Any) -> Any:
        if isinstance(thing, bytes):
            return thing
        text = os.fspath(thing)
        if isinstance(text, str):
            for hidden in self._hidden:
                text = text.replace(hidden, "{dir}")
        return text


def _joined(name: str, key: object) -> str:
    return f"{name}.{key}" if name else str(key)


def _inside(thing: Any) -> Mapping[Any, Any] | None:
    """What an object of some class holds: its state, else its attributes."""
    if isinstance(thing, Mapping):
        return thing
    state = getattr(thing, "state_dict", None)
    if callable(state):
        found = state()
        return found if isinstance(found, Mapping) else None
    return getattr(thing, "__dict__", None)


def _as_tensor(thing: Any) -> Any:
    """A tensor of a tensor or an array; None of everything else."""
    torch = sys.modules.get("torch")
    if torch is None:
        return None
    if isinstance(thing, torch.Tensor):
        return thing
    numpy = sys.modules.get("numpy")
    if numpy is None or not isinstance(thing, numpy.ndarray | numpy.generic):
        return None
    if thing.dtype.kind not in "biuf":
        return None
    wide = {"uint16": "int32", "uint32": "int64", "uint64": "int64", "longdouble": "float64"}
    array = numpy.array(thing)
    return torch.from_numpy(array.astype(wide.get(str(array.dtype), array.dtype)))
