"""A model's submodules between training and evaluation."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn


@contextmanager
def modes_kept(model: nn.Module) -> Iterator[None]:
    """Run a block that may call `model.eval()`, after which each submodule is in its own mode.

    `model.train()` would not do: a submodule that is frozen in evaluation stays there.
    """
    modes = [(module, module.training) for module in model.modules()]
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training
