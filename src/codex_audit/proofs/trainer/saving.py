"""What is done to a run while it saves, and what of its saving is seen."""

from __future__ import annotations

import multiprocessing
import os
import resource
import signal
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from codex_audit.proofs.trainer.background import Background

# Audit event -> its arguments that are paths; the last of them names what is changed.
_EVENTS = {
    "os.rename": 2,
    "os.link": 2,
    "os.symlink": 2,
    "os.remove": 1,
    "os.rmdir": 1,
    "os.mkdir": 1,
    "os.truncate": 1,
}
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_QUIET, _PATIENCE = 0.1, 10


class Operations:
    """Changes to files below `directory` since `begin`, told by Python right before it makes them.

    Those of other languages are not seen; for them there is the limit on a file's size. A thread
    that makes them waits as `background` has it.
    """

    def __init__(self, directory: Path, background: Background) -> None:
        self.seen: list[str] = []
        self.unsynced: list[str] = []  # names that content was put under which may be lost yet
        self._synced: set[tuple[int, int]] = set()
        self._background = background
        self._below = str(directory) + os.sep
        self._halt: int | None = None
        self._active = False
        self._installed = False

    def begin(self, halt: int | None) -> None:
        """Count from now on; `halt` is the operation before which the process is killed."""
        self.seen, self.unsynced = [], []
        self._halt, self._active = halt, True
        self._background.begin()
        if not self._installed:
            self._installed = True
            self._background.install()
            self._watch_syncs()
            sys.addaudithook(self._hook)

    def settle(self) -> None:
        """Wait until nothing more changes, where another thread or process may be at work."""
        self._background.hurry()
        if threading.active_count() == 1 and not multiprocessing.active_children():
            return
        for _ in range(_PATIENCE):
            before = len(self.seen)
            time.sleep(_QUIET)
            if len(self.seen) == before:
                return

    def _hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self._active:
            return
        if event == "open":
            path, _, flags = arguments
            if not isinstance(flags, int) or not flags & _WRITES:
                return
            paths, verb = [path], "open"
        elif event in _EVENTS:
            paths, verb = list(arguments[: _EVENTS[event]]), event.partition(".")[2]
        else:
            return
        names = [self._name(path) for path in paths]
        if any(name is None for name in names):
            return
        self._background.wait()
        self.seen.append(f"{verb} {' to '.join(map(str, names))}")
        if event == "os.rename" and not self._is_synced(paths[0]):
            self.unsynced.append(str(names[1]))
        if self._halt == len(self.seen):
            os.kill(os.getpid(), signal.SIGKILL)

    def _watch_syncs(self) -> None:
        def synced(fd: Any) -> None:
            original(fd)
            found = os.fstat(fd if isinstance(fd, int) else fd.fileno())
            self._synced.add((found.st_dev, found.st_ino))

        original = os.fsync
        os.fsync = synced

    def _is_synced(self, path: Any) -> bool:
        """Whether a file, or all in a directory, has been given to the disk, as Python tells."""
        place = Path(os.fsdecode(path))
        files = place.rglob("*") if place.is_dir() else (place,)
        found = (each.stat() for each in files if each.is_file())
        return all((each.st_dev, each.st_ino) in self._synced for each in found)

    def _name(self, path: Any) -> str | None:
        """The path within the directory; None outside. rmtree tells names beside descriptors."""
        if not isinstance(path, str | bytes | os.PathLike):
            return None
        text = os.fsdecode(path)
        whole = os.path.abspath(text)  # noqa: PTH100 - a Path resolves links or keeps ".."
        if whole.startswith(self._below):
            return whole.removeprefix(self._below)
        return text if os.sep not in text and not os.path.lexists(whole) else None


@contextmanager
def killed_by_size(asked: tuple[int, int] | None, number: int) -> Iterator[None]:
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


def kill_later(asked: tuple[int, float] | None, number: int) -> None:
    """Kill this process `seconds` from now, wherever it is then."""
    if asked is None or asked[0] != number:
        return
    timer = threading.Timer(asked[1], os.kill, (os.getpid(), signal.SIGKILL))
    timer.daemon = True
    timer.start()
