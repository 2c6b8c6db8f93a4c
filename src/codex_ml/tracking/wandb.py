"""Weights & Biases, offline unless asked otherwise."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from codex_ml.documents import as_json, numbers
from codex_ml.tracking.base import Tracker, TrackingWarning

_log = logging.getLogger(__name__)
_CONNECT_SECONDS = 30


class WandbTracker(Tracker):
    """A run of W&B's in `<directory>/wandb`, which `wandb sync` uploads later.

    Asked to be online, it is offline all the same, with a warning, where there is no API key
    (W&B would wait for one to be typed in) or no connection. A connection that breaks later is
    W&B's own business: it goes on in its file.
    Its arguments are those of `open_tracker`.
    """

    def __init__(self, directory: Path, *, experiment: str, online: bool = False) -> None:
        # An optional package, and a slow import, for those who ask for it.
        import wandb  # noqa: PLC0415

        # It would put its files elsewhere if this were not there.
        (directory / "wandb").mkdir(parents=True, exist_ok=True)
        # Not left to W&B: a run that never got through can hold the program when it ends.
        if online and (reason := _hindrance(wandb)):
            online = False
            told = f"W&B is offline: {reason}; `wandb sync` uploads the run later"
            warnings.warn(told, TrackingWarning, stacklevel=3)
        self._online = online
        self._run = wandb.init(
            project=experiment,
            name=directory.name,
            dir=str(directory),
            mode="online" if online else "offline",
            reinit="create_new",  # a run of the caller's own stays as it is
            settings=wandb.Settings(silent=True, init_timeout=_CONNECT_SECONDS),
        )
        # As a metric, not as W&B's own step, which drops what comes out of order.
        self._run.define_metric("*", step_metric="step")

    def log_params(self, params: Mapping[str, Any]) -> None:
        self._run.config.update(as_json(params), allow_val_change=True)

    def log_metrics(self, metrics: Mapping[str, float], step: int) -> None:
        self._run.log({**numbers(metrics), "step": step})

    def close(self, *, failed: bool = False) -> None:
        self._run.finish(exit_code=int(failed))
        if not self._online:
            _log.info("`wandb sync %s` uploads this run", self._run.settings.sync_dir)


def _hindrance(wandb: Any) -> str:
    """Why a run cannot be online; empty where W&B's server answers, whatever it says."""
    import requests  # noqa: PLC0415 - W&B's own means of transport

    if not wandb.api.api_key:
        return "no API key is set (WANDB_API_KEY)"
    address = wandb.setup().settings.base_url
    try:
        requests.head(address, timeout=_CONNECT_SECONDS)
    except requests.RequestException as error:
        return f"{address} does not answer ({type(error).__name__})"
    return ""
