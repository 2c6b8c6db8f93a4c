"""Tensors that a subject's own classes hold beside model and optimizer, such as an average."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.utils.data import DataLoader, Dataset

if TYPE_CHECKING:
    from types import CodeType

_DEEPEST, _MOST = 4, 4096
_LEFT_OUT = (Optimizer, Dataset, DataLoader, torch.Generator)


class OwnTensors:
    """Finds tensors in objects of classes that are not of `library`.

    Args:
        trainer: whose model, and what is part of that, is left out.
        library: whose own attributes are left out.
    """

    def __init__(self, trainer: Any, library: str) -> None:
        self._trainer = trainer
        self._library = library
        self._theirs = frozenset(
            name
            for base in type(trainer).__mro__
            if self._of_library(base)
            for member in vars(base).values()
            for name in _names(getattr(member, "__code__", None))
        )

    def of(self, name: str, holder: Any) -> dict[str, Tensor]:
        """Tensors by name that attributes of `holder` hold, or what these hold."""
        model = self._trainer.model
        seen = {id(self._trainer), *map(id, model.modules() if model is not None else ())}
        given = {id(p) for p in model.parameters()} if model is not None else set()
        known = self._theirs if holder is self._trainer else frozenset[str]()
        if holder is not self._trainer and self._of_library(type(holder)):
            return {}
        found: dict[str, Tensor] = {}
        for key, value in vars(holder).items():
            if key not in known:
                for title, tensor in self._within(f"{name}.{key}", value, seen, 1):
                    if id(tensor) not in given and len(found) < _MOST:
                        found[title] = tensor
        return found

    @staticmethod
    def numbers(name: str, values: Mapping[str, Any]) -> dict[str, Tensor]:
        """Those of the values that are numbers."""
        return {
            f"{name}.{key}": torch.tensor(value, dtype=torch.float64)
            for key, value in values.items()
            if isinstance(value, int | float)
        }

    def _within(
        self, name: str, value: Any, seen: set[int], depth: int
    ) -> Iterator[tuple[str, Tensor]]:
        if isinstance(value, Tensor):
            yield name, value
            return
        if id(value) in seen or depth > _DEEPEST or isinstance(value, _LEFT_OUT):
            return
        seen.add(id(value))
        inner: Mapping[str, Any] = {}
        if isinstance(value, nn.Module):
            inner = {} if seen & set(map(id, value.children())) else value.state_dict()
        elif isinstance(value, Mapping):
            inner = {str(key): each for key, each in value.items()}
        elif isinstance(value, list | tuple) and len(value) < _MOST:
            inner = {str(number): each for number, each in enumerate(value)}
        elif hasattr(value, "__dict__") and not self._foreign(type(value)):
            inner = vars(value)
        for key, each in inner.items():
            yield from self._within(f"{name}.{key}", each, seen, depth + 1)

    def _of_library(self, kind: type) -> bool:
        return kind.__module__.partition(".")[0] == self._library

    def _foreign(self, kind: type) -> bool:
        """Whether a class is of a library, whose objects are not looked into."""
        top = kind.__module__.partition(".")[0]
        return top in {self._library, "accelerate", "builtins", "numpy", "torch"}


def _names(code: CodeType | None) -> tuple[str, ...]:
    return code.co_names if code is not None else ()
