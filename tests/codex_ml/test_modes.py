"""Evaluation leaves each submodule in its own mode, and each buffer as it was."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from codex_ml.modes import evaluating


class Counting(nn.Module):
    """Counts its calls in either mode: one buffer in place, the other anew."""

    calls: Tensor
    sums: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("calls", torch.zeros(()))
        self.register_buffer("sums", torch.zeros(2))
        self.register_buffer("places", torch.arange(2).expand(3, -1))  # cannot be written to

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        self.sums = self.sums + x.sum(dim=0)
        return x


def test_what_was_frozen_stays_frozen_and_the_rest_trains_again_also_after_a_fault() -> None:
    model = nn.Sequential(nn.Dropout(), nn.BatchNorm1d(2))
    model[1].eval()

    @evaluating(model)
    def fails() -> None:
        assert not any(module.training for module in model.modules())
        assert not torch.is_grad_enabled()
        raise RuntimeError("inside")

    with pytest.raises(RuntimeError, match="inside"):
        fails()
    assert [module.training for module in model.modules()] == [True, True, False]
    assert torch.is_grad_enabled()


def test_buffers_are_the_same_ones_with_what_they_held() -> None:
    counting = Counting()
    model = nn.Sequential(counting, nn.BatchNorm1d(2))
    model(torch.rand(4, 2))
    objects = list(model.buffers())
    values = [buffer.clone() for buffer in objects]
    with evaluating(model):
        model(torch.rand(4, 2))
        assert not torch.equal(counting.calls, values[0])
    assert all(one is other for one, other in zip(model.buffers(), objects, strict=True))
    assert all(torch.equal(*pair) for pair in zip(model.buffers(), values, strict=True))
