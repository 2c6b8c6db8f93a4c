"""What a run was and what it measured: a local file always, others beside it where asked for."""

from codex_ml.tracking.base import Tracker, TrackingWarning
from codex_ml.tracking.jsonl import JsonlTracker, records, replay
from codex_ml.tracking.mlflow import MlflowTracker
from codex_ml.tracking.opening import FallbackTracker, Kind, open_tracker, start_run
from codex_ml.tracking.tensorboard import TensorBoardTracker
from codex_ml.tracking.wandb import WandbTracker

__all__ = [
    "FallbackTracker",
    "JsonlTracker",
    "Kind",
    "MlflowTracker",
    "TensorBoardTracker",
    "Tracker",
    "TrackingWarning",
    "WandbTracker",
    "open_tracker",
    "records",
    "replay",
    "start_run",
]
