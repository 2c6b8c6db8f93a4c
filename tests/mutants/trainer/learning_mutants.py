"""Trainers that step and do not learn, or learn from numbers that are none."""

from __future__ import annotations

import torch

from mutants.trainer.plain import IGNORED, Plain


class DividesByNoTokens(Plain):
    """The mean over a micro-batch's tokens, where one has none that count."""

    CAUGHT_BY, NAMES = "loss_finite", "nan"
    SOURCE = "made up"

    def check(self, loss):
        pass

    def augment(self, tokens, labels):
        if self.step == 5:
            labels = torch.full_like(labels, IGNORED)
        return super().augment(tokens, labels)

    def weigh(self, loss, labels, window):
        return loss / (labels != IGNORED).sum() / len(window)


class ClearsBeforeStep(Plain):
    """The gradients are set to zero between backward and step."""

    CAUGHT_BY, NAMES = "loss_falls", "fall"
    SOURCE = "made up"

    def update(self):
        self.optimizer.zero_grad(set_to_none=False)
        super().update()


class ForgetsStreamPlace(Plain):
    """The loader draws its own order from a generator that is not saved."""

    CAUGHT_BY, NAMES = "resume_bit_exact", "permutation"
    SOURCE = "made up"

    def permutation(self, epoch):
        if not hasattr(self, "shuffler"):
            self.shuffler = torch.Generator().manual_seed(self.seed)
            self.orders = {}
        if epoch not in self.orders:
            self.orders[epoch] = torch.randperm(26, generator=self.shuffler).tolist()
        return self.orders[epoch]
