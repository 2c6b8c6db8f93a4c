"""Trainers whose optimizer is given another gradient than that of the loss over the window."""

from __future__ import annotations

import torch
from torch import nn
from torch.utils.data import DataLoader

from mutants.trainer.good_styles import RandomBlocks
from mutants.trainer.plain import IGNORED, Plain, collate


def tokens_in(labels):
    return (labels != IGNORED).sum()


class NotDivided(Plain):
    """The micro-batches' mean losses are added up, not averaged."""

    CAUGHT_BY, NAMES = "accumulation_equals_large_batch", "not divided"
    SOURCE = "huggingface/transformers#35438, 4.47.0"

    def weigh(self, loss, labels, _):
        return loss / tokens_in(labels)


class MeanOfMeans(Plain):
    """Each micro-batch counts the same, however many tokens it holds."""

    CAUGHT_BY, NAMES = "accumulation_equals_large_batch", "tokens"
    SOURCE = "made up"

    def weigh(self, loss, labels, window):
        return loss / tokens_in(labels) / len(window)


class DividesTwice(RandomBlocks):
    """The loss is divided twice, by the model's caller and before backward."""

    CAUGHT_BY, NAMES = "accumulation_equals_large_batch", "once too often"
    SOURCE = "made up"

    def train(self, steps):
        original = self.model.forward

        def divided(tokens, labels=None):
            output = original(tokens, labels)
            output.loss = output.loss / self.accumulate
            return output

        self.model.forward = divided
        try:
            return super().train(steps)
        finally:
            self.model.forward = original


class AveragesEachMicroBatch(Plain):
    """The average of the weights is updated with each micro-batch"""

    CAUGHT_BY = "accumulation_equals_large_batch"
    NAMES = ("average", "each micro-batch")
    SOURCE = "made up"

    def backward(self, loss):
        super().backward(loss)
        super().update_average()

    def update_average(self):
        pass


class LastWindowDividedByK(Plain):
    """The short last window of an epoch is divided by the full number of micro-batches."""

    CAUGHT_BY, NAMES = "last_window_counts", "last window"
    SOURCE = "made up"

    def weigh(self, loss, labels, window):
        weighed = super().weigh(loss, labels, window)
        return weighed * len(window) / self.accumulate


class LastWindowLost(Plain):
    """The micro-batches left at an epoch's end make no step, and stay in the gradient."""

    CAUGHT_BY, NAMES = "last_window_counts", "last window"
    SOURCE = "made up"

    def one_step(self, batches):
        if len(batches) < self.accumulate:
            for tokens, labels in batches:
                loss = self.loss_of(self.model, tokens, labels, None)
                self.backward(loss / tokens_in(labels) / self.accumulate)
            batches = next(self.stream)
            self.kept = True
        return super().one_step(batches)

    def before_window(self):
        if not getattr(self, "kept", False):
            super().before_window()
        self.kept = False


class ClearsEachMicroBatch(Plain):
    """zero_grad is called before each micro-batch: only the last one counts."""

    CAUGHT_BY, NAMES = "accumulation_equals_large_batch", "zero_grad"
    SOURCE = "made up"

    def backward(self, loss):
        self.optimizer.zero_grad()
        super().backward(loss)


class ClearsBesideDrawnSeeds(ClearsEachMicroBatch):
    """The same, without a setting for dropout, and each epoch's loader draws a seed for workers."""

    CAUGHT_BY, NAMES = "accumulation_equals_large_batch", "zero_grad"
    SOURCE = "Lightning 2.0.9, PR 18619"

    def __init__(self, seed, device, directory, *, batch_size=2, accumulate=2):
        super().__init__(
            seed, device, directory, batch_size=batch_size, accumulate=accumulate, dropout=False
        )

    def loader(self, micros):
        return DataLoader(self.data, batch_sampler=micros, collate_fn=collate)


class StepsEachMicroBatch(Plain):
    """The setting is read under another name: each micro-batch makes a step."""

    CAUGHT_BY, NAMES = "accumulation_equals_large_batch", "ignored"
    SOURCE = "made up"

    def __init__(self, seed, device, directory, *, batch_size=2, accumulate=2, dropout=True):
        super().__init__(seed, device, directory, batch_size=batch_size, dropout=dropout)
        self.asked = accumulate
        self.accumulate = 1


class NeverClears(Plain):
    """Gradients are never set to zero: each step has all of those before on top."""

    CAUGHT_BY, NAMES = "first_update", "zero_grad"
    SOURCE = "made up"

    def before_window(self):
        self.model.train()


class ClearsTooLate(Plain):
    """zero_grad stands between backward and step."""

    CAUGHT_BY, NAMES = "first_update", "cleared"
    SOURCE = "made up"

    def clip(self):
        super().clip()
        self.optimizer.zero_grad(set_to_none=False)


class LossTimesWorld(RandomBlocks):
    """The loss is multiplied by a number of processes that there are not."""

    CAUGHT_BY, NAMES = "first_update", "times the loss"
    SOURCE = "made up"

    def train(self, steps):
        self.accumulate, kept = self.accumulate, self.accumulate
        backward = torch.Tensor.backward
        torch.Tensor.backward = lambda tensor: backward(tensor * 4)
        try:
            return super().train(steps)
        finally:
            torch.Tensor.backward = backward
            self.accumulate = kept


class NeverUnscales(Plain):
    """In fp16 the optimizer steps on scaled gradients, without the scaler."""

    CAUGHT_BY, NAMES = "first_update", "times that of the loss"
    SOURCE = "made up"

    def __init__(self, seed, device, directory, *, accumulate=2, horizon=100):
        super().__init__(
            seed, device, directory, accumulate=accumulate, horizon=horizon, precision="fp16",
            clip_norm=None,
        )  # fmt: skip

    def update(self):
        self.optimizer.step()
        self.schedule.step()
        self.update_average()


class ClipsAfterStep(Plain):
    """Gradients are clipped after the optimizer has used them."""

    CAUGHT_BY, NAMES = "clipping_holds", "after the step"
    SOURCE = "made up"

    def update(self):
        kept, self.clip = self.clip, lambda: None
        super().update()
        self.clip = kept
        self.clip()


class ClipsEachParameter(Plain):
    """Each parameter's gradient is clipped by its own norm."""

    CAUGHT_BY, NAMES = "clipping_holds", "all parameters together"
    SOURCE = "made up"

    def clip(self):
        for parameter in self.trained():
            nn.utils.clip_grad_norm_([parameter], self.clip_norm)


class ClipsBeforeUnscale(Plain):
    """In mixed precision the scaled gradients are clipped, and unscaled afterwards."""

    CAUGHT_BY, NAMES = "clipping_holds", "unscale"
    SOURCE = "made up"

    def update(self):
        self.clip()
        self.clip, kept = (lambda: None), self.clip
        super().update()
        self.clip = kept


class ClipsEachMicroBatch(Plain):
    """The sum so far is clipped after each micro-batch, not the whole at the end."""

    CAUGHT_BY, NAMES = "clipping_holds", "micro-batch"
    SOURCE = "made up"

    def backward(self, loss):
        super().backward(loss)
        nn.utils.clip_grad_norm_(self.trained(), self.clip_norm)


class ClipsByValue(Plain):
    """The setting for the norm is taken as a bound for each number."""

    CAUGHT_BY, NAMES = "clipping_holds", "direction"
    SOURCE = "made up"

    def clip(self):
        bound = self.clip_norm / sum(p.numel() for p in self.trained()) ** 0.5
        nn.utils.clip_grad_value_(self.trained(), bound)


class AlwaysNormalises(Plain):
    """Gradients are scaled to the limit also where they are below it."""

    CAUGHT_BY, NAMES = "clipping_holds", "min(1"
    SOURCE = "made up"

    def clip(self):
        norm = torch.stack([p.grad.norm() for p in self.trained()]).norm()
        for parameter in self.trained():
            parameter.grad.mul_(self.clip_norm / norm)


class LooksWithGradients(Plain):
    """After each step a loss is looked at with gradients on, and its gradient stays."""

    CAUGHT_BY, NAMES = "accumulation_equals_large_batch", ("beside those", "gradient")
    SOURCE = "made up; a callback that measures the gradient's norm on held-out data"

    def before_window(self):
        self.model.train()

    def update(self):
        super().update()
        self.optimizer.zero_grad(set_to_none=True)
        tokens, labels = next(iter(self.held_out()))
        self.loss_of(self.model, tokens, labels, None).backward()
