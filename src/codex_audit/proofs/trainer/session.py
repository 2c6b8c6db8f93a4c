"""One run from the inside: what a driver is asked for, and where saves and evaluations are seen."""

from __future__ import annotations

import os
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import msgspec

from codex_audit.proofs.trainer.background import Background
from codex_audit.proofs.trainer.runs import Evaluation, Save
from codex_audit.proofs.trainer.saving import Operations, kill_later, killed_by_size

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from torch import Tensor, nn

    from codex_audit.proofs.trainer.recorder import Recorder
    from codex_audit.proofs.trainer.runs import Knob, Run
    from codex_audit.proofs.trainer.trace import State


class UnableError(Exception):
    """What is asked of a subject is nothing that it offers; the message says why."""


class Driver(Protocol):
    """A subject of one kind, made ready to do what a `Session` asks."""

    @property
    def knobs(self) -> frozenset[str]:
        """Settings that it understands."""
        ...

    @property
    def abilities(self) -> frozenset[str]:
        """What else it can be asked for: "evaluate", "extra", "distributed"."""
        ...

    @property
    def methods(self) -> Mapping[str, object]:
        """Functions to cite as evidence: "factory", "train", "save", "load", "evaluate"."""
        ...

    def models(self) -> Sequence[nn.Module]:
        """The modules that are trained."""
        ...

    def extra(self) -> Mapping[str, Tensor]:
        """State beyond models and optimizers."""
        ...

    def order(self) -> Mapping[int, Sequence[int]] | None:
        """Step -> the samples it trained on, where the subject tells."""
        ...

    def go(self) -> Sequence[float]:
        """Do the whole run that the session asks for; the loss of each step, or nothing."""
        ...


class Session:
    """What is asked of a driver (`run`), with the places for it, and what it did so far.

    Args:
        run: what is asked.
        directory: of this run alone.
        source: the directory of the run to resume from, a copy.
        recorder: watches this process.
    """

    def __init__(self, run: Run, directory: Path, source: Path | None, recorder: Recorder) -> None:
        self.run = run
        self.directory = directory
        self.recorder = recorder
        self.saves: list[Save] = []
        self.evaluations: list[Evaluation] = []
        self.loaded: State | None = None
        self.told: Callable[[], None] = lambda: None
        self.models: Callable[[], Sequence[nn.Module]] = list
        self._source = source
        self._operations = Operations(directory, Background(lambda: recorder.steps))
        recorder.settle = self._operations.settle

    @property
    def knobs(self) -> dict[str, Knob]:
        """The settings asked for."""
        return dict(self.run.knobs)

    @property
    def points(self) -> list[int]:
        """The steps at which something is asked for, the last of them `until`."""
        asked = {*self.run.saves, *self.run.evaluate_at, self.run.until}
        return sorted(point for point in asked if point <= self.run.until)

    @property
    def source(self) -> Path | None:
        """Where to resume from: one save's directory if each has its own; None to start anew."""
        if self._source is None:
            return None
        return self._told(place(self._source, self.run.source_step))

    def place(self, step: int) -> Path:
        """The directory for the save after `step`; it exists."""
        found = place(self.directory, step if self.run.apart else None)
        found.mkdir(parents=True, exist_ok=True)
        return self._told(found)

    def spelled(self, path: Path) -> str:
        """A directory as a text for a library's setting: `./out/` where paths are relative."""
        return f"./{path}/" if self.run.relative else str(path)

    def has_loaded(self) -> None:
        """Tell that loading has just ended."""
        self.recorder.renew(self.models())
        self.loaded = self.recorder.state()

    @contextmanager
    def saving(self, step: int) -> Iterator[Path]:
        """Around every save: where to, and what is done to it meanwhile."""
        number = len(self.saves) + 1
        self._come_late(number)
        where = self.place(step)
        self.finish_save()
        faults = (self.run.halt_save, self.run.break_save, self.run.stop_save)
        if any(fault and fault[0] == number for fault in faults):
            self._operations.settle()  # the save before may still be written in the background
        halt = self.run.halt_save
        self._operations.begin(halt[1] if halt and halt[0] == number else None)
        kill_later(self.run.stop_save, number)
        started = time.monotonic()
        with killed_by_size(self.run.break_save, number):
            yield where
            if self.run.break_save and self.run.break_save[0] == number:
                self._operations.settle()  # the limit holds for a writer in the background too
        save = Save(
            step=step,
            seconds=time.monotonic() - started,
            rng=self.recorder.state().rng,
            made=self.recorder.steps,
            scaler=self.recorder.scaler,
            operations=tuple(self._operations.seen),
            unsynced=tuple(self._operations.unsynced),
        )
        self.saves.append(save)
        self.told()

    def _come_late(self, number: int) -> None:
        run = self.run
        turn = (run.faults.late_first + number - 1) % run.ranks
        if run.faults.late and turn == int(os.environ.get("RANK", "0")):
            time.sleep(run.faults.late)

    def finish_save(self) -> None:
        """Add to the last save what it did to files after it had returned."""
        if not self.saves:
            return
        operations, last = tuple(self._operations.seen), self.saves[-1]
        late = len(operations) - len(last.operations)
        unsynced = tuple(self._operations.unsynced)
        self.saves[-1] = msgspec.structs.replace(
            last, operations=operations, unsynced=unsynced, late=late
        )

    @contextmanager
    def evaluating(self) -> Iterator[Callable[[float], None]]:
        """Around an evaluation that is asked for; what it yields may be told the loss."""
        # It needs torch, which the factory's module is to import first.
        from codex_audit.proofs.trainer.interventions import dropouts_seen  # noqa: PLC0415

        watch = self.recorder
        before, gradients = watch.state(), watch.gradients()
        told: list[float] = []
        with dropouts_seen() as drops:
            yield told.append
        after, others = watch.state(), watch.gradients()
        changed = (name for name in others | gradients if others.get(name) != gradients.get(name))
        loss = told[-1] if told else None
        self.evaluations.append(Evaluation(before, after, loss, next(changed, ""), len(drops)))

    def _told(self, path: Path) -> Path:
        return Path(os.path.relpath(path)) if self.run.relative else path


def place(directory: Path, step: int | None) -> Path:
    """Where the checkpoint of `step` lies; that of all where they share one place."""
    return directory / ("checkpoints" if step is None else f"at-{step}")
