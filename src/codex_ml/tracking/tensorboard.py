"""TensorBoard's event files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from codex_ml.documents import as_json, numbers
from codex_ml.tracking.base import Tracker


class TensorBoardTracker(Tracker):
    """Scalars and the parameters as text in `<directory>/tensorboard`.

    A kill loses what was logged in the last ten seconds; a resumed run goes on in the same curves.
    """

    def __init__(self, directory: Path) -> None:
        # An optional package, and a slow import, for those who ask for it.
        from torch.utils.tensorboard import SummaryWriter  # noqa: PLC0415

        self._writer: Any = SummaryWriter(str(directory / "tensorboard"), flush_secs=10)

    def log_params(self, params: Mapping[str, Any]) -> None:
        text = json.dumps(as_json(params), indent=2)
        self._writer.add_text("params", f"```json\n{text}\n```")

    def log_metrics(self, metrics: Mapping[str, float], step: int) -> None:
        for name, value in numbers(metrics).items():
            self._writer.add_scalar(name, value, step)

    def close(self, *, failed: bool = False) -> None:
        del failed  # TensorBoard has no word for it
        self._writer.close()
