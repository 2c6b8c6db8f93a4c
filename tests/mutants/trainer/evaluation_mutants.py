"""Trainers in which an evaluation changes the training."""

from __future__ import annotations

import torch
from torch import nn
from torch.utils.data import DataLoader

from mutants.trainer.good_styles import OwnOptimizer
from mutants.trainer.plain import Plain, collate


class DrawsBaseSeed(Plain):
    """The evaluation's loader draws its base seed from the global generator."""

    CAUGHT_BY, NAMES = "evaluation_leaves_no_trace", ("generator", "base seed")
    SOURCE = "made up"

    def held_out(self):
        return DataLoader(self.data, batch_sampler=[[0, 1], [2, 3]], collate_fn=collate)


class StaysInEvaluation(Plain):
    """The model is not put back into training mode."""

    CAUGHT_BY, NAMES = "evaluation_leaves_no_trace", "mode"
    SOURCE = "karpathy/nanoGPT, estimate_loss without its last line; made up"

    def before_window(self):
        if self.step == 0:
            self.model.train()
        self.optimizer.zero_grad()

    def evaluate(self):
        value = super().evaluate()
        self.model.eval()
        return value


class WakesFrozenNorm(Plain):
    """After evaluation train() is called on all, also on what was in evaluation mode on purpose."""

    CAUGHT_BY, NAMES = "evaluation_leaves_no_trace", "mode"
    SOURCE = "made up"

    def before_window(self):
        if self.step == 0:
            self.model.train()
            self.model.body[3].eval()
        self.optimizer.zero_grad()

    def evaluate(self):
        value = super().evaluate()
        self.model.train()
        return value


class ErasesGradients(Plain):
    """Evaluation comes between the micro-batches of a window and clears the gradients."""

    CAUGHT_BY, NAMES = "evaluation_leaves_no_trace", "gradient"
    SOURCE = "Lightning-AI/pytorch-lightning#18710, 2.0.9"

    def train(self, steps):
        often, self.evaluate_every = self.evaluate_every, None
        self.often = often
        try:
            return super().train(steps)
        finally:
            self.evaluate_every = often

    def backward(self, loss):
        super().backward(loss)
        self.count = getattr(self, "count", 0) + 1
        if self.often and self.count % self.accumulate == 1:
            super().evaluate()
            self.optimizer.zero_grad()


class KeepsAverageIn(Plain):
    """The average of the weights is swapped in for evaluation and not out again."""

    CAUGHT_BY, NAMES = "evaluation_leaves_no_trace", ("weights", "average")
    SOURCE = "made up"

    def evaluate(self):
        with torch.no_grad():
            for name, parameter in self.model.named_parameters():
                parameter.copy_(self.average[name])
        return super().evaluate()


class EvaluatesInTrainingMode(OwnOptimizer):
    """BatchNorm's statistics learn from what is evaluated on: eval() is not called."""

    CAUGHT_BY, NAMES = "evaluation_leaves_no_trace", ("buffers", "eval()")
    SOURCE = "made up"

    def evaluate(self):
        self.model.train()
        with torch.inference_mode():
            return float((self.model(self.inputs) - self.targets).abs().mean())


class TakesTrainingBatches(Plain):
    """Evaluation takes its batches from the loader that trains."""

    CAUGHT_BY, NAMES = "evaluation_leaves_no_trace", "batch"
    SOURCE = "made up"

    def evaluate(self):
        if self.stream is not None:
            next(self.stream)
        return super().evaluate()


class EvaluatesWithDropout(Plain):
    """Evaluation does not call eval(); that it drew and counted is undone."""

    CAUGHT_BY, NAMES = "evaluates_whole_model", ("dropout was active", "eval()")
    SOURCE = "made up; PyTorch forums, again and again: model.eval() forgotten"

    def evaluate(self):
        drawn, seen = self.random_state(), self.model.seen.clone()
        self.model.eval = lambda: None
        loss = super().evaluate()
        del self.model.eval
        self.model.seen.copy_(seen)
        self.restore_random_state(drawn)
        return loss


class AlwaysDrops(nn.Module):
    """Drops in evaluation, too: `training` is not given, and is True."""

    def forward(self, hidden):
        return nn.functional.dropout(hidden, 0.1)


class DropsAlways(Plain):
    """A function for dropout that nobody tells of evaluation; what it drew is undone."""

    CAUGHT_BY, NAMES = "evaluates_whole_model", ("dropout was active", "training=self.training")
    SOURCE = "PyTorch forums: F.dropout is active in eval mode"

    def make_model(self):
        model = super().make_model()
        if self.noisy:
            model.body[3] = AlwaysDrops()
        return model

    def evaluate(self):
        drawn = self.random_state()
        loss = super().evaluate()
        self.restore_random_state(drawn)
        return loss
