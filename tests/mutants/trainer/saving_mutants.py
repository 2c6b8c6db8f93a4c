"""Trainers whose checkpoints do not survive a kill, or their own retention."""

from __future__ import annotations

import math
import threading
from pathlib import Path

import numpy as np
import torch

from mutants.trainer.careful_saves import InTheBackground
from mutants.trainer.plain import Plain


class WritesInPlace(Plain):
    """One file, written over the last good one."""

    CAUGHT_BY, NAMES = "crash_safe_save", ("complete save", "lost")
    SOURCE = "karpathy/nanoGPT train.py, as of 2024: torch.save over ckpt.pt"

    def path(self, directory, step):
        del step
        return directory / "step-last.pt"

    def write(self, path, state):
        torch.save(state, path)

    def prune(self, directory):
        pass


class WritesUnderFinalName(Plain):
    """A new file each time, written under the name that a resume looks for."""

    CAUGHT_BY, NAMES = "crash_safe_save", "rename"
    SOURCE = "Lightning 2.3.3, PR 20011"

    def write(self, path, state):
        torch.save(state, path)


class StartsAnewAfterDamage(Plain):
    """A newest file that is damaged is taken for none at all."""

    CAUGHT_BY, NAMES = "crash_safe_save", "anew"
    SOURCE = "made up"

    def write(self, path, state):
        torch.save(state, path)

    def load(self, directory):
        try:
            super().load(directory)
        except (RuntimeError, EOFError, OSError):
            return


class DeletesTheOldFirst(Plain):
    """The last checkpoint makes room before the next is written."""

    CAUGHT_BY, NAMES = "crash_safe_save", "lost"
    SOURCE = "made up"

    def write(self, path, state):
        for old in self.checkpoints(path.parent):
            old.unlink()
        super().write(path, state)


class PartsWeightsAndOptimizer(Plain):
    """Two files, each written whole, of which a kill leaves one new and one old."""

    CAUGHT_BY, NAMES = "crash_safe_save", ("optimizer's state", "no complete save")
    SOURCE = "made up"

    def path(self, directory, step):
        del step
        return directory / "step-last.pt"

    def write(self, path, state):
        super().write(path.with_suffix(".weights"), {"model": state.pop("model")})
        super().write(path, state)

    def load(self, directory):
        path = self.path(directory, 0)
        state = torch.load(path, weights_only=True)
        state |= torch.load(path.with_suffix(".weights"), weights_only=True)
        self.restore(state)

    def prune(self, directory):
        pass


class PointsBeforeItIsThere(Plain):
    """The file that names the newest checkpoint is written before that one is."""

    CAUGHT_BY, NAMES = "crash_safe_save", "lost"
    SOURCE = "made up, after DeepSpeed's file `latest`"

    def write(self, path, state):
        (path.parent / "latest").write_text(path.name)
        super().write(path, state)

    def checkpoints(self, directory):
        return [directory / (directory / "latest").read_text()]

    def prune(self, directory):
        pass


class WritesInPlaceInTheBackground(InTheBackground):
    """A thread writes under the final name, after `save` has returned."""

    CAUGHT_BY, NAMES = "crash_safe_save", ("complete save", "lost")
    SOURCE = "made up; asynchronous writers"

    def write_later(self, path, copied):
        threading.Event().wait(0.02)
        path.write_bytes(copied.getvalue())


class WritesWhatGoesOnChanging(InTheBackground):
    """A thread is given the weights themselves, which the next steps change"""

    CAUGHT_BY = "resume_bit_exact"
    NAMES = ("background", "copy")
    SOURCE = "Lightning-AI/pytorch-lightning#21079, AsyncCheckpointIO"

    def write(self, path, state):
        if self.writer is not None:
            self.writer.join()
        self.writer = threading.Thread(target=Plain.write, args=(self, path, state))
        self.writer.start()


class SortsNamesAsTexts(Plain):
    """The newest is the last of the names as texts: step-9 comes after step-10."""

    CAUGHT_BY, NAMES = "retention", ("last", "10")
    SOURCE = "made up; a frequent slip of scripts with `sorted(glob(...))`"

    def path(self, directory, step):
        return directory / f"step-{step}.pt"


class KeepsOneTooMany(Plain):
    """One more is kept than was asked for."""

    CAUGHT_BY, NAMES = "retention", ("keep=2", "3 are kept")
    SOURCE = "made up"

    def prune(self, directory):
        for path in self.checkpoints(directory)[: -self.keep - 1] if self.keep else []:
            path.unlink()


class PrunesBeforeItWrites(Plain):
    """Room is made first: with one to keep, there is none while the next is written."""

    CAUGHT_BY, NAMES = "retention", "only checkpoint"
    SOURCE = "made up"

    def write(self, path, state):
        for old in self.checkpoints(path.parent)[: -self.keep + 1 or None] if self.keep else []:
            old.unlink()
        super().write(path, state)


class DeletesTheBest(Plain):
    """The best checkpoint is counted like any other."""

    CAUGHT_BY, NAMES = "retention", "the best"
    SOURCE = "made up"

    def prune(self, directory):
        for path in self.checkpoints(directory)[: -self.keep] if self.keep else []:
            path.unlink()


class ForgetsTheBest(Plain):
    """Which checkpoint was the best is not restored: a worse one takes its place"""

    CAUGHT_BY = "retention"
    NAMES = ("best", "not restored")
    SOURCE = "made up"

    def restore(self, state):
        super().restore(state)
        self.best, self.best_step = math.inf, 0


class ComparesSpellings(Plain):
    """Only the best is to be kept, and its whole path is compared with those below `./out/`."""

    CAUGHT_BY, NAMES = "retention", ("best", "is deleted", "./out/")
    SOURCE = "transformers 4.31.0, PR 25136"

    def prune(self, directory):
        if not (self.keep == 1 and self.keep_best):
            super().prune(directory)
            return
        best = str(self.path(directory, self.best_step).resolve())
        for path in self.checkpoints(directory):
            if str(path) != best:
                path.unlink()

    def load(self, directory):
        if self.checkpoints(directory):
            super().load(directory)


class CountsItsOwnOnly(Plain):
    """Only what this process has saved is counted: with each resume two more stay for ever."""

    CAUGHT_BY, NAMES = "retention", ("resumed", "not counted")
    SOURCE = "made up, after reports on Lightning's ModelCheckpoint and resumed runs"

    def prune(self, directory):
        own = self.__dict__.setdefault("own", [])
        own.append(self.path(directory, self.step))
        while self.keep and len(own) > self.keep:
            own.pop(0).unlink()


class PrunesWhereItCameFrom(Plain):
    """What it saved is kept in mind by name, also by a run that resumes it in another place."""

    CAUGHT_BY, NAMES = "retention", ("of the directory that it resumed from is deleted",)
    SOURCE = "Lightning 2.0.9, PR 18750"

    saved = ()

    def save(self, directory):
        self.saved = [*self.saved, str(self.path(directory, self.step).resolve())]
        super().save(directory)

    def prune(self, directory):
        del directory
        for name in self.saved[: -self.keep] if self.keep else []:
            Path(name).unlink(missing_ok=True)

    def collect(self):
        return {**super().collect(), "saved": self.saved}

    def restore(self, state):
        self.saved = state.pop("saved")
        super().restore(state)


class ClearsWhatItFinds(Plain):
    """What lies there from a run before is deleted with the first save of a resumed one."""

    CAUGHT_BY, NAMES = "retention", "resumed from is deleted"
    SOURCE = "made up; save_dir is cleaned at the start of a run"

    def prune(self, directory):
        own = self.__dict__.setdefault("own", [])
        own.append(self.path(directory, self.step))
        for path in self.checkpoints(directory):
            if path not in (own[-self.keep :] if self.keep else own):
                path.unlink()


class ResumesFromTheOldest(Plain):
    """The first file that is found is loaded, not the newest."""

    CAUGHT_BY, NAMES = "retention", "not from the last"
    SOURCE = "made up"

    def load(self, directory):
        self.restore(torch.load(self.checkpoints(directory)[0], weights_only=True))


class PicklesNumpysState(Plain):
    """NumPy's generator goes into the checkpoint as its own arrays, which only a full load reads."""

    CAUGHT_BY, NAMES = "weights_only_loads", ("weights_only", "numpy")
    SOURCE = "many scripts: np.random.get_state() in the checkpoint"

    def random_state(self):
        return super().random_state() | {"numpy": np.random.get_state()}

    def restore_random_state(self, state):
        name, keys, *rest = state["numpy"]
        as_tensor = torch.from_numpy(keys.astype(np.int64))
        super().restore_random_state(state | {"numpy": [name, as_tensor, *rest]})

    def load(self, directory):
        self.restore(torch.load(self.checkpoints(directory)[-1], weights_only=False))


class PicklesTheModel(Plain):
    """The module itself is pickled, with whatever its classes are."""

    CAUGHT_BY, NAMES = "weights_only_loads", "Model"
    SOURCE = "many scripts: torch.save(model, path)"

    def collect(self):
        return super().collect() | {"model": self.model}

    def load(self, directory):
        state = torch.load(self.checkpoints(directory)[-1], weights_only=False)
        self.restore(state | {"model": state["model"].state_dict()})


class ForgetsTheSchedule(Plain):
    """The scheduler is saved and not loaded: the rate warms up again."""

    CAUGHT_BY, NAMES = "scheduler_restored", ("learning rate", "schedule")
    SOURCE = "made up; the most frequent of all reports on resuming"

    def restore(self, state):
        super().restore(state | {"schedule": self.schedule.state_dict()})


class ForgetsTheScaler(Plain):
    """The gradient scaler begins again at its default."""

    CAUGHT_BY, NAMES = "scaler_restored", "scale"
    SOURCE = "made up"

    def restore(self, state):
        super().restore(state | {"scaler": self.scaler.state_dict()})


class ForgetsTheAverage(Plain):
    """The average of the weights begins again from those that are loaded."""

    CAUGHT_BY, NAMES = "extra_restored", "average"
    SOURCE = "made up"

    def restore(self, state):
        super().restore(state)
        self.average = {n: p.detach().clone() for n, p in self.model.named_parameters()}
