"""Pickles of checkpoints read as data: tensors by their names, and stand-ins for all objects.

Nothing that a pickle names is imported or called, so that any file can be opened, whoever wrote
it, and without torch. The forms are those of `torch.save`: an archive of a pickle and storages
(since torch 1.6), pickles and storages in one stream before it, and plain pickles.
"""

from __future__ import annotations

import itertools
import pickle  # nosec B403 - its machine alone: no name in a file leads to code
import re
import zipfile
from collections import OrderedDict
from pathlib import PurePosixPath
from reprlib import recursive_repr
from typing import IO, TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

_MAGIC = 0x1950A86A20F9469CFC6C
_COUNT = 8
_OF_STORAGES = {
    "Double": "float64", "Float": "float32", "Half": "float16", "BFloat16": "bfloat16",
    "Long": "int64", "Int": "int32", "Short": "int16", "Char": "int8", "Byte": "uint8",
    "Bool": "bool", "ComplexDouble": "complex128", "ComplexFloat": "complex64",
}  # fmt: skip
_OF_NUMPY = {"f": "float", "i": "int", "u": "uint", "c": "complex"}
_OF_A_MODULE = ("_parameters", "_buffers", "_modules")


class StandIn:
    """In place of an object of some class, or of what some function would have returned.

    Attributes:
        given: what it was made of, and what was set or put into it, by name or number.
    """

    given: dict[str, Any]

    def __new__(cls, *args: Any, **named: Any) -> Self:
        """Made of anything."""
        made = super().__new__(cls)
        made.given = {str(number): each for number, each in enumerate(args)} | named
        return made

    def __init__(self, *args: Any, **named: Any) -> None:
        """Nothing is left to be done with them."""

    def __call__(self, *args: Any, **named: Any) -> StandIn:
        """Of a function that an object had."""
        return StandIn(*args, **named)

    def __setstate__(self, state: Any) -> None:
        parts = state if isinstance(state, tuple) else (state,)  # attributes, then slots
        if not all(isinstance(part, dict | None) for part in parts):
            parts = ({"state": state},)
        for part in filter(None, parts):
            self.given |= {str(key): each for key, each in part.items()}

    def __setitem__(self, key: Any, value: Any) -> None:
        self.given[str(key)] = value

    def append(self, value: Any) -> None:
        """As of a list, or a set."""
        self.given[str(len(self.given))] = value

    add = append

    def meaning(self) -> Any:
        """What it holds; of a module of torch what its `state_dict` has, by the same names."""
        parts = [self.given.get(name) for name in _OF_A_MODULE]
        if all(isinstance(part, dict) for part in parts):
            return {key: each for part in parts for key, each in (part or {}).items()}
        return self.given

    @recursive_repr()
    def __repr__(self) -> str:
        return f"{type(self).__module__}.{type(self).__qualname__}({self.given})"


class Storage:
    """Bytes that tensors share; in the older form they come after the tensors."""

    def __init__(self, dtype: str, data: bytes = b"") -> None:
        self.dtype = dtype
        self.data = data


class StoredTensor:
    """A view of a storage: `offset`, `shape` and `stride` count elements."""

    def __init__(
        self, storage: Storage, offset: int, shape: Sequence[int], stride: Sequence[int], dtype: str
    ) -> None:
        self.shape, self.dtype = tuple(shape), dtype
        self._storage, self._offset, self._stride = storage, offset, tuple(stride)

    def tobytes(self) -> bytes:
        """Its elements in the order of its shape.

        Raises:
            EOFError: the storage ends before them.
        """
        data, size, dense = self._storage.data, _size(self.dtype), _dense(self.shape)
        steps = [step for step, length in zip(self._stride, self.shape, strict=True) if length > 1]
        count = dense[0] * self.shape[0] if self.shape else 1
        if steps == [step for step, length in zip(dense, self.shape, strict=True) if length > 1]:
            found = data[self._offset * size : (self._offset + count) * size]
        else:
            places = (
                self._offset + sum(map(int.__mul__, place, self._stride))
                for place in itertools.product(*map(range, self.shape))
            )
            found = b"".join(data[place * size : (place + 1) * size] for place in places)
        if len(found) < count * size:
            raise EOFError("a storage ends before its tensor does")
        return found


class _Array(StandIn):
    """An array of NumPy, whose bytes are in its state, or a single number."""

    def meaning(self) -> Any:
        match self.given:
            case {"state": (_, shape, StandIn() as dtype, fortran, bytes(data))}:
                pass
            case {
                "0": bytes() | bytearray() as data,
                "1": StandIn() as dtype,
                "2": shape,
                "3": order,
            }:
                fortran = order == "F"
            case {"0": StandIn() as dtype, "1": bytes(data)}:
                shape, fortran = (), False
            case _:
                return self.given
        named = re.fullmatch(r"([fiucb])(\d+)", str(dtype.given.get("0")))
        if named is None or ">" in str(dtype.given.get("state")):  # objects, or another order
            return self.given
        name = "bool" if named[1] == "b" else f"{_OF_NUMPY[named[1]]}{int(named[2]) * 8}"
        stride = _dense(shape[::-1])[::-1] if fortran else _dense(shape)
        return StoredTensor(Storage(name, bytes(data)), 0, shape, stride, name)


def read(path: Path) -> Any:
    """What a pickle or a file of `torch.save` holds.

    Raises:
        EOFError, pickle.UnpicklingError, zipfile.BadZipFile: it is cut off or damaged.
        OSError: it cannot be read.
    """
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as members:
            return _of_archive(members)
    with path.open("rb") as stream:
        first = _Machine(stream).load()
        return _of_stream(stream) if first == _MAGIC else first


def is_plain(path: Path) -> bool:
    """Whether it is a pickle, and none that `torch.save` wrote. Raises as `read`."""
    with path.open("rb") as stream:
        return not stream.read(_COUNT * 2).startswith(pickle.dumps(_MAGIC, 2)[:-1])


def _of_archive(members: zipfile.ZipFile) -> Any:
    name = next(name for name in members.namelist() if name.endswith("data.pkl"))
    home = name.removesuffix("data.pkl")
    with members.open(name) as stream:
        return _Machine(stream, lambda key: members.read(f"{home}data/{key}")).load()


def _of_stream(stream: IO[bytes]) -> Any:
    """After the magic number: a version, the machine, the object, keys, each storage's bytes."""
    _Machine(stream).load()
    _Machine(stream).load()
    machine = _Machine(stream)
    made = machine.load()
    for key in _Machine(stream).load():
        count = int.from_bytes(stream.read(_COUNT), "little")
        storage = machine.storages[key]
        storage.data = stream.read(count * _size(storage.dtype))
    return made


class _Machine(pickle.Unpickler):
    """Runs a pickle's own operations, and gives it stand-ins for all that it names."""

    def __init__(self, stream: IO[bytes], stored: Callable[[str], bytes] | None = None) -> None:
        super().__init__(stream, encoding="latin1")
        self.storages: dict[str, Storage] = {}
        self._stored = stored

    def find_class(self, module: str, name: str) -> Any:
        """No class and no function of that name, but what stands for it."""
        known = _KNOWN.get(f"{module}.{name}") or _KNOWN.get(f"{module.partition('.')[0]}:{name}")
        home, _, last = name.rpartition(".")
        return known or type(last, (StandIn,), {"__module__": f"{module}.{home}".strip(".")})

    def persistent_load(self, pid: Any) -> Storage:
        """A storage: "storage", its class, its key, its device, its number of elements."""
        _, kind, key, *_ = pid
        if key not in self.storages:
            dtype = _OF_STORAGES.get(kind.__name__.removesuffix("Storage"), "uint8")
            self.storages[key] = Storage(dtype, self._stored(key) if self._stored else b"")
        return self.storages[key]


def _tensor(
    storage: Storage, offset: int, shape: Sequence[int], stride: Sequence[int], *more: Any
) -> StoredTensor:
    """As torch's `_rebuild_tensor` and its successors, of which the third names a type."""
    named = [each.__name__ for each in more if isinstance(each, type)]
    return StoredTensor(storage, offset, shape, stride, named[0] if named else storage.dtype)


def _first(made: Any, *more: Any) -> Any:
    """As torch's `_rebuild_parameter`: a parameter is its tensor."""
    del more
    return made


def _encode(text: str, encoding: str = "latin1") -> bytes:
    """As `_codecs.encode`, by which older protocols write bytes."""
    del encoding
    return text.encode("latin1")


def _size(dtype: str) -> int:
    """Bytes of an element."""
    bits = re.search(r"\d+", dtype)
    return max(int(bits[0]) // 8, 1) if bits else 1


def _dense(shape: Sequence[int]) -> list[int]:
    """The strides of an array without gaps, of which the last index moves fastest."""
    return [*itertools.accumulate(shape[:0:-1], int.__mul__, initial=1)][::-1] if shape else []


_KNOWN: dict[str, Any] = {
    "collections.OrderedDict": OrderedDict,
    "__builtin__.set": set, "builtins.set": set,
    "__builtin__.frozenset": frozenset, "builtins.frozenset": frozenset,
    "__builtin__.bytearray": bytearray, "builtins.bytearray": bytearray,
    "__builtin__.complex": complex, "builtins.complex": complex,
    "pathlib:PosixPath": PurePosixPath, "pathlib:PurePosixPath": PurePosixPath,
    "_codecs.encode": _encode,
    "copyreg._reconstructor": lambda kind, *_: kind(),
    "copy_reg._reconstructor": lambda kind, *_: kind(),
    "torch.Size": tuple,
    "torch._utils._rebuild_tensor": _tensor,
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch._utils._rebuild_tensor_v3": _tensor,
    "torch._utils._rebuild_parameter": _first,
    "torch._utils._rebuild_parameter_with_state": _first,
    "torch._tensor._rebuild_from_type_v2": lambda build, _, args, *__: build(*args),
    "numpy:_reconstruct": _Array,
    "numpy:_frombuffer": _Array,
    "numpy:scalar": _Array,
}  # fmt: skip
