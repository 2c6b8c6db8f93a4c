"""What identifies a run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from codex_ml.environment import config_hash, manifest
from codex_ml.hardware import hardware

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from codex_ml.tracking.base import Tracker


def start_run(
    tracker: Tracker, config: Mapping[str, Any], *, seed: int, directory: Path | None = None
) -> dict[str, Any]:
    """Record what identifies a run: configuration and hash, seed, commit, environment, machine.

    Args:
        tracker: where to.
        config: the configuration, as JSON values.
        seed: what was given to `seed_everything`.
        directory: whose git commit counts; the working directory otherwise.

    Returns:
        What was recorded.

    Raises:
        TypeError: the configuration holds a value that JSON does not know.
    """
    where = manifest(directory)
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
