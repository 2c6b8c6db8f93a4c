"""Where a run reports to: its trackers by their names, as one, and first of all what it is."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, get_args

from codex_ml.environment import config_hash, hardware, manifest, rank
from codex_ml.tracking.base import Tracker, TrackingWarning
from codex_ml.tracking.jsonl import JsonlTracker
from codex_ml.tracking.mlflow import MlflowTracker
from codex_ml.tracking.tensorboard import TensorBoardTracker
from codex_ml.tracking.wandb import WandbTracker

Kind = Literal["jsonl", "tensorboard", "mlflow", "wandb"]


class FallbackTracker(Tracker):
    """Writes to `local` first and then to `others`, each until it fails.

    One that raises is warned of once and left alone from then on; `replay` gives it later what
    it missed. Threads may share this tracker, whatever its parts allow.
    """

    def __init__(self, local: JsonlTracker, others: Mapping[str, Tracker]) -> None:
        self.local = local
        self.others = dict(others)
        self._lock = threading.Lock()

    def log_params(self, params: Mapping[str, Any]) -> None:
        self.local.log_params(params)
        self._each(lambda tracker: tracker.log_params(params))

    def log_metrics(self, metrics: Mapping[str, float], step: int) -> None:
        self.local.log_metrics(metrics, step)
        self._each(lambda tracker: tracker.log_metrics(metrics, step))

    def close(self, *, failed: bool = False) -> None:
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
                    why = f"{name} failed ({type(error).__name__}: {error})"
                    rest = f"and gets no more of this run; all of it is in {self.local.path}"
                    warnings.warn(f"{why} {rest}", TrackingWarning, stacklevel=3)


def open_tracker(
    kinds: Kind | Iterable[Kind],
    directory: Path,
    *,
    experiment: str = "default",
    online: bool = False,
) -> FallbackTracker:
    """The trackers asked for, beside the local file that is always written.

    One that cannot be started, for want of its package or for any other reason, is warned of
    and left out. In a run of several processes only that of rank 0 has others than the local
    file; the rest write `metrics.rank<n>.jsonl`.

    Args:
        kinds: a name or several: "jsonl" (alone, the default of a run), "tensorboard", "mlflow"
            (SQLite in `directory`), "wandb" (offline).
        directory: of the run; its name is the run's in MLflow and W&B.
        experiment: MLflow's experiment, W&B's project.
        online: let W&B upload the run while it goes on.

    Raises:
        ValueError: an unknown kind.
    """
    names = [kinds] if isinstance(kinds, str) else list(dict.fromkeys(kinds))
    if unknown := [name for name in names if name not in get_args(Kind)]:
        raise ValueError(f"no tracker {unknown[0]!r}; there are {', '.join(get_args(Kind))}")
    number = rank()
    name = f"metrics.rank{number}.jsonl" if number else "metrics.jsonl"
    local = JsonlTracker(directory, name)
    others: dict[str, Tracker] = {}
    for kind in names if number == 0 else ():
        try:
            if kind == "tensorboard":
                others[kind] = TensorBoardTracker(directory)
            elif kind == "mlflow":
                others[kind] = MlflowTracker(directory, experiment=experiment)
            elif kind == "wandb":
                others[kind] = WandbTracker(directory, experiment=experiment, online=online)
        except Exception as error:  # noqa: BLE001 - no fault of a tracker may end a run
            missing = isinstance(error, ModuleNotFoundError)
            remedy = "; pip install 'codex-audit[tracking]'" if missing else ""
            why = f"{kind} cannot be used ({type(error).__name__}: {error}){remedy}"
            warnings.warn(f"{why}; all of the run is in {local.path}", TrackingWarning, 2)
    return FallbackTracker(local, others)


def start_run(tracker: Tracker, config: Mapping[str, Any], *, seed: int) -> dict[str, Any]:
    """Record and return what identifies a run: configuration, seed, commit, environment, machine.

    Args:
        tracker: where to.
        config: the configuration, as JSON values.
        seed: what was given to `seed_everything`.

    Raises:
        TypeError: the configuration holds a value that JSON does not know.
    """
    where = manifest()
    installed = [f"{name}=={version}" for name, version in where.pop("packages").items()]
    record = {
        **where,
        "seed": seed,
        "config": dict(config),
        "config_hash": config_hash(config),
        "hardware": hardware(),
        "packages": installed,
    }
    tracker.log_params(record)
    return record
