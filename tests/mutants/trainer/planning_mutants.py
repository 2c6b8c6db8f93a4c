"""Of when a run ends, how far a schedule is planned, and who waits for whom; with good neighbours."""

from __future__ import annotations

import torch
from torch import distributed
from torch.nn import functional

from mutants.trainer.plain import Plain


class StopsEarly(Plain):
    """Ends when three evaluations in a row were no better."""

    worse = 0

    def evaluate(self):
        before = self.best
        told = super().evaluate()
        self.worse = 0 if self.best < before else self.worse + 1
        return told

    def train(self, steps):
        losses = []
        while self.step < steps and self.worse < 3:
            losses += super().train(self.step + 1)
        return losses


class ForgetsPatience(StopsEarly):
    """How many evaluations in a row were no better is not saved."""

    CAUGHT_BY, NAMES = "stops_when_due", ("due after step", "patience")
    SOURCE = "huggingface/transformers#28544, Lightning-AI/pytorch-lightning#1463"


class Rarities(StopsEarly):
    """Patience that is saved, a pass before the first step, decay by hand, NaN given up."""

    GOOD = "stops early, tries a pass at first, decays by hand, gives NaN up, refuses ranks"
    ALSO = ("ranks", "ranks_equal_large_batch")

    weight_decay = 0.0

    def __init__(
        self, seed, device, directory, *, ranks=1, accumulate=2, batch_size=2, clip_norm=1.0,
        evaluate_every=None, dropout=True, horizon=100,
    ):  # fmt: skip
        if ranks > 1:
            raise NotImplementedError(f"{ranks} processes: this trainer runs in one")
        super().__init__(
            seed, device, directory, accumulate=accumulate, batch_size=batch_size,
            clip_norm=clip_norm, evaluate_every=evaluate_every, dropout=dropout, horizon=horizon,
        )  # fmt: skip

    def make_schedule(self):
        tokens = torch.tensor([[1, 6, 11]], device=self.device)
        logits = self.model.eval()(tokens)
        functional.cross_entropy(logits.flatten(0, 1), tokens.flatten()).backward()
        self.optimizer.zero_grad()
        self.model.train()
        return super().make_schedule()

    def check(self, loss):
        pass

    def update(self):
        self.scaler.unscale_(self.optimizer)
        if all(each.grad.isfinite().all() for each in self.trained()):
            super().update()
        else:
            self.optimizer.zero_grad(set_to_none=True)

    def clip(self):
        for parameter in self.trained():
            parameter.grad.add_(parameter.detach(), alpha=1e-3)
        super().clip()

    def collect(self):
        return super().collect() | {"worse": self.worse}

    def restore(self, state):
        super().restore(state)
        self.worse = state["worse"]


class SchedulesTwice(Plain):
    """The schedule is stepped twice a step, and is over at half of those it is planned for."""

    CAUGHT_BY, NAMES = "schedule_lasts", ("step 11 of 20", "once a step")
    SOURCE = "made up; a callback that steps what transformers.Trainer steps already"

    def rate(self, step):
        return max(0.0, 1 - step / self.horizon)

    def update(self):
        super().update()
        self.schedule.step()


class OwnFiles(Plain):
    """A directory that rank 0 makes, with a file of each rank's generators."""

    GOOD, ALSO = "each rank writes a file of its own, once its directory is there", ("ranks",)

    def __init__(self, seed, device, directory, *, ranks=1, dropout=True):
        super().__init__(seed, device, directory, ranks=ranks, dropout=dropout)

    def wait(self):
        if self.ranks > 1:
            distributed.barrier()

    def save(self, directory):
        where = directory / f".step-{self.step:08d}"
        if self.rank == 0:
            where.mkdir(parents=True, exist_ok=True)  # one that a crash left has the same files
            self.write(where / "state.pt", self.collect())
        self.wait()
        self.write(where / f"rank-{self.rank}.pt", self.random_state())
        if self.ranks > 1:
            distributed.barrier()
        if self.rank == 0:
            where.rename(directory / where.name.removeprefix("."))
        if self.ranks > 1:
            distributed.barrier()

    def random_states(self):
        return []

    def load(self, directory):
        newest = max(directory.glob("step-*"))
        if len(list(newest.glob("rank-*.pt"))) != self.ranks:
            raise ValueError(f"{newest} is not of {self.ranks} ranks")
        own = torch.load(newest / f"rank-{self.rank}.pt", weights_only=True)
        state = torch.load(newest / "state.pt", map_location=self.device, weights_only=True)
        self.restore(state | {"random": {self.rank: own}})


class WaitsForNobody(OwnFiles):
    """No rank waits until the directory is there."""

    CAUGHT_BY, NAMES = "ranks", ("rank 1", "a barrier is missing")
    SOURCE = "made up; FileNotFoundError in other ranks' saves is a frequent report"

    def wait(self):
        pass
