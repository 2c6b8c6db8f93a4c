"""A thread that is about to write waits for a further step, once a save; the main one never."""

from __future__ import annotations

import threading
import time

from codex_audit.proofs.trainer import background
from codex_audit.proofs.trainer.background import Background

_LONG = background._PATIENCE / 2


def waited(where: Background) -> list[float]:
    """How long a thread waits, twice."""
    seen: list[float] = []

    def write() -> None:
        for _ in range(2):
            started = time.monotonic()
            where.wait()
            seen.append(time.monotonic() - started)

    thread = threading.Thread(target=write)
    thread.start()
    thread.join()
    return seen


def test_it_waits_until_a_step_has_been_made_and_then_no_more() -> None:
    done = threading.Event()
    where = Background(lambda: int(done.is_set()))
    where.begin()
    threading.Timer(0.05, done.set).start()
    first, second = waited(where)
    assert 0.03 < first < background._PATIENCE
    assert second < 0.03


def test_it_does_not_wait_for_ever() -> None:
    where = Background(lambda: 0)
    where.begin()
    first, _ = waited(where)
    assert first >= background._PATIENCE


def test_nobody_waits_who_is_hurried_and_the_main_thread_never() -> None:
    where = Background(lambda: 0)
    where.begin()
    where.hurry()
    assert max(waited(where)) < _LONG
    where.begin()
    started = time.monotonic()
    where.wait()
    assert time.monotonic() - started < _LONG
