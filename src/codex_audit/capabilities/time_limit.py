"""A limit on the time that an audited repository's own expressions may take.

A regular expression can be written so that it takes for ever on a line of its author's choice.
Those that are shipped are tested; those that a repository brings along are not.
"""

from __future__ import annotations

import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from codex_audit.capabilities.catalog import CatalogError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path
    from types import FrameType

SECONDS = 300.0


class _TimeIsUpError(BaseException):
    """No `Exception`: what keeps one bad file from hiding the others must not catch it."""


@contextmanager
def time_limit(root: Path, named: Sequence[str]) -> Iterator[None]:
    """Give what follows `SECONDS`, where settings of `root` name added files; else no limit.

    Without POSIX signals, and outside of the main thread, there is none.

    Raises:
        CatalogError: the time is up.
    """
    in_reach = (
        hasattr(signal, "setitimer") and threading.current_thread() is threading.main_thread()
    )
    if not named or not in_reach:
        yield
        return

    def up(_signal: int, _frame: FrameType | None) -> None:
        raise _TimeIsUpError

    before = signal.signal(signal.SIGALRM, up)
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    try:
        yield
    except _TimeIsUpError:
        raise CatalogError(
            f"{root / 'pyproject.toml'}: [tool.codex-audit] catalog: the scan was ended after "
            f"{SECONDS:g} s with the added rules ({', '.join(named)}); simplify their expressions "
            "(a repetition inside of a repetition is slow), or leave them out"
        ) from None
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
