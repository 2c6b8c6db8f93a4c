"""Processes in which a subject stands trial: started, watched, killed on purpose or with us."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import msgspec

from codex_audit.diagnosis import Failure
from codex_audit.gates.tool import ToolCrashedError, ToolKilledError, ToolTimeoutError

if TYPE_CHECKING:
    from collections.abc import Mapping

_PATIENCE = 0.02
_TAIL_LINES = 3


class ChildError(RuntimeError):
    """An exception that ended a child; `failure` is that exception."""

    def __init__(self, name: str, failure: Failure) -> None:
        super().__init__(f"{name}: {failure.type}: {failure.message}")
        self.name = name
        self.failure = failure


class _Child(msgspec.Struct, frozen=True):
    process: subprocess.Popen[bytes]
    result: Path
    log: Path


class Children:
    """The child processes of one gate; leaving the `with` block kills those that still run.

    Each runs `python -P -m MODULE SPEC.json` in the audited repository, in its own process
    group, with one thread, offline, and with a hash seed of its own, so that nothing may
    depend on the order of a set. `codex_audit.proofs.child.serve` is its other half.

    Args:
        root: the audited repository: working directory and first on the import path.
        scratch: where specifications, results and logs go.
        timeout: seconds for all of them together.
        limit: how many may run at a time.
    """

    def __init__(self, root: Path, scratch: Path, *, timeout: float, limit: int = 2) -> None:
        self.root = root
        self.scratch = scratch
        self._timeout = timeout
        self._deadline = time.monotonic() + timeout
        self._limit = limit
        self._children: dict[str, _Child] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for name in self._children:
            self.kill(name)

    def start(self, name: str, module: str, spec: Mapping[str, Any]) -> None:
        """Start a child called `name`, as soon as fewer than `limit` are running.

        Raises:
            ToolTimeoutError: the time ran out before that.
        """
        while self._running() >= self._limit:
            self._pause(name)
        result = self.scratch / f"{name}.json"
        log = self.scratch / f"{name}.log"
        path = self.scratch / f"{name}.spec.json"
        told = {**spec, "root": str(self.root), "result": str(result), "parent": os.getpid()}
        path.write_text(json.dumps(told), encoding="utf-8")
        with log.open("wb") as stream:
            process = subprocess.Popen(  # noqa: S603 - our own module in our own interpreter
                [sys.executable, "-P", "-m", module, str(path)],
                cwd=self.root,
                env=_environment(hash_seed=len(self._children) + 1),
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._children[name] = _Child(process, result, log)

    def wait(self, name: str) -> dict[str, Any]:
        """What the child reported.

        Raises:
            ChildError: it raised an exception.
            ToolKilledError: a signal ended it before it reported.
            ToolCrashedError: it ended without a report.
            ToolTimeoutError: the time ran out; it is killed on leaving the block.
        """
        child = self._children[name]
        while child.process.poll() is None:
            self._pause(name)
        return self._report(name)

    def wait_for(self, name: str, path: Path) -> dict[str, Any]:
        """What the child reported, once `path` exists and is not empty; the child goes on.

        Raises:
            ChildError, ToolKilledError, ToolCrashedError, ToolTimeoutError: as in `wait`.
        """
        child = self._children[name]
        while not (path.exists() and path.stat().st_size) and child.process.poll() is None:
            self._pause(name)
        return self._report(name)

    def kill(self, name: str) -> int:
        """Kill the child's process group with SIGKILL; its exit code, -9 if it still ran."""
        process = self._children[name].process
        if process.poll() is None:
            with suppress(ProcessLookupError):  # it ended by itself in the meantime
                os.killpg(process.pid, signal.SIGKILL)
        return process.wait()

    def _report(self, name: str) -> dict[str, Any]:
        child = self._children[name]
        try:
            report: dict[str, Any] = json.loads(child.result.read_bytes())
        except FileNotFoundError:
            lines = child.log.read_text(encoding="utf-8", errors="replace").splitlines()
            tail = " | ".join(lines[-_TAIL_LINES:]) or "it printed nothing"
            code = child.process.wait()
            if code < 0:
                ended = signal.Signals(-code).name
                raise ToolKilledError(f"the run {name!r} was killed by {ended}: {tail}") from None
            raise ToolCrashedError(
                f"the run {name!r} ended with exit code {code} and no result: {tail}"
            ) from None
        if "error" in report:
            raise ChildError(name, msgspec.convert(report["error"], Failure))
        return report

    def _running(self) -> int:
        return sum(child.process.poll() is None for child in self._children.values())

    def _pause(self, name: str) -> None:
        if time.monotonic() > self._deadline:
            raise ToolTimeoutError(f"the run {name!r} did not end within {self._timeout:g} s")
        time.sleep(_PATIENCE)


def _environment(*, hash_seed: int) -> dict[str, str]:
    # The child's working directory is another one, where a relative entry would mean nothing.
    paths = [
        str(Path(p).resolve()) for p in os.environ.get("PYTHONPATH", "").split(os.pathsep) if p
    ]
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(paths),
        "PYTHONHASHSEED": str(hash_seed),
        "OMP_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1",
        "TOKENIZERS_PARALLELISM": "false",
        "HF_HUB_OFFLINE": "1",
    }
