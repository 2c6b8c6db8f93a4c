"""Trainers that do not notice a NaN, or parameters that are left out or should be."""

from __future__ import annotations

import torch

from mutants.trainer.plain import Model, Plain


class NeverChecksTheLoss(Plain):
    """A NaN goes straight into the weights."""

    CAUGHT_BY, NAMES = "non_finite_noticed", "unnoticed"
    SOURCE = "made up"

    def check(self, loss):
        pass


class ChecksWhatItLogs(Plain):
    """The check is of the logged number, from which NaN is filtered."""

    CAUGHT_BY, NAMES = "non_finite_noticed", "unnoticed"
    SOURCE = "transformers: logging_nan_inf_filter logs 0.0 where the loss is NaN"

    def check(self, loss):
        super().check(torch.nan_to_num(loss))


class OmitsTheHead(Plain):
    """The optimizer was made of all parameters but the head's."""

    CAUGHT_BY, NAMES = "every_parameter_learns", ("head", "no optimizer was given")
    SOURCE = "made up: a head that was replaced after the optimizer was made"

    def make_optimizer(self):
        kept = [p for name, p in self.model.named_parameters() if "head" not in name]
        return torch.optim.AdamW(kept, lr=0.02)


class DetachedModel(Model):
    def forward(self, tokens, noise=None):
        handle = self.embedding.register_forward_hook(lambda *seen: seen[2].detach())
        try:
            return super().forward(tokens, noise)
        finally:
            handle.remove()


class DetachesTheEmbedding(Plain):
    """What the embedding gives is detached, so it never learns."""

    CAUGHT_BY, NAMES = "every_parameter_learns", ("embedding", "no gradient")
    SOURCE = "made up"

    def make_model(self):
        return DetachedModel(0.1)


class DecaysWhatIsFrozen(Plain):
    """Weight decay by hand goes over all parameters, the frozen embedding too."""

    CAUGHT_BY, NAMES = "every_parameter_learns", ("embedding", "frozen")
    SOURCE = "made up"

    def make_model(self):
        model = super().make_model()
        model.embedding.requires_grad_(False)
        return model

    def update(self):
        super().update()
        with torch.no_grad():
            for parameter in self.model.parameters():
                parameter.mul_(0.999)
