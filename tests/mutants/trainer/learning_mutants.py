"""Trainers that step and do not learn, in whole or in part, or learn from numbers that are none."""

from __future__ import annotations

import torch
from torch import nn

from mutants.trainer.good_styles import PlainLoop
from mutants.trainer.plain import IGNORED, SYMBOLS, WIDTH, Model, Plain


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


class TrainsCopy(Plain):
    """The optimizer was made of a model that was replaced afterwards."""

    CAUGHT_BY, NAMES = "every_parameter_learns", "no optimizer"
    SOURCE = "made up"

    def __init__(self, seed, device, directory, **knobs):
        super().__init__(seed, device, directory, **knobs)
        self.model.head = nn.Linear(WIDTH, SYMBOLS)


class DetachedBody(Model):
    def forward(self, tokens, noise=None):
        with torch.no_grad():
            hidden = self.embedding(tokens)
        return self.head(self.body(hidden if noise is None else hidden + noise))


class DetachesEmbedding(Plain):
    """A part of the model runs under no_grad, though it should be trained."""

    CAUGHT_BY, NAMES = "every_parameter_learns", ("no gradient", "embedding")
    SOURCE = "made up"

    def make_model(self):
        return DetachedBody(0.1 if self.noisy else 0.0)


class DecaysFrozen(Plain):
    """Weight decay written by hand shrinks frozen parameters too."""

    CAUGHT_BY, NAMES = "every_parameter_learns", ("frozen", "decay")
    SOURCE = "made up"

    def update(self):
        with torch.no_grad():
            for parameter in self.model.parameters():
                parameter.mul_(1 - 0.002)
        super().update()


class ZeroRateGroup(Plain):
    """One group of parameters has a rate of zero."""

    CAUGHT_BY, NAMES = "every_parameter_learns", "no step changes"
    SOURCE = "made up"

    def make_optimizer(self):
        head = list(self.model.head.parameters())
        rest = [p for p in self.trained() if not any(p is q for q in head)]
        groups = [{"params": rest}, {"params": head, "lr": 0.0}]
        return torch.optim.AdamW(groups, lr=0.02)


class ThawsFrozen(Plain):
    """What should stay frozen requires a gradient and is given to no optimizer."""

    CAUGHT_BY, NAMES = "every_parameter_learns", "position"
    SOURCE = "made up"

    def make_optimizer(self):
        optimizer = super().make_optimizer()
        self.model.position.weight.requires_grad = True
        return optimizer


class TrustsTheLoss(Plain):
    """Nobody looks whether the loss is a number."""

    CAUGHT_BY, NAMES = "non_finite_noticed", "unnoticed"
    SOURCE = "huggingface/transformers: logging_nan_inf_filter hides it in the log"

    def check(self, loss):
        pass


class LooksTooLate(Plain):
    """The loss is looked at after the step has been made, and only a warning is printed."""

    CAUGHT_BY, NAMES = "non_finite_noticed", "unnoticed"
    SOURCE = "made up"

    def check(self, loss):
        if not torch.isfinite(loss):
            print("warning: loss is not finite")


class RemapsLabels(Plain):
    """A mapping of the labels is drawn for each batch, and not given to the model."""

    CAUGHT_BY, NAMES = "overfits_one_batch", "labels"
    SOURCE = "made up"

    def augment(self, tokens, labels):
        tokens, labels, noise = super().augment(tokens, labels)
        other = torch.randperm(SYMBOLS)[labels.clamp(min=0)]
        return tokens, other.masked_fill(labels == IGNORED, IGNORED), noise


class ScheduleIsOver(PlainLoop):
    """A schedule that counts another unit has come to zero after a few steps."""

    CAUGHT_BY, NAMES = "overfits_one_batch", "learning rate"
    SOURCE = "made up"

    def __init__(self, seed, device, directory):
        super().__init__(seed, device, directory)
        self.optimizer.param_groups[0]["lr"] = 0.001
        self.schedule = torch.optim.lr_scheduler.LambdaLR(self.optimizer, lambda n: 0.4**n)
        self.optimizer.register_step_post_hook(lambda *_: self.schedule.step())
