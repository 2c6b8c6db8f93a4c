"""What a proof changes in an output it changes in every kind of output."""

from __future__ import annotations

from collections import OrderedDict
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from codex_audit.proofs.trainer.interventions import (
    dropouts_seen,
    poisoned,
    turn_gradients,
    worsened,
)


class Output(OrderedDict[str, Tensor]):
    """As in releases of transformers that torch's trees do not know: items are attributes too."""

    def __setitem__(self, name: str, value: Tensor) -> None:
        super().__setitem__(name, value)
        super().__setattr__(name, value)


def outputs() -> list[Any]:
    loss = torch.tensor(1.0)
    return [
        loss,
        (loss, 3),
        {"loss": loss},
        SimpleNamespace(loss=loss, number=3),
        Output(loss=loss),
    ]


def loss_of(output: Any) -> float:
    if isinstance(output, Tensor):
        return float(output)
    if isinstance(output, tuple):
        return float(output[0])
    if isinstance(output, dict):
        loss: Tensor = output["loss"]
        assert getattr(output, "loss", loss) is loss
        return float(loss)
    return float(output.loss)


@pytest.mark.parametrize("place", range(5))
def test_a_loss_is_changed_wherever_it_is(place: int) -> None:
    assert torch.tensor(loss_of(poisoned(outputs()[place]))).isnan()
    assert loss_of(worsened(outputs()[place])) > 50


def test_what_is_no_number_stays() -> None:
    tokens = torch.arange(3)
    assert poisoned({"tokens": tokens})["tokens"] is tokens
    assert worsened("text") == "text"


def test_gradients_are_turned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.autograd, "backward", torch.autograd.backward)  # puts it back
    turn_gradients()
    one, other = (torch.tensor([2.0, 3.0], requires_grad=True) for _ in range(2))
    torch.autograd.backward(one.sum() * 2)
    torch.autograd.backward(other, torch.tensor([1.0, 5.0]))
    given = [each.grad.tolist() for each in (one, other) if each.grad is not None]
    assert given == [[-2.0, -2.0], [-1.0, -5.0]]


def test_dropout_is_seen_where_it_drops() -> None:
    layer, value, original = nn.Dropout(0.5), torch.ones(3), functional.dropout
    attention = nn.MultiheadAttention(4, 2, dropout=0.5)
    rows = torch.ones(1, 2, 4)
    with dropouts_seen() as seen, torch.no_grad():
        layer.eval()(value)
        nn.Dropout(0.0)(value)
        attention.eval()(rows, rows, rows, need_weights=False)
        assert seen == []
        layer.train()(value)
        functional.dropout(value, 0.5)
        attention.train()(rows, rows, rows, need_weights=False)
        assert seen == ["dropout", "dropout", "scaled_dot_product_attention"]
    assert functional.dropout is original
