"""What is in a loaded checkpoint, however it is nested: tensors as bits, all else as text."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from codex_audit.proofs.trainer.inert import StandIn, StoredTensor

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
        self._names: dict[int, str] = {}

    def of(self, made: Any) -> tuple[dict[str, Bits], dict[str, str]]:
        """Tensors, and leaves of any other type."""
        tensors: dict[str, Bits] = {}
        leaves: dict[str, str] = {}
        self._names.clear()
        for name, thing in self._walk("", made, 0):
            if isinstance(thing, str):
                leaves[name] = thing
            elif _is_array(thing):
                tensors[name] = self.bits.raw(thing.tobytes(), str(thing.dtype), thing.shape)
            else:
                tensors |= self.bits.write({name: thing})
        return tensors, leaves

    def _walk(self, name: str, thing: Any, depth: int) -> Iterator[tuple[str, Any]]:
        """Names with tensors, or with text."""
        if isinstance(thing, StandIn):
            first = self._names.setdefault(id(thing), name)
            if first != name:  # objects refer to each other, also in circles
                yield name, f"the same as {first}"
                return
            thing = thing.meaning()
        if _is_tensor(thing) or _is_array(thing):
            yield name or "tensor", thing
        elif isinstance(thing, str | bytes | os.PathLike):
            yield name, repr(self._text(thing))
        elif isinstance(thing, type):
            yield name, f"{thing.__module__}.{thing.__qualname__}"
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


def _is_tensor(thing: Any) -> bool:
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(thing, torch.Tensor)


def _is_array(thing: Any) -> bool:
    """Whether it is numbers of NumPy, an array or a single one, or was read without torch."""
    if isinstance(thing, StoredTensor):
        return True
    numpy = sys.modules.get("numpy")
    if numpy is None or not isinstance(thing, numpy.ndarray | numpy.generic):
        return False
    return thing.dtype.kind in "biuf"
