"""One run from the inside: what a driver is asked for, and where saves and evaluations are seen."""

from __future__ import annotations

import os
import resource
import signal
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from codex_audit.proofs.trainer.runs import Evaluation, Save

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

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
        self._source = source

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
        return place(self._source, self.run.source_step)

    def place(self, step: int) -> Path:
        """The directory for the save after `step`; it exists."""
        found = place(self.directory, step if self.run.apart else None)
        found.mkdir(parents=True, exist_ok=True)
        return found

    def has_loaded(self) -> None:
        """Tell that loading has just ended."""
        self.loaded = self.recorder.state()

    @contextmanager
    def saving(self, step: int) -> Iterator[Path]:
        """Around every save: where to, and what is done to it meanwhile."""
        number = len(self.saves) + 1
        started = time.monotonic()
        with _killed_by_size(self.run.break_save, number), _killed_late(self.run.stop_save, number):
            yield self.place(step)
        seconds = time.monotonic() - started
        self.saves.append(Save(step, seconds, self.recorder.state().rng))
        self.told()

    @contextmanager
    def evaluating(self) -> Iterator[None]:
        """Around an evaluation that is asked for."""
        before = self.recorder.state()
        yield
        self.evaluations.append(Evaluation(before, self.recorder.state()))


def place(directory: Path, step: int | None) -> Path:
    """Where the checkpoint of `step` lies; that of all where they share one place."""
    return directory / ("checkpoints" if step is None else f"at-{step}")


@contextmanager
def _killed_by_size(asked: tuple[int, int] | None, number: int) -> Iterator[None]:
    """Let the kernel end this process as it writes byte `size` of any file, as a kill would.

    SIGXFSZ with its default action runs no handler and flushes no buffer, in whatever language
    the file is written.
    """
    if asked is None or asked[0] != number:
        yield
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_FSIZE, (asked[1], hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, handler)


@contextmanager
def _killed_late(asked: tuple[int, float] | None, number: int) -> Iterator[None]:
    """Kill this process `seconds` after the save began, unless it ends before."""
    if asked is None or asked[0] != number:
        yield
        return
    timer = threading.Timer(asked[1], os.kill, (os.getpid(), signal.SIGKILL))
    timer.daemon = True
    timer.start()
    yield
    timer.cancel()
