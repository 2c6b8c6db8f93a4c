"""Trainers whose defect shows only in what is left over: gradients, counts, windows, replicas."""

from __future__ import annotations

import math

import torch
from torch import distributed, nn
from torch.utils.data import DataLoader

from mutants.trainer.good_rarities import Adversaries, LooksAround
from mutants.trainer.good_styles import Stream, Streaming
from mutants.trainer.plain import Plain


class DropsShortWindow(Plain):
    """The micro-batches left at an epoch's end are dropped, though one batch of them is not."""

    CAUGHT_BY, NAMES = "last_window_counts", ("makes no step", "dropped")
    SOURCE = "made up"

    def windows(self):
        for window in super().windows():
            if len(window) == self.accumulate:
                yield window


class SchedulesEachMicroBatch(Plain):
    """The schedule goes on with each micro-batch."""

    CAUGHT_BY, NAMES = "accumulation_equals_large_batch", ("learning rate", "each micro-batch")
    SOURCE = "made up"

    def backward(self, loss):
        super().backward(loss)
        self.schedule.step()

    def update(self):
        self.scaler.unscale_(self.optimizer)
        self.clip()
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.update_average()


class ClipsOnce(Plain):
    """The parameters to clip are kept as a generator, which the first step uses up."""

    CAUGHT_BY, NAMES = "clipping_holds", "not at each step"
    SOURCE = "made up"

    def clip(self):
        if not hasattr(self, "kept"):
            self.kept = (parameter for parameter in self.trained())
        given = list(self.kept)
        if given and self.clip_norm is not None:
            nn.utils.clip_grad_norm_(given, self.clip_norm)


class ClipsGreatest(Plain):
    """The greatest number of a gradient is held to the limit that is meant for the norm."""

    CAUGHT_BY, NAMES = "clipping_holds", "another norm"
    SOURCE = "made up"

    def clip(self):
        if self.clip_norm is not None:
            nn.utils.clip_grad_norm_(self.trained(), self.clip_norm, norm_type=math.inf)


class StepsTwice(Plain):
    """The scaler's step is followed by the optimizer's own."""

    CAUGHT_BY, NAMES = "first_update", "2 times on the same gradient"
    SOURCE = "made up"

    def clip(self):
        super().clip()
        self.optimizer.step()


class KeepsCriticsGradients(Adversaries):
    """The critic's gradients are not cleared: the generator's pass left some, and so does each."""

    CAUGHT_BY, NAMES = "resume_bit_exact", ("earlier backward pass", "zero_grad")
    SOURCE = "made up"

    def clear(self, optimizer):
        if optimizer is self.maker:
            optimizer.zero_grad()


class SwitchesGradientsOff(Plain):
    """Evaluation switches gradients off, and nobody switches them on."""

    CAUGHT_BY, NAMES = "evaluation_leaves_no_trace", ("RuntimeError", "gradients switched off")
    SOURCE = "made up"

    def evaluate(self):
        loss = super().evaluate()
        torch.set_grad_enabled(False)
        return loss


class LeavesGradients(Plain):
    """Evaluation measures a gradient and leaves it to the next step, which clears after its own."""

    CAUGHT_BY, NAMES = "evaluation_leaves_no_trace", ("changes gradients", "clear")
    SOURCE = "made up"

    def before_window(self):
        self.model.train()

    def update(self):
        super().update()
        self.optimizer.zero_grad(set_to_none=True)

    def evaluate(self):
        value = super().evaluate()
        self.model.eval()
        tokens, labels = next(iter(self.held_out()))
        (self.loss_of(self.model, tokens, labels, None) / labels.numel()).backward()
        self.model.train()
        return value


class SchedulesEachEvaluation(Plain):
    """The schedule is stepped by evaluation too."""

    CAUGHT_BY, NAMES = "evaluation_leaves_no_trace", "steps the schedule"
    SOURCE = "made up"

    def evaluate(self):
        value = super().evaluate()
        if self.step:
            self.schedule.step()
        return value


class CleansGradients(Plain):
    """A gradient that is NaN becomes zero, and the optimizer steps on it."""

    CAUGHT_BY, NAMES = "non_finite_noticed", ("unnoticed", "replaced by numbers")
    SOURCE = "made up"

    def check(self, loss):
        pass

    def clip(self):
        for parameter in self.trained():
            torch.nan_to_num_(parameter.grad)
        super().clip()


class ChecksTheLastMicroBatch(Plain):
    """Whether the loss is a number is looked at once a step, in its last micro-batch"""

    CAUGHT_BY = "non_finite_noticed"
    NAMES = ("first micro-batch", "unnoticed")
    SOURCE = "made up"

    def one_step(self, batches):
        self.left = len(batches)
        return super().one_step(batches)

    def check(self, loss):
        self.left -= 1
        if not self.left:
            super().check(loss)


class ReplacesNaNByZero(Plain):
    """A loss that is NaN is replaced by zero, and the optimizer's moments move the weights on"""

    CAUGHT_BY = "non_finite_noticed"
    NAMES = ("unnoticed", "replaced")
    SOURCE = "made up"

    def weigh(self, loss, labels, window):
        weighed = super().weigh(loss, labels, window)
        if torch.isfinite(weighed):
            return weighed
        return sum(p.sum() for p in self.trained()) * 0.0


class DecaysHeld(Plain):
    """A frozen parameter is in the optimizer's groups with a gradient of zero: it decays."""

    CAUGHT_BY, NAMES = "every_parameter_learns", ("frozen", "weight decay", "position")
    SOURCE = "made up"

    def trained(self):
        return list(self.model.parameters())

    def update(self):
        frozen = self.model.position.weight
        frozen.grad = torch.zeros_like(frozen)
        super().update()


class ReplacesModel(LooksAround):
    """load() makes the model anew, and not the optimizer, which goes on with the old one's."""

    CAUGHT_BY, NAMES = "resume_bit_exact", ("replaces the model", "optimizer")
    SOURCE = "made up"

    def make(self):
        kept = getattr(self, "optimizer", None)
        super().make()
        self.optimizer = kept or self.optimizer


class ForgetsItsCount(Plain):
    """The average's decay depends on a count that is not saved."""

    CAUGHT_BY, NAMES = "resume_bit_exact", ("average", "count")
    SOURCE = "made up"

    count = 0

    def update_average(self):
        self.count += 1
        with torch.no_grad():
            for name, parameter in self.model.named_parameters():
                self.average[name].lerp_(parameter, 1 - self.count / (9 + self.count))


class EachWorkerReadsAll(Streaming):
    """Every worker goes through the whole stream."""

    CAUGHT_BY, NAMES = "workers_equal", ("comes twice", "get_worker_info")
    SOURCE = "PyTorch's documentation of IterableDataset warns of it"

    def __init__(self, seed, device, directory, *, workers=0):
        super().__init__(seed, device, directory)
        self.stream = Stream(seed)
        own = torch.Generator().manual_seed(0)
        loader = DataLoader(self.stream, batch_size=4, num_workers=workers, generator=own)
        self.batches = iter(loader)


class LoadsOnOneRank(Plain):
    """Only the first rank loads, long after the weights were broadcast."""

    CAUGHT_BY, NAMES = "ranks", ("rank 1", "other weights")
    SOURCE = "made up; checkpoints that only rank 0 reads"

    def load(self, directory):
        if self.rank == 0:
            super().load(directory)
        if self.ranks > 1:
            progress = [[self.step, self.epoch, self.position]]
            distributed.broadcast_object_list(progress)
            self.step, self.epoch, self.position = progress[0]


class SeeksNewestByText(Plain):
    """The newest checkpoint is sought by its name as a text: 9 is after 10."""

    CAUGHT_BY, NAMES = "retention", ("from step 9", "name")
    SOURCE = "made up"

    def path(self, directory, step):
        return directory / f"step-{step}.pt"

    def checkpoints(self, directory):
        return sorted(directory.glob("step-*.pt"), key=lambda path: int(path.stem[5:]))

    def load(self, directory):
        newest = max(directory.glob("step-*.pt"), key=str)
        self.restore(torch.load(newest, map_location=self.device, weights_only=True))
