"""The protocol of a tracker."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, Self


class TrackingWarning(UserWarning):
    """Something could not be recorded where it was to be; the message says where it is."""


class Tracker(Protocol):
    """What a run reports to; leaving its `with` block ends the run, as failed on an exception."""

    def log_params(self, params: Mapping[str, Any]) -> None:
        """Record what the run was started with."""

    def log_metrics(self, metrics: Mapping[str, float], step: int) -> None:
        """Record what was measured at `step`, an optimizer step; steps may come in any order.

        Raises:
            TypeError: a value is no number.
        """

    def close(self, *, failed: bool = False) -> None:
        """End the run; a second time does nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.close(failed=kind is not None)
