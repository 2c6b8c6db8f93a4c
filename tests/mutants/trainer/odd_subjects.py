"""Subjects that are neither mutants nor good: what is said of them is tried by a test of its own."""

from __future__ import annotations

import socket
from argparse import Namespace

import torch
from torch import nn
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset

from mutants.trainer.good_rarities import put
from mutants.trainer.good_styles import PlainLoop
from mutants.trainer.plain import Plain


class NeverTheSame(Plain):
    """No generator is seeded: no run is like another."""

    def seed_everything(self, seed):
        del seed
        torch.seed()


class BreaksUnderSmallNorm(Plain):
    """Takes a setting, and breaks on it at the second step."""

    def clip(self):
        if self.clip_norm is not None and self.clip_norm < 0.5 and self.step:
            raise ArithmeticError("the norm is too small")
        super().clip()


class RefusesSmallNorm(Plain):
    """Refuses a setting before anything is trained."""

    def make_optimizer(self):
        if self.clip_norm is not None and self.clip_norm < 0.5:
            raise ValueError("clip_norm must be 0.5 at least")
        return super().make_optimizer()


class LosesMoments(Plain):
    """A resume loses the moments, with one process as with two."""

    def restore(self, state):
        groups = {"state": {}, "param_groups": state["optimizer"]["param_groups"]}
        super().restore(state | {"optimizer": groups})


class CannotReadItsOwn(Plain):
    """Saves what torch refuses to load, and loads it as torch does by default."""

    def collect(self):
        return super().collect() | {"arguments": Namespace(seed=self.seed)}


class LooksUpAName(PlainLoop):
    """Asks for an address before it does anything."""

    def __init__(self, seed, device, directory):
        socket.getaddrinfo("nowhere.invalid", 443)
        super().__init__(seed, device, directory)


class FollowsEvaluation(PlainLoop):
    """The rate goes down where the evaluated loss does not."""

    def __init__(self, seed, device, directory, *, evaluate_every=4):
        super().__init__(seed, device, directory)
        self.every = evaluate_every
        kind = torch.optim.lr_scheduler.ReduceLROnPlateau
        self.schedule = kind(self.optimizer, patience=0, factor=0.5, threshold=0.3)

    def train(self, steps):
        losses = []
        while self.done < steps:
            losses += super().train(self.done + 1)
            if self.every and self.done % self.every == 0:
                self.schedule.step(self.evaluate())
        return losses


class NeverEvaluates(PlainLoop):
    """Takes how often it shall evaluate, and never does."""

    evaluate = None

    def __init__(self, seed, device, directory, *, evaluate_every=4):
        del evaluate_every
        super().__init__(seed, device, directory)


class Kept(Dataset):
    """Keeps every sample that it has made; nobody sees all of them in a trial."""

    def __init__(self):
        self.kept = {}

    def __len__(self):
        return 4000

    def __getitem__(self, place):
        if place not in self.kept:
            own = torch.Generator().manual_seed(place)
            self.kept[place] = torch.randn(1500, generator=own)
        return self.kept[place]


class KeepsLongEpoch:
    """A data set that keeps its samples; memory grows until the epoch is over, and no longer."""

    def __init__(self, seed, device, directory):
        del device, directory
        self.seed, self.data, self.done, self.batches = seed, Kept(), 0, None
        torch.manual_seed(seed)
        self.model = nn.Linear(1500, 1)
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=1e-4)

    def train(self, steps):
        if self.batches is None:
            own = torch.Generator().manual_seed(self.seed)
            order = torch.randperm(4000, generator=own).tolist()[4 * self.done :]
            self.batches = iter(DataLoader(self.data, 4, sampler=order, generator=own))
        while self.done < steps:
            inputs = next(self.batches)
            self.seen(inputs)
            self.optimizer.zero_grad()
            functional.mse_loss(self.model(inputs), inputs[:, :1]).backward()
            self.optimizer.step()
            self.done += 1

    def seen(self, inputs):
        """Nothing is kept of them."""

    def save(self, directory):
        state = [self.model.state_dict(), self.optimizer.state_dict(), self.done]
        put(directory / "all.pt", state)

    def load(self, directory):
        state = torch.load(directory / "all.pt", weights_only=True)
        self.model.load_state_dict(state[0])
        self.optimizer.load_state_dict(state[1])
        self.done = state[2]


class KeepsEachStep(KeepsLongEpoch):
    """The same, and its trainer keeps a copy of every batch as well."""

    def seen(self, inputs):
        self.__dict__.setdefault("copies", []).append(inputs.clone())
