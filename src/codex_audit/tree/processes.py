"""Reading the files of a large tree in several processes, none of which can take the scan down."""

from __future__ import annotations

import signal
from collections import deque
from contextlib import contextmanager
from multiprocessing import current_process, get_all_start_methods, get_context
from multiprocessing.connection import wait
from typing import TYPE_CHECKING

from codex_audit.tree.facts import Found, Problem

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from multiprocessing.connection import Connection

    from codex_audit.tree.files import TreeFile

    Read = Callable[[TreeFile], Found]


def available() -> bool:
    """Whether this system can fork, and this process may: those of a pool may have no children."""
    return "fork" in get_all_start_methods() and not current_process().daemon


def read_in_processes(read: Read, files: Sequence[TreeFile], jobs: int) -> list[Found]:
    """`read` of every file, in their order.

    A process that dies (for want of memory, say) costs the file that it was reading, which gets a
    problem that says so. When this one is interrupted, it ends the others.
    """
    # Files of one directory cost alike: every n-th file gives each process the same share.
    shares = [deque(files[start::jobs]) for start in range(jobs)]
    found: dict[str, Found] = {}
    workers: dict[Connection, _Worker] = {}
    try:
        for share in shares:
            _start(read, share, workers)
        while workers:
            for ready in wait(list(workers)):
                worker = workers[ready]  # type: ignore[index] # it was given connections only
                try:
                    facts = worker.connection.recv()
                except EOFError:
                    del workers[worker.connection]
                    problem = worker.ended()
                    if worker.share:
                        lost = worker.share.popleft()
                        found[lost.path] = Found(lost.path, lost.role, 0, problem=problem)
                        _start(read, worker.share, workers)
                else:
                    worker.share.popleft()
                    found[facts.path] = facts
    finally:
        for worker in workers.values():
            worker.process.terminate()
        for worker in workers.values():
            worker.process.join()
    return [found[file.path] for file in files]


class _Worker:
    """A process that reads a share of the files; `share` is what it has not sent yet."""

    def __init__(self, read: Read, share: deque[TreeFile], others: list[Connection]) -> None:
        context = get_context("fork")
        self.share = share
        self.connection, theirs = context.Pipe(duplex=False)
        ours = [self.connection, *others]
        self.process = context.Process(
            target=_work, args=(read, list(share), theirs, ours), daemon=True
        )
        self.process.start()
        theirs.close()  # so that its end is seen here

    def ended(self) -> Problem:
        """Wait for its end; why the file that it was reading has no facts."""
        self.process.join()
        self.connection.close()
        code = self.process.exitcode or 0
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"exited with {code}"
        return Problem(1, f"the process that read it {how}", passing=True)


def _start(read: Read, share: deque[TreeFile], workers: dict[Connection, _Worker]) -> None:
    if share:
        with _interrupts_wait():
            worker = _Worker(read, share, list(workers))
            workers[worker.connection] = worker


@contextmanager
def _interrupts_wait() -> Iterator[None]:
    """Hold interrupts back: a process started meanwhile never gets one, its parent ends it."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


def _work(
    read: Read, files: Sequence[TreeFile], connection: Connection, parents: Sequence[Connection]
) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    # Were the parent's ends kept open here, sending would wait for ever after its death.
    for inherited in parents:
        inherited.close()
    try:
        for file in files:
            connection.send(read(file))
    except BrokenPipeError:
        return  # whoever asked is gone
    finally:
        connection.close()
