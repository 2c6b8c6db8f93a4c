"""Writers in the background, made as late as a slow disk would make them.

A thread that writes a checkpoint is quick where the model is small, and its faults go unseen: what
it was given may be changed by the next step before it is written.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

_TICK, _PATIENCE = 0.002, 0.3


class Background:
    """Lets any thread but the main one wait, once a save, until a further step has been made.

    Args:
        steps: tells how many optimizer steps have been made.
    """

    def __init__(self, steps: Callable[[], int]) -> None:
        self._steps = steps
        self._save = 0
        self._hurried = False
        self._own = threading.local()

    def install(self) -> None:
        """Have `torch.save` wait; once a process."""
        import torch  # noqa: PLC0415 - the subject's own, which has been imported by now

        original = torch.save

        def saved(*args: Any, **kwargs: Any) -> None:
            self.wait()
            original(*args, **kwargs)

        torch.save = saved

    def begin(self) -> None:
        """A save begins."""
        self._save += 1
        self._hurried = False

    def hurry(self) -> None:
        """Nobody waits any more, until the next save."""
        self._hurried = True

    def wait(self) -> None:
        """Called by whoever is about to write."""
        if threading.current_thread() is threading.main_thread():
            return
        if vars(self._own).get("save") == self._save:
            return
        self._own.save = self._save
        made, end = self._steps(), time.monotonic() + _PATIENCE
        while not self._hurried and self._steps() == made and time.monotonic() < end:
            time.sleep(_TICK)
