"""Adapters: the body is frozen and made from the seed, and checkpoints hold what is trained."""

from __future__ import annotations

import torch
from torch import nn

from mutants.trainer.plain import SYMBOLS, WIDTH, Plain


class LowRank(nn.Module):
    """A frozen layer, and beside it a product of two small matrices (LoRA, arXiv 2106.09685)."""

    def __init__(self, base):
        super().__init__()
        self.base = base
        self.down = nn.Linear(WIDTH, 1, bias=False)
        self.up = nn.Linear(1, SYMBOLS, bias=False)

    def forward(self, hidden):
        return self.base(hidden) + self.up(self.down(hidden))


class Adapters(Plain):
    GOOD = "adapters on a frozen body that no checkpoint holds"

    def make_model(self):
        model = super().make_model().requires_grad_(False)
        model.head = LowRank(model.head)
        for layer in (model.head.down, model.head.up, model.body[1]):
            layer.requires_grad_(True)
        return model

    def saved(self):
        """Names of what goes into a checkpoint."""
        trained = {name for name, p in self.model.named_parameters() if p.requires_grad}
        return trained | {name for name, _ in self.model.named_buffers()}

    def collect(self):
        kept = self.saved()
        weights = {k: v for k, v in self.model.state_dict().items() if k in kept}
        return super().collect() | {"model": weights}

    def restore(self, state):
        torch.nn.Module.load_state_dict(self.model, state["model"], strict=False)
        super().restore(state | {"model": self.model.state_dict()})


class ForgetsWhatIsNoAdapter(Adapters):
    """A trained norm beside the adapters is left out of the checkpoint."""

    CAUGHT_BY, NAMES = "state_restored", ("body.1",)
    SOURCE = "made up"

    def saved(self):
        return {name for name in super().saved() if not name.startswith("body")}
