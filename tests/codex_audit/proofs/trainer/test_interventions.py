"""What a proof changes in an output it changes in every kind of output."""

from __future__ import annotations

from collections import OrderedDict
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from codex_audit.proofs.trainer.interventions import poisoned, worsened


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
