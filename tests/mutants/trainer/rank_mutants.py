"""Trainers whose ranks do not work together: their data, gradients or clipping."""

from __future__ import annotations

from contextlib import nullcontext

import torch
from torch import distributed, nn
from torch.utils.data import DataLoader, IterableDataset

from mutants.trainer.plain import IGNORED, Plain, Sequences, collate


class AveragesByHand(Plain):
    """The mean of the gradients is taken without DistributedDataParallel."""

    GOOD, ALSO = "gradients are averaged over ranks by hand", ("ranks", "ranks_equal_large_batch")

    def wrap(self):
        for parameter in self.model.parameters():
            distributed.broadcast(parameter.data, 0)
        return self.model

    def reduced(self):
        return self.trained()

    def reduce(self):
        for parameter in self.reduced():
            distributed.all_reduce(parameter.grad)
            parameter.grad /= self.ranks

    def update(self):
        if self.ranks > 1:
            self.reduce()
        super().update()


class SumsOverRanks(AveragesByHand):
    """Gradients are added up over ranks, and divided by nothing."""

    CAUGHT_BY, NAMES = "ranks_equal_large_batch", ("summed", "averaged")
    SOURCE = "made up; a frequent slip of all_reduce, which adds up"

    def reduce(self):
        for parameter in self.trained():
            distributed.all_reduce(parameter.grad)


class LeavesOneOut(AveragesByHand):
    """The gradients of the head are not reduced."""

    CAUGHT_BY, NAMES = "ranks", ("`head.weight`", "though that of the others is")
    SOURCE = "made up; pytorch/pytorch#69031 for parameters that a pass does not use"

    def reduced(self):
        head = set(self.model.head.parameters())
        return [parameter for parameter in self.trained() if parameter not in head]


class SpreadsTheFirstRanks(AveragesByHand):
    """Each rank steps alone, and rank 0's weights replace those of the others."""

    CAUGHT_BY, NAMES = "ranks_equal_large_batch", ("rank 1", "no influence")
    SOURCE = "made up"

    def reduce(self):
        pass

    def update(self):
        super().update()
        if self.ranks > 1:
            for parameter in self.model.parameters():
                distributed.broadcast(parameter.data, 0)


class ClipsBeforeTheMean(AveragesByHand):
    """Each rank clips its own gradient, and then their mean is taken."""

    CAUGHT_BY, NAMES = "ranks_equal_large_batch", ("clip_norm", "before their mean")
    SOURCE = "made up"

    def reduce(self):
        self.clip()
        super().reduce()


class MeanOfRanksMeans(Plain):
    """Each rank divides by its own tokens, and all ranks count the same."""

    CAUGHT_BY, NAMES = "ranks_equal_large_batch", ("tokens", "each rank's mean counts the same")
    SOURCE = "huggingface/transformers: average_tokens_across_devices was added for it"

    def mean_of_ranks(self, count):
        return count


class MutesOtherRanks(Plain):
    """The loss of all ranks but the first is masked out."""

    CAUGHT_BY, NAMES = "ranks_equal_large_batch", ("rank 1", "no influence")
    SOURCE = "made up"

    def weigh(self, loss, labels, window):
        return super().weigh(loss, labels, window) * float(self.rank == 0)


class Synchronises(Plain):
    """no_sync but for the last micro-batch of a window."""

    GOOD, ALSO = "no_sync but for a window's last micro-batch", ("ranks", "ranks_equal_large_batch")

    def due(self, number, window):
        return number == len(window)

    def one_step(self, batches):
        self.number = 0
        return super().one_step(batches)

    def weigh(self, loss, labels, window):
        self.window = window
        return super().weigh(loss, labels, window)

    def loss_of(self, model, tokens, labels, noise):
        # DistributedDataParallel decides in the forward pass.
        self.number += 1
        apart = model is self.called and self.ranks > 1 and not self.due(self.number, self.held)
        with model.no_sync() if apart else nullcontext():
            return super().loss_of(model, tokens, labels, noise)

    def before_window(self):
        super().before_window()
        self.held = self.upcoming

    def windows(self):
        for window in super().windows():
            self.upcoming = window
            yield window


class SynchronisesTheFirst(Synchronises):
    """The first micro-batch of a window is synchronised, and those after it are not."""

    CAUGHT_BY, NAMES = "ranks", ("averaged", "no_sync")
    SOURCE = "modelscope/FunASR#3472"

    def due(self, number, window):
        del window
        return number == 1


class SynchronisesTheKth(Synchronises):
    """The k-th micro-batch is synchronised, which an epoch's last window does not have."""

    CAUGHT_BY, NAMES = "ranks", ("shorter window", "no_sync")
    SOURCE = "made up"

    def due(self, number, window):
        del window
        return number == self.accumulate


class SeedsEachSamplerOtherwise(Plain):
    """Each rank takes its share of an order of its own: some samples come twice, some never."""

    CAUGHT_BY, NAMES = "ranks", ("first epoch", "same seed")
    SOURCE = "NVlabs/LongLive#71"

    def permutation(self, epoch):
        order = torch.Generator().manual_seed((self.seed + 31 * self.rank) * 1009 + epoch)
        return torch.randperm(26, generator=order).tolist()


class Stream(IterableDataset):
    """The samples in a given order, as a stream."""

    def __init__(self, rows):
        self.data, self.rows = Sequences(), rows

    def __iter__(self):
        return (self.data[row] for row in self.rows)


class EachRankReadsTheStream(Plain):
    """Every rank reads the whole stream; what is drawn for augmentation is each one's own."""

    CAUGHT_BY, NAMES = "ranks", ("same batches",)
    SOURCE = "PyTorch's documentation of IterableDataset warns of it"

    def share(self, order):
        return order

    def loader(self, micros):
        rows = [row for micro in micros for row in micro]
        none = torch.Generator().manual_seed(0)
        return DataLoader(Stream(rows), self.batch_size, collate_fn=collate, generator=none)


class DividesTheStream(EachRankReadsTheStream):
    """Every rank is given the batch of all, and trains on its part of it."""

    GOOD, ALSO = "ranks divide each batch of one stream", ("ranks", "ranks_equal_large_batch")

    def plan(self, epoch):
        order, many = self.permutation(epoch)[:24], self.batch_size * self.ranks
        return [order[i : i + many] for i in range(0, len(order), many)]

    def loader(self, micros):
        rows = [row for micro in micros for row in micro]
        none = torch.Generator().manual_seed(0)
        many = self.batch_size * self.ranks
        whole = DataLoader(Stream(rows), many, collate_fn=collate, generator=none)
        return ([part[self.rank :: self.ranks] for part in batch] for batch in whole)


class OwnNumbers(Plain):
    """Each rank has a part of the data for itself, and numbers it from 0."""

    GOOD, ALSO = "each rank's data are counted from 0", ("ranks", "ranks_equal_large_batch")

    def permutation(self, epoch):
        rows = super().permutation(epoch)
        return rows if self.ranks == 1 else [row // 2 for row in rows if row % 2 == 0]

    def share(self, order):
        return order

    def loader(self, micros):
        if self.ranks > 1:
            self.data = [Sequences()[2 * row + self.rank] for row in range(13)]
            self.data = [(tokens.clone(), labels.clone()) for tokens, labels in self.data]
        return super().loader(micros)


class AveragesWeights(AveragesByHand):
    """Each rank steps alone, and the weights' mean is taken after each step."""

    GOOD, ALSO = "weights are averaged, not gradients", ("ranks", "ranks_equal_large_batch")

    def make_optimizer(self):
        return torch.optim.SGD(self.trained(), lr=0.1)

    def reduce(self):
        pass

    def update_average(self):
        if self.ranks > 1:
            for parameter in self.model.parameters():
                distributed.all_reduce(parameter.data)
                parameter.data /= self.ranks
        super().update_average()


class AveragesOnTheFirst(Plain):
    """The average of the weights is that of the first rank, which saves it."""

    GOOD, ALSO = "the average of the weights is kept on rank 0", ("ranks",)

    def update_average(self):
        if self.rank == 0:
            super().update_average()


class WeighsAfterwards(AveragesByHand):
    """Sums of losses, whose gradients are divided when all ranks' tokens are counted."""

    GOOD, ALSO = "gradients are divided after they are added up", ("ranks_equal_large_batch",)

    def weigh(self, loss, labels, window):
        del labels
        self.count = sum(int((each != IGNORED).sum()) for _, each, _ in window)
        return loss

    def reduce(self):
        for parameter in self.trained():
            distributed.all_reduce(parameter.grad)

    def update(self):
        # What AveragesByHand does, and then the division.
        if self.ranks > 1:
            self.reduce()
        for parameter in self.trained():
            parameter.grad /= self.mean_of_ranks(self.count) * self.ranks
        Plain.update(self)


class OwnStatistics(Plain):
    """BatchNorm whose running statistics each rank keeps for itself."""

    GOOD, ALSO = "BatchNorm with broadcast_buffers=False", ("ranks", "ranks_equal_large_batch")

    def make_model(self):
        model = super().make_model()
        model.body[1] = Normalised(16)
        return model

    def wrap(self):
        return nn.parallel.DistributedDataParallel(self.model, broadcast_buffers=False)


class Normalised(nn.BatchNorm1d):
    """Over all tokens of a batch."""

    def forward(self, hidden):
        return super().forward(hidden.flatten(0, 1)).unflatten(0, hidden.shape[:2])
