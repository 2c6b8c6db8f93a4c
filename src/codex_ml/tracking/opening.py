"""The trackers of a run by their names."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Literal, get_args

from codex_ml.environment import rank
from codex_ml.tracking.base import Tracker, TrackingWarning
from codex_ml.tracking.fallback import FallbackTracker
from codex_ml.tracking.jsonl import JsonlTracker
from codex_ml.tracking.mlflow import MlflowTracker
from codex_ml.tracking.tensorboard import TensorBoardTracker
from codex_ml.tracking.wandb import WandbTracker

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

Kind = Literal["jsonl", "tensorboard", "mlflow", "wandb"]


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
            remedy = (
                "; pip install 'codex-audit[tracking]'"
                if isinstance(error, ModuleNotFoundError)
                else ""
            )
            warnings.warn(
                f"{kind} cannot be used ({type(error).__name__}: {error}){remedy}; all of the "
                f"run is in {local.path}",
                TrackingWarning,
                stacklevel=2,
            )
    return FallbackTracker(local, others)
