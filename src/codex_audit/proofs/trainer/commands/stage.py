"""Makes the runs of a command that are asked for: each once, its source before it."""

from __future__ import annotations

import os
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Self

import msgspec

from codex_audit.proofs.trainer.commands import reader
from codex_audit.proofs.trainer.commands.asked import Asked, Opened, Ran, Written
from codex_audit.proofs.trainer.commands.copying import lay_copy, newest
from codex_audit.proofs.trainer.commands.line import CHECKPOINT
from codex_audit.proofs.trainer.commands.plan import program_of
from codex_audit.proofs.trainer.commands.process import Watched

if TYPE_CHECKING:
    from collections.abc import Iterable

    from codex_audit.proofs.children import Children
    from codex_audit.proofs.trainer.commands.line import Line
    from codex_audit.proofs.trainer.commands.plan import Plan

_LEAST_PATIENCE, _TIMES_STRAIGHT = 60.0, 20
_TICK = 0.5


class Stage:
    """Runs of one command.

    Args:
        children: where the processes that read checkpoints come from.
        plan: what to run.
        device: for the placeholder.
        seconds: that the first run may take.
    """

    def __init__(self, children: Children, plan: Plan, *, device: str, seconds: float) -> None:
        self.results: dict[Asked, Written] = {}
        self.patience = seconds
        self._children = children
        self._plan = plan
        self._device = device
        self._places: dict[Asked, Path] = {}
        self._laid: dict[Path, frozenset[str]] = {}
        self._cancelled = Event()
        self._pool = ThreadPoolExecutor(children.limit)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._cancelled.set()
        self._pool.shutdown(cancel_futures=True)

    def learn_patience(self, seconds: float) -> None:
        """A run may take so many times as long as the first one took."""
        self.patience = max(_LEAST_PATIENCE, _TIMES_STRAIGHT * seconds)

    def make(self, asked: Iterable[Asked]) -> None:
        """Make those that have not been made, and whatever they resume from.

        Raises:
            ToolTimeoutError: the time of the whole gate ran out.
        """
        waiting = self._missing(asked)
        active: dict[Future[Ran], Asked] = {}
        while waiting or active:
            ready = [each for each in waiting if each.source is None or each.source in self.results]
            for each in ready:
                waiting.remove(each)
                active[self._pool.submit(self._perform, each, self._line(each))] = each
            done, _ = wait(active, timeout=_TICK, return_when=FIRST_COMPLETED)
            if not done:
                self._children.check_time("a run of the command")
            for future in done:
                each = active.pop(future)
                self.results[each] = self._written(each, future.result())

    def set_up(self, line: Line) -> Ran:
        """Run the command that prepares the others."""
        return self._watched(line, self._children.scratch / "setup", Asked(steps=0), glob="").run(
            Asked(steps=0), self.patience, self._cancelled
        )

    def _missing(self, asked: Iterable[Asked]) -> list[Asked]:
        found: list[Asked] = []
        for each in asked:
            chain = [each]
            while chain[-1].source is not None:
                chain.append(chain[-1].source)
            found += [one for one in reversed(chain) if one not in self.results]
        return list(dict.fromkeys(found))

    def _line(self, asked: Asked) -> Line:
        """The command line; the directory of a resumed run is that of its source."""
        if asked.source is None:
            number = len(list(self._children.scratch.glob("command*/"))) + 1
            self._places[asked] = self._children.scratch / f"command{number}"
            self._places[asked].mkdir()
            if self._plan.copied:
                root = Path(self._plan.copied)
                laid = lay_copy(root, self._places[asked], glob=self._plan.checkpoints)
                self._laid[self._places[asked]] = laid
            return self._plan.command
        self._places[asked] = self._places[asked.source]
        return self._plan.resume or self._plan.command

    def _perform(self, asked: Asked, line: Line) -> Ran:
        watched = self._watched(line, self._places[asked], asked, glob=self._plan.checkpoints)
        return watched.run(asked, self.patience, self._cancelled)

    def _watched(self, line: Line, directory: Path, asked: Asked, *, glob: str) -> Watched:
        directory.mkdir(exist_ok=True)
        number = len(list(directory.parent.glob(f"{directory.name}-*.log"))) + 1
        environment = {
            "PYTHONHASHSEED": str(asked.number + (1 if asked.source else 0)),
            **self._plan.environment,
        }
        if environment.get("TMPDIR") == os.environ.get("TMPDIR"):  # the settings name none
            environment["TMPDIR"] = self._children.temporary
        return Watched(
            program_of(self._plan, line),
            self._words(line, asked, directory),
            directory,
            cwd=self._cwd(directory),
            environment=environment,
            log=directory.with_name(f"{directory.name}-{number}.log"),
            losses=self._plan.losses,
            checkpoints=glob,
            found=self._laid.get(directory, ()),
            offline=asked.offline,
            terminal=self._plan.terminal,
        )

    def _cwd(self, directory: Path) -> str:
        """Where a run works: in its copy, if it has one, at the place that the settings name."""
        if directory not in self._laid:
            return self._plan.cwd
        return str(directory / Path(self._plan.cwd).relative_to(self._plan.copied))

    def _words(self, line: Line, asked: Asked, directory: Path) -> list[str]:
        glob = self._plan.checkpoints
        return line.filled(
            {
                "steps": str(asked.steps),
                "seed": str(asked.seed),
                "dir": str(directory),
                "device": self._device,
                CHECKPOINT: str(newest(directory, glob)) if line.takes(CHECKPOINT) else "",
            }
        )

    def _written(self, asked: Asked, ran: Ran) -> Written:
        directory = self._places[asked]
        if not self._plan.checkpoints:
            return Written(asked=asked, ran=ran)
        name = f"reader{self._children.count + 1}"
        bits = self._children.scratch / f"{name}.bits"
        hidden = {str(directory), os.path.relpath(directory, self._plan.cwd)}
        self._children.start(
            name,
            reader.MODULE,
            {
                "directory": str(directory),
                "glob": self._plan.checkpoints,
                "bits": str(bits),
                "since": ran.started_ns,
                "hidden": sorted(hidden | {str(directory.resolve())}),
            },
        )
        report = self._children.wait(name)
        opened = msgspec.convert(report["opened"], tuple[Opened, ...])
        return Written(asked=asked, ran=ran, opened=opened, bits=str(bits))
