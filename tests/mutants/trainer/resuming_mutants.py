"""Trainers that lose something between a save and a resume, or cannot be repeated."""

from __future__ import annotations

import random
import time

import numpy as np
import torch

from mutants.trainer.good_styles import OwnOptimizer, RandomBlocks, Streaming
from mutants.trainer.plain import Plain


class ForgetsMoments(Plain):
    """The optimizer is saved and not loaded."""

    CAUGHT_BY, NAMES = "state_restored", "optimizer"
    SOURCE = "made up"

    def restore(self, state):
        state["optimizer"]["state"] = {}
        super().restore(state)


class RetrainsInLoad(Plain):
    """load() reads only how far the run was, and makes the same steps again from the seed."""

    CAUGHT_BY, NAMES = "state_restored", "begins anew"
    SOURCE = "made up"

    def load(self, directory):
        newest = self.checkpoints(directory)[-1]
        step = int(newest.stem.removeprefix("step-"))
        self.train(step)


class ForgetsBuffers(Plain):
    """Only parameters are saved, no buffers."""

    CAUGHT_BY, NAMES = "state_restored", "buffer"
    SOURCE = "made up"

    def collect(self):
        names = [name for name, _ in self.model.named_buffers()]
        state = super().collect()
        state["model"] = {k: v for k, v in state["model"].items() if k not in names}
        return state

    def restore(self, state):
        state["model"] = self.model.state_dict() | state["model"]
        super().restore(state)


class RestartsEpoch(Plain):
    """The place in the epoch is not restored: it begins again."""

    CAUGHT_BY, NAMES = "data_order_continues", "position"
    SOURCE = "made up"

    def restore(self, state):
        super().restore(state)
        self.position = 0


class CountsAhead(Plain):
    """Batches fetched ahead count as consumed: a resume skips one."""

    CAUGHT_BY, NAMES = "resume_bit_exact", "skipped"
    SOURCE = "made up"

    def collect(self):
        state = super().collect()
        state["progress"][2] += self.accumulate
        return state


class RepeatsLast(Plain):
    """The place is counted after the save: a resume repeats the last batch."""

    CAUGHT_BY, NAMES = "resume_bit_exact", "repeated"
    SOURCE = "made up"

    def collect(self):
        state = super().collect()
        if self.step > 1 and self.position >= self.accumulate:
            state["progress"][2] -= min(self.accumulate, self.position)
        return state


class ForgetsShuffler(Plain):
    """The loader draws each epoch's order from a generator that is not saved."""

    CAUGHT_BY, NAMES = "resume_bit_exact", "permutation"
    SOURCE = "made up"

    def permutation(self, epoch):
        if not hasattr(self, "shuffler"):
            self.shuffler = torch.Generator().manual_seed(self.seed)
            self.orders = {}
        if epoch not in self.orders:
            self.orders[epoch] = torch.randperm(26, generator=self.shuffler).tolist()
        return self.orders[epoch]


class NeverSetsEpoch(Plain):
    """After a resume the epoch's number is not set: the first order comes again."""

    CAUGHT_BY, NAMES = "resume_bit_exact", "epoch"
    SOURCE = "made up"

    def restore(self, state):
        super().restore(state)
        self.epoch = 0


class ForgetsStream(Streaming):
    """The stream begins again, though its state was saved."""

    CAUGHT_BY, NAMES = "data_order_continues", "other content"
    SOURCE = "made up"

    def load(self, directory):
        super().load(directory)
        self.stream.sent = 0


class ForgetsPythonGenerator(Plain):
    """Python's own generator is left as the process found it."""

    CAUGHT_BY, NAMES = "rng_restored", "python"
    SOURCE = "made up"

    def restore_random_state(self, state):
        mine = random.getstate()
        super().restore_random_state(state)
        random.setstate(mine)


class ForgetsNumpyGenerator(Plain):
    """NumPy's generator is seeded again instead of restored."""

    CAUGHT_BY, NAMES = "rng_restored", "numpy"
    SOURCE = "made up"

    def restore_random_state(self, state):
        super().restore_random_state(state)
        np.random.seed(self.seed)


class SeedsAgain(RandomBlocks):
    """The seed is set again on resume: the batches of the beginning come once more."""

    CAUGHT_BY, NAMES = "rng_restored", "torch"
    SOURCE = "karpathy/nanoGPT: torch.manual_seed(1337 + offset) also when it resumes"

    def load(self, directory):
        super().load(directory)
        torch.manual_seed(1337)


class RestoresNoGenerator(Plain):
    """Restoring the generators fails on one key, and the error is swallowed."""

    CAUGHT_BY, NAMES = "rng_restored", ("python", "torch", "numpy")
    SOURCE = "huggingface/accelerate#3433, 1.0.1 with torch 2.6"

    def restore_random_state(self, state):
        try:
            torch.set_rng_state(state["cpu"])
        except KeyError:
            print("could not load random states")


class SeedsByClock(Plain):
    """The seed is mixed with the time."""

    CAUGHT_BY, NAMES = "same_seed_same_bits", ("two processes", "weight")
    SOURCE = "made up"

    def seed_everything(self, seed):
        super().seed_everything(seed)
        torch.manual_seed(seed + time.time_ns() % 1_000_000)


class OrdersBySet(Plain):
    """The samples' names are kept in a set, whose order depends on the process."""

    CAUGHT_BY, NAMES = "same_seed_same_bits", "batch"
    SOURCE = "made up"

    def permutation(self, epoch):
        names = {f"sample-{row}" for row in super().permutation(epoch)}
        return [int(name.removeprefix("sample-")) for name in names]


class SeedsAfterModel(OwnOptimizer):
    """The generators are seeded after the model has been made."""

    CAUGHT_BY, NAMES = "same_seed_same_bits", ("weights", "seed")
    SOURCE = "made up"

    def __init__(self, seed, device, directory):
        super().__init__(seed, device, directory)
        torch.seed()
        for layer in self.model:
            getattr(layer, "reset_parameters", lambda: None)()
        torch.manual_seed(seed)


class IgnoresSeed(Plain):
    """A seed is hard-coded below the setting."""

    CAUGHT_BY, NAMES = "different_seed_differs", "ignored"
    SOURCE = "karpathy/nanoGPT: torch.manual_seed(1337 + seed_offset)"

    def __init__(self, seed, device, directory, **knobs):
        del seed
        super().__init__(42, device, directory, **knobs)


class SkipsInEachEpoch(Plain):
    """What is skipped as training goes on is skipped at each later epoch's beginning, too."""

    CAUGHT_BY, NAMES = "resume_bit_exact", ("beginning of the next epoch", "must not be skipped")
    SOURCE = "made up; accelerate's skip_first_batches, whose loader is kept"

    skipped = 0

    def restore(self, state):
        super().restore(state)
        self.skipped = self.position

    def plan(self, epoch):
        micros = super().plan(epoch)
        self.position = self.position or self.skipped % len(micros)
        return micros
