"""Several trackers as one, of which none but the local file is needed."""

from __future__ import annotations

import threading
import warnings
from typing import TYPE_CHECKING, Any

from codex_ml.tracking.base import Tracker, TrackingWarning

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from codex_ml.tracking.jsonl import JsonlTracker


class FallbackTracker(Tracker):
    """Writes to `local` first and then to `others`, each until it fails.

    One that raises is warned of once and left alone from then on; `replay` gives it later what
    it missed. Threads may share this tracker, whatever its parts allow.

    Args:
        local: has everything.
        others: name -> tracker.
    """

    def __init__(self, local: JsonlTracker, others: Mapping[str, Tracker]) -> None:
        self.local = local
        self.others = dict(others)
        self._lock = threading.Lock()

    def log_params(self, params: Mapping[str, Any]) -> None:
        """Record `params` in each."""
        self.local.log_params(params)
        self._each(lambda tracker: tracker.log_params(params))

    def log_metrics(self, metrics: Mapping[str, float], step: int) -> None:
        """Record `metrics` at `step` in each.

        Raises:
            TypeError: a value is no number.
        """
        self.local.log_metrics(metrics, step)
        self._each(lambda tracker: tracker.log_metrics(metrics, step))

    def close(self, *, failed: bool = False) -> None:
        """End the run in each."""
        self.local.close(failed=failed)
        self._each(lambda tracker: tracker.close(failed=failed))
        self.others.clear()

    def _each(self, call: Callable[[Tracker], None]) -> None:
        with self._lock:
            for name, tracker in list(self.others.items()):
                try:
                    call(tracker)
                except Exception as error:  # noqa: BLE001 - no fault of a tracker may end a run
                    del self.others[name]
                    warnings.warn(
                        f"{name} failed ({type(error).__name__}: {error}) and gets no more of "
                        f"this run; all of it is in {self.local.path}",
                        TrackingWarning,
                        stacklevel=3,
                    )
