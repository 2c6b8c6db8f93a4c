"""What a run was and what it measured: a local file always, others beside it where asked for."""

from codex_ml.tracking.base import Tracker, TrackingWarning
from codex_ml.tracking.jsonl import JsonlTracker, records, replay
from codex_ml.tracking.opening import FallbackTracker, Kind, open_tracker, start_run

__all__ = [
    "FallbackTracker",
    "JsonlTracker",
    "Kind",
    "Tracker",
    "TrackingWarning",
    "open_tracker",
    "records",
    "replay",
    "start_run",
]
