"""Trainers that grow, ask the network, or depend on how many workers or ranks there are."""

from __future__ import annotations

import errno
import os
import socket

import torch
from torch.utils.data import DataLoader, Dataset

from mutants.trainer.plain import Plain, Sequences, collate


class SumsLossesWithTheirGraphs(Plain):
    """The running loss is a tensor, with the graph of every step behind it."""

    CAUGHT_BY, NAMES = "no_growth", ("memory", "graph")
    SOURCE = "PyTorch's own FAQ: total_loss += loss"

    total = 0.0

    def check(self, loss):
        super().check(loss)
        self.total = self.total + loss


class CollectsOutputs(Plain):
    """What the model gave is kept for a metric that is never computed."""

    CAUGHT_BY, NAMES = "no_growth", ("tensors", "detach")
    SOURCE = "made up"

    def loss_of(self, model, tokens, labels, noise):
        kept = self.__dict__.setdefault("outputs", [])
        kept.append(torch.randn(64, 64, generator=torch.Generator()))
        return super().loss_of(model, tokens, labels, noise)


class OpensItsLogEachStep(Plain):
    """A log is opened each step and never closed."""

    CAUGHT_BY, NAMES = "no_growth", "open files"
    SOURCE = "made up"

    def update(self):
        self.__dict__.setdefault("logs", []).append(os.open(os.devnull, os.O_WRONLY))
        super().update()


class AsksForItsAddress(Plain):
    """It asks which address it has by a socket to a public name server."""

    CAUGHT_BY, NAMES = "no_network", ("network", "8.8.8.8")
    SOURCE = "a well-known idiom; telemetry does the like"

    def __init__(self, *args, **knobs):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            try:
                probe.connect(("8.8.8.8", 80))  # a datagram's socket: nothing is sent
            except OSError as error:
                if error.errno != errno.ENETUNREACH:
                    raise
        super().__init__(*args, **knobs)

    __init__.__signature__ = __import__("inspect").signature(Plain.__init__)


class Noisy(Dataset):
    """Samples with a token replaced by chance, drawn where the sample is made."""

    def __init__(self, data):
        self.data = data

    def __len__(self):
        return len(self.data)

    def __getitem__(self, index):
        tokens, labels = self.data[index]
        if torch.rand(()) < 0.5:
            tokens[torch.randint(len(tokens), ())] = 0
        return tokens, labels


class AugmentsByWorker(Plain):
    """Augmentation draws from the worker's own generator, so it depends on who makes a sample."""

    CAUGHT_BY, NAMES = "workers_equal", ("worker", "content")
    SOURCE = "PyTorch's notes on data loading and randomness"

    def loader(self, micros):
        if not self.workers:
            return super().loader(micros)
        return DataLoader(
            Noisy(Sequences()),
            batch_sampler=micros,
            collate_fn=collate,
            num_workers=self.workers,
            generator=torch.Generator().manual_seed(self.seed + self.epoch),
        )


class ForgetsToAverage(Plain):
    """The module itself is called, not its DistributedDataParallel: each rank trains its own."""

    CAUGHT_BY, NAMES = "ranks", ("rank 1", "averaged")
    SOURCE = "PyTorch forums, again and again: model.module(...)"

    def wrap(self):
        super().wrap()  # which gives all ranks the weights of the first
        return self.model


class GivesAllTheSameSamples(Plain):
    """The sampler knows nothing of ranks."""

    CAUGHT_BY, NAMES = "ranks", ("same batches", "DistributedSampler")
    SOURCE = "PyTorch forums, again and again: no DistributedSampler"

    def share(self, order):
        return order


class RestoresOneGeneratorOnAll(Plain):
    """Every rank goes on with the generators of rank 0."""

    CAUGHT_BY, NAMES = "ranks", ("rank 1", "generator")
    SOURCE = "made up; checkpoints that only rank 0 writes"

    def restore(self, state):
        super().restore(state | {"random": [state["random"][0]] * self.ranks})


class IgnoresAnotherWorldSize(Plain):
    """With another number of ranks nothing is loaded, and nothing said."""

    CAUGHT_BY, NAMES = "ranks", ("one process", "other weights")
    SOURCE = "made up"

    def load(self, directory):
        newest = self.checkpoints(directory)[-1]
        if len(torch.load(newest, weights_only=True)["random"]) == self.ranks:
            super().load(directory)


class LoadsOnTheFirstRankOnly(Plain):
    """Each rank looks for a file of its own, and only the first one's was written."""

    CAUGHT_BY, NAMES = "ranks", ("resumed", "rank 1", "FileNotFoundError")
    SOURCE = "made up; checkpoints that only rank 0 writes"

    def load(self, directory):
        if self.rank and not (directory / f"rank-{self.rank}.pt").exists():
            raise FileNotFoundError(f"{directory} holds nothing of rank {self.rank}")
        super().load(directory)
