"""One process of a command: started, watched in slices, and killed at the moment asked for.

Between two slices its whole process group is stopped, so that what is seen of its output and of
its files is of one moment: a loss that was logged after a checkpoint is told from one before.
"""

from __future__ import annotations

import fcntl
import json
import os
import resource
import signal
import struct
import subprocess
import sys
import termios
import time
from contextlib import suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, cast

from codex_audit.proofs.children import import_path
from codex_audit.proofs.trainer.commands.asked import Asked, Ran, Stop, Version
from codex_audit.proofs.trainer.commands.launch import NO_NAMESPACE
from codex_audit.proofs.trainer.commands.losses import Reader

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence
    from threading import Event

    from codex_audit.proofs.trainer.commands.losses import Where

_SLICE, _FINE = 0.004, 0.001
_FINE_FOR = 0.5  # a tiny training is over by then; a longer one is not to be slowed
_QUIET = 0.012  # changes so close to each other are one
_TAIL_LINES, _TAIL = 3, 20_000
_LAUNCH = "codex_audit.proofs.trainer.commands.launch"
_ROOM = 4096
_MIDDLE = 0.5
_ROWS, _COLUMNS = 24, 80
_END_OF_INPUT = b"\x04" * 16

Signature = tuple[tuple[str, int, int, int], ...]


class Watched:
    """A running process.

    Args:
        program: its file.
        words: of the command, the program's name first.
        directory: of the run.
        cwd: where it runs.
        environment: all of it.
        log: where its output goes.
        losses: where they are.
        checkpoints: the glob below `directory`.
        found: files that lie below `directory` and are none of the command's.
        offline: without a network.
        terminal: with a terminal as its standard input.
    """

    def __init__(  # noqa: PLR0913 - the parts of one command, told once
        self,
        program: str,
        words: Sequence[str],
        directory: Path,
        *,
        cwd: str,
        environment: dict[str, str],
        log: Path,
        losses: Where | None,
        checkpoints: str,
        found: Collection[str] = (),
        offline: bool = False,
        terminal: bool = False,
    ) -> None:
        self._directory = directory
        self._offline = offline
        self._glob = checkpoints
        self._reader = Reader(losses, directory)
        self._log = log.open("wb")
        self._before = self._last = self._signature()
        self._found = frozenset(found)
        self._versions: list[Version] = []
        self._seen = 0
        self._changed = 0.0
        self._emptied = self._full = self._streams = False
        self._limit: int | None = None
        self._counted = 0
        self._logged = self._beyond = 0.0
        self._tail = ""
        self._started = time.monotonic()
        self._started_ns = time.time_ns()
        spec = {
            "program": program,
            "words": list(words),
            "environment": environment,
            "parent": os.getpid(),
            "offline": offline,
        }
        self._terminal, stdin = _new_terminal() if terminal else (None, subprocess.DEVNULL)
        self._process = subprocess.Popen(  # noqa: S603 - the settings' own command, no shell
            [sys.executable, "-P", "-m", _LAUNCH, json.dumps(spec)],
            cwd=cwd,
            env={**os.environ, "PYTHONPATH": import_path()},
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self._pipe = cast("IO[bytes]", self._process.stdout)
        os.set_blocking(self._pipe.fileno(), False)
        if terminal:
            os.close(stdin)

    def run(self, asked: Asked, patience: float, cancelled: Event) -> Ran:
        """Watch it to its end, or to the moment of its stop; after that nothing of it runs."""
        try:
            return self._run(asked, patience, cancelled)
        finally:
            if self._terminal is not None:
                os.close(self._terminal)
            self._signal(signal.SIGKILL)
            self._process.wait()
            self._pipe.close()
            self._log.close()

    def _run(self, asked: Asked, patience: float, cancelled: Event) -> Ran:
        killed, ended, problem, woken = False, False, "", 0.0
        stop = asked.stop
        while self._process.poll() is None:
            if cancelled.is_set() or time.monotonic() - self._started > patience:
                problem = f"it did not end within {patience:g} s and was killed"
                break
            awake = self._last != self._before or bool(self._reader.found)
            if awake:
                self._signal(signal.SIGSTOP)
            self._look()
            if stop is not None and self._due(stop):
                killed = True
                break
            if self._had_enough(asked):
                ended = True
                break
            if awake:
                self._signal(signal.SIGCONT)
            self._streams = self._streams or bool(self._reader.found)
            woken = woken or (time.monotonic() if awake else 0.0)
            time.sleep(_SLICE if awake and time.monotonic() - woken > _FINE_FOR else _FINE)
        self._signal(signal.SIGKILL)
        code = self._process.wait()
        self._look()
        if not ended:
            self._reader.finish()
        losses = self._reader.found
        if code == NO_NAMESPACE and self._offline:
            problem = "the system gives no process a network of its own"
        return Ran(
            exit_code=0 if ended else code,
            killed=killed,
            ended=ended,
            full=self._full or (self._limit is not None and (self._met() or code > 0)),
            emptied=self._emptied,
            streams=self._streams,
            losses=tuple(losses[: asked.enough(losses)]),
            versions=tuple(self._versions),
            seconds=time.monotonic() - self._started,
            words=last_words(self._tail),
            output=self._tail[-_TAIL:],
            overwritten=self._reader.overwritten,
            left=tuple(sorted(f.name for f in self._written())),
            started_ns=self._started_ns,
            problem=problem,
        )

    def _look(self) -> None:
        with suppress(BlockingIOError):
            while data := self._pipe.read(1 << 16):
                self._log.write(data)
                text = data.decode("utf-8", "replace")
                self._tail = (self._tail + text)[-2 * _TAIL :]
                self._reader.feed(text)
        self._reader.look()
        self._note(self._signature())

    def _note(self, found: Signature) -> None:
        """Count how often the checkpoints were written; a file that grows is one writing."""
        logged = len(self._reader.found)
        now = time.monotonic() - self._started
        if found != self._last:
            self._emptied = self._emptied or (bool(self._last) and not found)
            new = not self._versions or (
                logged > self._versions[-1].losses
                if self._streams
                else now - self._changed > _QUIET
            )
            before = self._seen if new else self._versions[-1].before
            if not new:
                self._versions.pop()
            self._versions.append(Version(before, logged, now))
            self._last = found
            self._changed = now
        self._seen = logged

    def _had_enough(self, asked: Asked) -> bool:
        """Whether all losses are there that it was asked for, and no checkpoint is being written.

        It is ended in the middle between two losses: what a script does right before or after it
        logs one, it has then done in each run.
        """
        now = time.monotonic()
        if asked.enough(self._reader.found) is None:
            if len(self._reader.found) != self._counted:
                self._counted, self._logged = len(self._reader.found), now
            return False
        self._beyond = self._beyond or now
        pause = max(_QUIET, _MIDDLE * (self._beyond - self._logged))
        return now - max(self._beyond, self._started + self._changed) > pause

    def _due(self, stop: Stop) -> bool:
        if self._limit is not None:
            self._full = self._full or self._met()
            return self._full
        if len(self._versions) < stop.version or not self._last:
            return False
        logged = len(self._reader.found) - self._versions[-1].losses
        quiet = time.monotonic() - self._started - self._changed
        past = len(self._versions) > stop.version
        if not past and (quiet < stop.quiet if stop.quiet is not None else logged < stop.losses):
            return False
        if stop.full_at is None:
            return True
        self._fill(stop.full_at)
        return False

    def _fill(self, part: float) -> None:
        """Let no process of the group write a file beyond a part of the largest checkpoint."""
        mine = {name for name, *_ in self._last}
        others = [f for f in self._written() if str(f) not in mine]
        largest = max(size for _, size, *_ in self._last)
        floor = max((f.stat().st_size for f in others), default=0) + _ROOM
        self._limit = min(max(int(part * largest), floor), largest - 1)
        for pid in _group(self._process.pid):
            with suppress(ProcessLookupError):
                _, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
                resource.prlimit(pid, resource.RLIMIT_FSIZE, (self._limit, hard))

    def _met(self) -> bool:
        return any(f.stat().st_size == self._limit for f in self._written())

    def _written(self) -> list[Path]:
        """The files below its directory, without those that lay there before all runs in it."""
        return [f for f in self._directory.rglob("*") if f.is_file() and str(f) not in self._found]

    def _signature(self) -> Signature:
        found = []
        for path in files_of(self._directory, self._glob):
            with suppress(FileNotFoundError):  # it goes while we look, where nothing is stopped
                stat = path.stat()
                found.append((str(path), stat.st_size, stat.st_mtime_ns, stat.st_ino))
        return tuple(found)

    def _signal(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):  # it has ended
            os.killpg(self._process.pid, number)


def _new_terminal() -> tuple[int | None, int]:
    """A terminal on which nobody types: its far end and its near one."""
    far, near = os.openpty()
    fcntl.ioctl(near, termios.TIOCSWINSZ, struct.pack("4H", _ROWS, _COLUMNS, 0, 0))
    os.write(far, _END_OF_INPUT)
    return far, near


def files_of(directory: Path, glob: str) -> list[Path]:
    """The files that a glob finds below a directory, also those of directories that it finds."""
    found: set[Path] = set()
    for path in directory.glob(glob) if glob else ():
        if path.is_dir():
            found.update(each for each in path.rglob("*") if each.is_file())
        elif path.is_file():
            found.add(path)
    return sorted(found)


def last_words(output: str) -> str:
    """The last lines of an output, in one."""
    # A traceback underlines with carets what is at fault.
    lines = [line.strip() for line in output.splitlines() if line.strip(" \t^~")]
    return " | ".join(lines[-_TAIL_LINES:]) or "it printed nothing"


def _group(leader: int) -> Iterator[int]:
    """The processes of a process group, where the system lists them."""
    for path in Path("/proc").glob("[0-9]*"):
        with suppress(OSError, ValueError):
            if os.getpgid(int(path.name)) == leader:
                yield int(path.name)
