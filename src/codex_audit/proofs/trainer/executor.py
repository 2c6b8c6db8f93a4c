"""Makes the runs that are asked for: each once, its source before it, as many as fit at a time."""

from __future__ import annotations

import os
import shutil
import socket
import time
from typing import TYPE_CHECKING, Any

import msgspec

from codex_audit.diagnosis import Failure
from codex_audit.proofs.trainer.run import MODULE
from codex_audit.proofs.trainer.runs import Evaluation, File, Result, Run, Save
from codex_audit.proofs.trainer.trace import State, Trace, read_trace

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from codex_audit.proofs.children import Children

_LEAST_PATIENCE, _TIMES_STRAIGHT = 60.0, 20
_GRACE = 5.0


class Executor:
    """Runs of one subject.

    Args:
        children: where processes come from.
        factory: `module:function`, or None for the reference kit.
        limit: how many run at a time.
    """

    def __init__(self, children: Children, factory: str | None, limit: int) -> None:
        self.results: dict[Run, Result] = {}
        self.reports: dict[Run, dict[str, Any]] = {}
        self.patience = _LEAST_PATIENCE
        self._children = children
        self._factory = factory
        self._limit = limit
        self._names: dict[Run, str] = {}
        self._turns: dict[Run, int] = {}
        self._failed_at: dict[Run, float] = {}
        self._lay: dict[Run, dict[Path, Path]] = {}

    def make(self, runs: Iterable[Run]) -> None:
        """Make those runs that have not been made, and whatever they resume from.

        Raises:
            ToolTimeoutError: the time of the whole gate ran out.
        """
        waiting = self._missing(runs)
        active: dict[Run, float] = {}
        while waiting or active:
            ready = [run for run in waiting if run.source is None or run.source in self.results]
            for run in ready[: max(0, self._limit - len(active))]:
                waiting.remove(run)
                self._start(run)
                active[run] = time.monotonic()
            for run in list(active):
                if self._over(run, active[run]):
                    del active[run]

    def learn_patience(self, seconds: float) -> None:
        """A run may take so many times as long as the first one took."""
        self.patience = max(_LEAST_PATIENCE, _TIMES_STRAIGHT * seconds)

    def _missing(self, runs: Iterable[Run]) -> list[Run]:
        found: list[Run] = []
        for run in runs:
            chain = [run]
            while chain[-1].source is not None:
                chain.append(chain[-1].source)
            found += [each for each in reversed(chain) if each not in self.results]
        return list(dict.fromkeys(found))

    def _over(self, run: Run, started: float) -> bool:
        names = self._ranks(run)
        left = [name for name in names if not self._children.ended(name)]
        late = time.monotonic() - started > self.patience
        if left and not late and not self._forsaken(run, names, left):
            return False
        for name in left:
            self._children.kill(name)
        results = [self._collect(run, name) for name in names]
        if left and late:
            why = f"the run did not end within {self.patience:g} s and was killed"
            failure = Failure("TimeoutError", why, f"TimeoutError: {why}")
            results[0] = msgspec.structs.replace(results[0], failure=failure)
        self.results[run] = msgspec.structs.replace(results[0], peers=tuple(results[1:]))
        return True

    def _forsaken(self, run: Run, names: list[str], left: list[str]) -> bool:
        """Whether ranks wait for one that has failed; torchrun, too, ends those."""
        if not any(self._failed(name) for name in names if name not in left):
            return False
        since = self._failed_at.setdefault(run, time.monotonic())
        return time.monotonic() - since > _GRACE

    def _failed(self, name: str) -> bool:
        code, report = self._children.outcome(name)
        return code != 0 or "error" in (report or {})

    def _ranks(self, run: Run) -> list[str]:
        name = self._names[run]
        return [name] if run.ranks == 1 else [f"{name}-rank{rank}" for rank in range(run.ranks)]

    def _start(self, run: Run) -> None:
        name = self._names[run] = f"run{self._children.count + 1}"
        scratch = self._children.scratch
        directory = scratch / name
        directory.mkdir()
        spec: dict[str, Any] = {
            "run": msgspec.to_builtins(run),
            "factory": self._factory,
            "directory": str(directory),
        }
        if run.source is not None:
            copy = directory if run.onward else scratch / f"{name}-source"
            came_from = scratch / self._names[run.source]
            shutil.copytree(came_from, copy, symlinks=True, dirs_exist_ok=True)
            if run.copied:
                _reverse_times(copy)
            spec["source"] = str(copy)
            if not run.onward:
                self._lay[run] = _lying(came_from) | _lying(copy)
        port = _free_port() if run.ranks > 1 else 0
        for rank, own in enumerate(self._ranks(run)):
            environment = _of_rank(rank, run.ranks, port) if run.ranks > 1 else {}
            told = {**spec, "trace": str(scratch / f"{own}.trace")}
            # Of two equal requests each has another hash seed.
            first = msgspec.structs.replace(run, number=1)
            turn = self._turns.get(first, self._children.count) + (run.number - 1)
            self._turns.setdefault(first, turn)
            self._children.start(own, MODULE, told, environment, turn=turn)

    def _collect(self, run: Run, name: str) -> Result:
        code, report = self._children.outcome(name)
        report = report or {}
        failure = None
        if "error" in report:
            failure = msgspec.convert(report["error"], Failure)
        elif code > 0:
            words = f"exit code {code}: {self._children.last_words(name)}"
            failure = Failure("ChildProcessError", words, words)
        self.reports.setdefault(run, report)
        scratch = self._children.scratch
        directory = scratch / self._names[run]
        return Result(
            trace=_ordered(read_trace(scratch / f"{name}.trace"), report.get("order"), run),
            losses=tuple(float.fromhex(loss) for loss in report.get("losses", ())),
            exit_code=code,
            failure=failure,
            skip=report.get("skip", ""),
            loaded=_state(report.get("loaded")),
            final=_state(report.get("final")),
            files=msgspec.convert(report.get("files", []), tuple[File, ...]),
            gone=_gone(self._lay.get(run, {})),
            saves=msgspec.convert(report.get("saves", []), tuple[Save, ...]),
            evaluations=msgspec.convert(report.get("evaluations", []), tuple[Evaluation, ...]),
            directory=str(directory),
            optimizers=report.get("optimizers", 1),
            follows=report.get("follows", False),
            shuffles=report.get("shuffles", False),
            looks=report.get("looks", 0),
            printed=self._children.printed(name),
        )


def _ordered(trace: Trace, told: Mapping[str, list[int]] | None, run: Run) -> Trace:
    """The trace with the samples that the subject told of; its steps count from the first start."""
    if told is None:
        return trace
    skipped = run.source_step or 0
    steps = (
        msgspec.structs.replace(step, order=tuple(told[key]))
        if (key := str(step.number + skipped)) in told
        else step
        for step in trace.steps
    )
    return msgspec.structs.replace(trace, steps=tuple(steps))


def _reverse_times(directory: Path) -> None:
    """Let what was changed last seem to be the oldest."""
    found = [path for path in directory.rglob("*") if not path.is_symlink()]
    times = {path: path.stat().st_mtime_ns for path in found}
    known = sorted(set(times.values()))
    turned = dict(zip(known, reversed(known), strict=True))
    for path, time_ns in times.items():
        os.utime(path, ns=(turned[time_ns], turned[time_ns]))


def _lying(directory: Path) -> dict[Path, Path]:
    """The files below a directory -> as told from there."""
    found = (path for path in directory.rglob("*") if path.is_file())
    return {path: path.relative_to(directory) for path in found}


def _gone(lay: Mapping[Path, Path]) -> tuple[str, ...]:
    return tuple(sorted({told.as_posix() for path, told in lay.items() if not path.exists()}))


def _state(told: Mapping[str, Any] | None) -> State | None:
    return None if told is None else msgspec.convert(told, State)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _of_rank(rank: int, ranks: int, port: int) -> dict[str, str]:
    """The environment that torchrun gives."""
    return {
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(ranks),
        "LOCAL_WORLD_SIZE": str(ranks),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
    }
