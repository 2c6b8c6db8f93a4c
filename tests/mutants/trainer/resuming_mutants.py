"""Trainers that lose something between a save and a resume, or cannot be repeated."""

from __future__ import annotations

import random
import time

import torch

from mutants.trainer.plain import Plain


class ForgetsMoments(Plain):
    """The optimizer is saved and not loaded."""

    CAUGHT_BY, NAMES = "state_restored", "optimizer"
    SOURCE = "made up"

    def restore(self, state):
        state["optimizer"]["state"] = {}
        super().restore(state)


class RestartsEpoch(Plain):
    """The place in the epoch is not restored: it begins again."""

    CAUGHT_BY, NAMES = "data_order_continues", "position"
    SOURCE = "made up"

    def restore(self, state):
        super().restore(state)
        self.position = 0


class ForgetsPythonGenerator(Plain):
    """Python's own generator is left as the process found it."""

    CAUGHT_BY, NAMES = "rng_restored", "python"
    SOURCE = "made up"

    def restore_random_state(self, state):
        mine = random.getstate()
        super().restore_random_state(state)
        random.setstate(mine)


class SeedsByClock(Plain):
    """The seed is mixed with the time."""

    CAUGHT_BY, NAMES = "same_seed_same_bits", ("two processes", "weight")
    SOURCE = "made up"

    def seed_everything(self, seed):
        super().seed_everything(seed)
        torch.manual_seed(seed + time.time_ns() % 1_000_000)


class IgnoresSeed(Plain):
    """A seed is hard-coded below the setting."""

    CAUGHT_BY, NAMES = "different_seed_differs", "ignored"
    SOURCE = "made up"

    def __init__(self, seed, device, directory, **knobs):
        del seed
        super().__init__(42, device, directory, **knobs)
