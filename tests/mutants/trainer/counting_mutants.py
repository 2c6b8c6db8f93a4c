"""Trainers that count something otherwise: batches, tokens, passes, times of files, epochs."""

from __future__ import annotations

import torch

from mutants.trainer.plain import Plain
from mutants.trainer.rank_mutants import AveragesByHand


class LastBatchTwice(Plain):
    """What is left over at an epoch's end is the last batch once more."""

    CAUGHT_BY, NAMES = "batch_counts_once", ("last batch", "twice")
    SOURCE = "made up; loops that flush a remainder that is none"

    def plan(self, epoch):
        micros = super().plan(epoch)
        return [*micros, micros[-1]]


class FirstBatchTwice(Plain):
    """The batch by which the shapes were found is given back, though it was not used up."""

    CAUGHT_BY, NAMES = "batch_counts_once", ("first batch", "twice")
    SOURCE = "made up; itertools.chain([first], loader)"

    def plan(self, epoch):
        micros = super().plan(epoch)
        return [micros[0], *micros]


class EachBatchTwice(Plain):
    """Every batch is trained on twice, as where batches are dear."""

    GOOD = "each batch is taken twice (data echoing)"

    def plan(self, epoch):
        return [micro for micro in super().plan(epoch) for _ in range(2)]


class DropsWhatIsOver(Plain):
    """What fills no batch at an epoch's end is left out."""

    GOOD = "drop_last: what fills no batch is left out"
    batch_size = 4

    def plan(self, epoch):
        return [micro for micro in super().plan(epoch) if len(micro) == self.batch_size]


class SeeksNewestByTime(Plain):
    """The newest checkpoint is the file that was changed last."""

    GOOD = "the newest checkpoint is sought by its file's time"
    ALSO = ("retention",)

    def checkpoints(self, directory):
        return sorted(directory.glob("step-*.pt"), key=lambda path: path.stat().st_mtime)


class CountsPadding(Plain):
    """The sum is divided by all places, those of padding too."""

    CAUGHT_BY, NAMES = "accumulation_equals_large_batch", ("padding", "another number")
    SOURCE = "made up; the mean of a masked loss"

    def weigh(self, loss, labels, window):
        del labels
        return loss / sum(each.numel() for _, each, _ in window)


class TwoLosses(AveragesByHand):
    """Two terms, each with a backward pass of its own in each micro-batch.

    Averaged by hand: DistributedDataParallel synchronises the first backward pass alone.
    """

    GOOD, ALSO = "two losses with a backward pass each", ("ranks",)

    def backward(self, loss):
        self.scaler.scale(loss * 0.75).backward(retain_graph=True)
        self.scaler.scale(loss * 0.25).backward()


class TwoLossesNotDivided(TwoLosses):
    """The same, and the micro-batches' means are added up."""

    CAUGHT_BY, NAMES = "accumulation_equals_large_batch", "not divided"
    SOURCE = "made up"

    def weigh(self, loss, labels, window):
        del window
        return loss / (labels != -100).sum()


class ScalesByHand(Plain):
    """The loss is divided by a constant, and its gradient multiplied by it."""

    GOOD = "a loss scaled by hand, and its gradient scaled back"
    constant = 64.0

    def weigh(self, loss, labels, window):
        return super().weigh(loss, labels, window) / self.constant

    def clip(self):
        for parameter in self.trained():
            parameter.grad.mul_(self.constant)
        super().clip()

    def one_step(self, batches):
        return super().one_step(batches) * self.constant


class ScalesTooFar(ScalesByHand):
    """The gradient is multiplied by another constant than the loss was divided by."""

    CAUGHT_BY, NAMES = "first_update", "times that of the loss"
    SOURCE = "made up"

    def one_step(self, batches):
        return super().one_step(batches) / 4


class ScalesItsLog(ScalesByHand):
    """The same, and the loss that is told is the scaled one."""

    GOOD = "a loss scaled by hand, told as it was scaled"

    def one_step(self, batches):
        return super().one_step(batches) / self.constant


class ScalesUntold(ScalesByHand):
    """The same, and train() tells no losses by which one could see it."""

    GOOD = "a loss scaled by hand, which is not told"

    def train(self, steps):
        super().train(steps)


class FreezesAtAnEpoch(Plain):
    """The embedding is frozen as epoch 1 begins, and a resume within it never passes there."""

    CAUGHT_BY, NAMES = "resume_bit_exact", ("one of the runs only", "embedding", "frozen")
    SOURCE = "made up; callbacks that freeze at an epoch"

    def before_window(self):
        super().before_window()
        if (self.epoch, self.position) == (1, self.accumulate):
            self.model.embedding.weight.requires_grad = False

    def trained(self):
        return [p for n, p in self.model.named_parameters() if n != "position.weight"]

    def clip(self):
        pass


class SwitchesAugmentationOff(Plain):
    """Augmentation ends as epoch 1 begins, and a resume within it never passes there."""

    CAUGHT_BY, NAMES = "resume_bit_exact", ("no generator was lost", "switch")
    SOURCE = "LibreYOLO/libreyolo#215"
    over = False

    def before_window(self):
        super().before_window()
        self.over = self.over or (self.epoch, self.position) == (1, self.accumulate)

    def augment(self, tokens, labels):
        return (tokens, labels, None) if self.over else super().augment(tokens, labels)


class SwitchesByEpoch(SwitchesAugmentationOff):
    """The same, by the epoch's number."""

    GOOD = "augmentation that ends with an epoch, by its number"

    def before_window(self):
        Plain.before_window(self)
        self.over = self.epoch > 0


class Bfloat16(Plain):
    """The weights themselves are in bfloat16."""

    GOOD, ALSO = "weights and gradients in bfloat16", ("ranks_equal_large_batch",)

    def make_model(self):
        return super().make_model().to(torch.bfloat16)

    def augment(self, tokens, labels):
        tokens, labels, noise = super().augment(tokens, labels)
        return tokens, labels, None if noise is None else noise.to(torch.bfloat16)


class HoldsThree(Plain):
    """The schedule is over after eight steps, so that later checkpoints hold the same weights."""

    GOOD = "a schedule that is over, after which checkpoints are alike"
    ALSO = ("retention",)

    def rate(self, step):
        return super().rate(step) if step < 8 else 0.0

    def make_optimizer(self):
        return torch.optim.AdamW(self.trained(), lr=0.05, weight_decay=self.weight_decay)


class EightBitsLost(Bfloat16):
    """In bfloat16 the rate is so small that no sum of weight and step is another number."""

    CAUGHT_BY, NAMES = "every_parameter_learns", ("no step changes", "rounds away")
    SOURCE = "PyTorch's forums: training in pure bfloat16 stands still"

    def make_optimizer(self):
        return torch.optim.SGD(self.trained(), lr=1e-4)


class FindsHalfWritten(Plain):
    """What is being written has the ending by which a resume finds checkpoints."""

    CAUGHT_BY, NAMES = "crash_safe_save", ("half written", "no resume looks")
    SOURCE = "made up; temporary names that a glob finds"

    def write(self, path, state):
        partial = path.with_name(f"{path.stem}~.pt")
        torch.save(state, partial)
        partial.replace(path)
