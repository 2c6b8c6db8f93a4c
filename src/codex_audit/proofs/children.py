"""Processes in which a subject stands trial: started, watched, killed on purpose or with us."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, TYPE_CHECKING, Any, Protocol, Self, cast

import msgspec

from codex_audit.diagnosis import Failure
from codex_audit.gates.tool import ToolCrashedError, ToolKilledError, ToolTimeoutError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

_PATIENCE = 0.02
_TAIL_LINES = 3
_TAIL = 4000


class ChildError(RuntimeError):
    """An exception that ended a child; `failure` is that exception."""

    def __init__(self, name: str, failure: Failure) -> None:
        super().__init__(f"{name}: {failure.type}: {failure.message}")
        self.name = name
        self.failure = failure


class _Process(Protocol):
    """A process that was started here, or in a nursery."""

    @property
    def pid(self) -> int: ...

    def poll(self) -> int | None: ...

    def wait(self) -> int: ...


class _Child(msgspec.Struct, frozen=True):
    process: _Process
    result: Path
    log: Path


class _Nursed:
    """A process that a nursery forked; its end is told by the nursery."""

    def __init__(self, nursery: _Nursery, name: str, pid: int) -> None:
        self.pid = pid
        self._nursery = nursery
        self._name = name

    def poll(self) -> int | None:
        self._nursery.listen(0)
        return self._nursery.ended.get(self._name)

    def wait(self) -> int:
        while self._name not in self._nursery.ended:
            self._nursery.listen(_PATIENCE)
        return self._nursery.ended[self._name]


class _Nursery:
    """One `codex_audit.proofs.nursery`, and what it told."""

    def __init__(self, root: Path, scratch: Path, temporary: str, number: int) -> None:
        self.ended: dict[str, int] = {}
        self._pids: dict[str, int] = {}
        self._heard = b""
        path = scratch / f"nursery-{number}.spec.json"
        path.write_text(json.dumps({"root": str(root), "parent": os.getpid()}), encoding="utf-8")
        with (scratch / f"nursery-{number}.log").open("wb") as log:
            self.process = subprocess.Popen(  # noqa: S603 - our own module in our own interpreter
                [sys.executable, "-P", "-m", "codex_audit.proofs.nursery", str(path)],
                cwd=root,
                env=_environment(temporary, hash_seed=number),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
            )

    def ask(self, request: Mapping[str, Any]) -> None:
        """Send a request.

        Raises:
            ToolCrashedError: the nursery is gone.
        """
        stream = cast("IO[bytes]", self.process.stdin)
        try:
            stream.write(json.dumps(request).encode() + b"\n")
            stream.flush()
        except BrokenPipeError:
            code = self.process.wait()
            raise ToolCrashedError(
                f"the process that starts the runs ended with exit code {code}"
            ) from None

    def start(self, name: str, request: Mapping[str, Any], pause: Callable[[str], None]) -> _Nursed:
        """Fork a child, calling `pause(name)` until it runs.

        Raises:
            ToolCrashedError: the nursery is gone.
        """
        self.ask({"name": name, **request})
        while name not in self._pids:
            pause(name)
            self.listen(0)
        return _Nursed(self, name, self._pids[name])

    def listen(self, seconds: float) -> None:
        """Take in what the nursery has told, waiting for it that long at most."""
        stream = cast("IO[bytes]", self.process.stdout)
        if not select.select([stream], [], [], seconds)[0]:
            return
        data = os.read(stream.fileno(), 65536)
        if not data:
            code = self.process.wait()
            raise ToolCrashedError(f"the process that starts the runs ended with exit code {code}")
        *lines, self._heard = (self._heard + data).split(b"\n")
        for line in lines:
            word, name, number = line.decode().split(" ")
            (self._pids if word == "started" else self.ended)[name] = int(number)

    def close(self) -> None:
        """End it, and with it every child that still runs."""
        self.process.kill()
        self.process.communicate()


class Children:
    """The child processes of one gate; leaving the `with` block kills those that still run.

    Each runs `python -P -m MODULE SPEC.json` in the audited repository, in its own process
    group, with one thread, offline, and with a hash seed of its own, so that nothing may
    depend on the order of a set. What they leave in the directory of temporary files goes on
    leaving the block: who is killed cannot tidy up. `codex_audit.proofs.child.serve` is its
    other half.

    Args:
        root: the audited repository: working directory and first on the import path.
        scratch: where specifications, results and logs go.
        timeout: seconds for all of them together.
        limit: how many may run at a time.
        nurse: fork the children from two processes, with a hash seed each, that have imported
            the heavy libraries. Not for CUDA, whose context no fork survives.
    """

    def __init__(
        self, root: Path, scratch: Path, *, timeout: float, limit: int = 2, nurse: bool = False
    ) -> None:
        self.root = root
        self.scratch = scratch
        self._timeout = timeout
        self._deadline = time.monotonic() + timeout
        self.limit = limit
        self._children: dict[str, _Child] = {}
        self._nurse = nurse
        self._nurseries: list[_Nursery] = []
        # Not in `scratch`: a path to a socket has room for some hundred characters only.
        self._temporary = TemporaryDirectory(prefix="codex-audit-", ignore_cleanup_errors=True)

    def __enter__(self) -> Self:
        if self._nurse:
            self._nurseries = [
                _Nursery(self.root, self.scratch, self.temporary, number) for number in (1, 2)
            ]
        return self

    def __exit__(self, *_: object) -> None:
        try:
            for name in self._children:
                self.kill(name)
        finally:
            for nursery in self._nurseries:
                nursery.close()
            self._temporary.cleanup()

    @property
    def temporary(self) -> str:
        """Where the children have their temporary files."""
        return self._temporary.name

    @property
    def count(self) -> int:
        """How many have been started so far."""
        return len(self._children)

    def preload(self, modules: Sequence[str]) -> None:
        """Have the nurseries import `modules`, so that children find them imported."""
        for nursery in self._nurseries:
            nursery.ask({"import": list(modules)})

    def try_to_preload(self, modules: Sequence[str]) -> None:
        """The same with modules of which it is not known whether a process can be forked then."""
        for nursery in self._nurseries if modules else ():
            nursery.ask({"try": list(modules)})

    def start(
        self,
        name: str,
        module: str,
        spec: Mapping[str, Any],
        environment: Mapping[str, str] | None = None,
        *,
        turn: int | None = None,
    ) -> None:
        """Start a child called `name`, as soon as fewer than `limit` are running.

        `environment` is added to that of all; children of an even and of an odd `turn` have
        different hash seeds, as those that are started one after the other.

        Raises:
            ToolTimeoutError: the time ran out before that.
        """
        while self._running() >= self.limit:
            self._pause(name)
        turn = len(self._children) if turn is None else turn
        result = self.scratch / f"{name}.json"
        log = self.scratch / f"{name}.log"
        path = self.scratch / f"{name}.spec.json"
        told = {**spec, "root": str(self.root), "result": str(result), "parent": os.getpid()}
        path.write_text(json.dumps(told), encoding="utf-8")
        if self._nurseries:
            nursery = self._nurseries[turn % len(self._nurseries)]
            asked = {
                "module": module,
                "spec": str(path),
                "log": str(log),
                "environment": dict(environment or {}),
            }
            nursed = nursery.start(name, asked, self._pause)
            self._children[name] = _Child(nursed, result, log)
            return
        process: _Process
        with log.open("wb") as stream:
            process = subprocess.Popen(  # noqa: S603 - our own module in our own interpreter
                [sys.executable, "-P", "-m", module, str(path)],
                cwd=self.root,
                env=_environment(self.temporary, hash_seed=len(self._children) + 1)
                | dict(environment or {}),
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

    def ended(self, name: str) -> bool:
        """Whether the child has ended.

        Raises:
            ToolTimeoutError: the time of all children ran out.
        """
        if self._children[name].process.poll() is not None:
            return True
        self._pause(name)
        return False

    def outcome(self, name: str) -> tuple[int, dict[str, Any] | None]:
        """The exit code of a child that has ended, and its last report, if it made one."""
        child = self._children[name]
        code = child.process.wait()
        report = json.loads(child.result.read_bytes()) if child.result.exists() else None
        return code, report

    def last_words(self, name: str) -> str:
        """The last lines that the child printed."""
        text = self._children[name].log.read_text(encoding="utf-8", errors="replace")
        return " | ".join(text.splitlines()[-_TAIL_LINES:]) or "it printed nothing"

    def printed(self, name: str) -> str:
        """The end of what the child printed."""
        text = self._children[name].log.read_text(encoding="utf-8", errors="replace")
        return text[-_TAIL:]

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
            tail = self.last_words(name)
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

    def check_time(self, name: str) -> None:
        """Look whether there is time left, on behalf of what is called `name`.

        Raises:
            ToolTimeoutError: the time of all children ran out.
        """
        if time.monotonic() > self._deadline:
            raise ToolTimeoutError(f"the run {name!r} did not end within {self._timeout:g} s")

    def _pause(self, name: str) -> None:
        self.check_time(name)
        time.sleep(_PATIENCE)


def import_path() -> str:
    """PYTHONPATH with absolute entries: a child's working directory is another one."""
    given = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    return os.pathsep.join(str(Path(entry).resolve()) for entry in given if entry)


def _environment(temporary: str, *, hash_seed: int) -> dict[str, str]:
    return {
        **os.environ,
        "TMPDIR": temporary,
        "PYTHONPATH": import_path(),
        "PYTHONHASHSEED": str(hash_seed),
        "OMP_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1",
        "TOKENIZERS_PARALLELISM": "false",
        "HF_HUB_OFFLINE": "1",
    }
