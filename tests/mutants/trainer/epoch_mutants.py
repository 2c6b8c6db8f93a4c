"""Trainers whose epochs repeat the order, or the random numbers, of those before."""

from __future__ import annotations

import itertools
import random

import torch
from torch.utils.data import DataLoader, DistributedSampler

from mutants.trainer.plain import SAMPLES, Plain, collate


class OneOrderForAll(Plain):
    """The order is drawn from the seed alone, and not from the epoch's number."""

    CAUGHT_BY, NAMES = "epochs_differ", ("same order", "set_epoch")
    SOURCE = "huggingface/transformers#4398"

    def permutation(self, epoch):
        del epoch
        return super().permutation(0)


class BySampler(Plain):
    """torch's own sampler for ranks, whose seed is always 0."""

    GOOD = "a DistributedSampler with set_epoch"

    def set_epoch(self, sampler, epoch):
        sampler.set_epoch(epoch)

    def loader(self, micros):
        if sum(map(len, micros)) < SAMPLES:  # to evaluate, or in the middle of an epoch
            return super().loader(micros)
        sampler = DistributedSampler(self.data, self.ranks, self.rank)
        self.set_epoch(sampler, self.epoch)
        none = torch.Generator().manual_seed(0)
        return DataLoader(
            self.data, self.batch_size, sampler=sampler, collate_fn=collate, generator=none
        )

    def permutation(self, epoch):
        sampler = DistributedSampler(self.data, 1, 0)
        self.set_epoch(sampler, epoch)
        return list(sampler)


class NeverSetsTheEpoch(BySampler):
    """set_epoch is never called, and no seed changes the order either."""

    CAUGHT_BY, NAMES = "epochs_differ", ("same order", "set_epoch")
    SOURCE = "pytorch/pytorch#31771"

    def set_epoch(self, sampler, epoch):
        pass


class KeepsTheFirstEpoch(Plain):
    """itertools.cycle over a loader gives the first epoch's batches for ever."""

    CAUGHT_BY, NAMES = "epochs_differ", ("same order", "cycle")
    SOURCE = "made up; a well-known idiom: itertools.cycle(loader)"

    def windows(self):
        micros = self.plan(0)
        firsts = range(0, len(micros), self.accumulate)
        endless = itertools.cycle(
            [list(self.loader(micros[i : i + self.accumulate])) for i in firsts]
        )
        done = self.epoch * len(firsts) + self.position // self.accumulate
        for number, window in enumerate(itertools.islice(endless, done, None), start=done + 1):
            self.epoch, place = divmod(number, len(firsts))
            self.position = place * self.accumulate
            yield window


class SeedsEachEpoch(Plain):
    """The seed is set at each epoch's start: its dropout and augmentation are always the same."""

    CAUGHT_BY, NAMES = "epochs_differ", ("generator is where it was", "dropout")
    SOURCE = "made up; seed_everything in an epoch's loop"

    def plan(self, epoch):
        if not self.position:
            self.seed_everything(self.seed)
        return super().plan(epoch)


class InItsOwnOrder(Plain):
    """From short samples to long ones, in each epoch."""

    GOOD = "a curriculum, the same in each epoch, which no seed changes"

    def permutation(self, epoch):
        del epoch
        return sorted(range(SAMPLES), key=lambda row: (row * 5 % 7, row))


class SeedsEachStep(Plain):
    """All generators are seeded by the number of the step."""

    GOOD = "generators seeded anew by each step's number"

    def before_window(self):
        super().before_window()
        self.seed_everything(self.seed * 100_003 + self.step * 17 + self.rank)


class SeedsForAPick(Plain):
    """Python's generator is seeded alike for a pick in each step; nothing else draws from it."""

    GOOD = "a generator seeded alike in each step, from which only a pick is drawn"

    def augment(self, tokens, labels):
        noise = torch.randn(*tokens.shape, 16) * 0.02 if self.noisy else None
        return tokens, labels, noise

    def before_window(self):
        super().before_window()
        random.seed(7)
        random.sample(range(SAMPLES), 3)


class AcrossEpochs(Plain):
    """Permutations one after another, whose ends no batch respects."""

    GOOD = "batches that go across the ends of epochs"

    def windows(self):
        while True:
            share = self.batch_size * self.accumulate
            begin = self.position * share * self.ranks
            whole = share * self.ranks
            epochs = range(begin // SAMPLES, (begin + whole - 1) // SAMPLES + 1)
            rows = [row for epoch in epochs for row in self.permutation(epoch)]
            rows = rows[begin % SAMPLES :][:whole][self.rank :: self.ranks]
            self.position += 1
            cut = range(0, share, self.batch_size)
            yield list(self.loader([rows[i : i + self.batch_size] for i in cut]))


class DrawsOneSecondOrder(Plain):
    """The sampler's generator is made anew with each later epoch, alike."""

    CAUGHT_BY, NAMES = "epochs_differ", ("same order", "same seed")
    SOURCE = "made up; a loader that Lightning reloads with each epoch"

    def permutation(self, epoch):
        return super().permutation(min(epoch, 1))
