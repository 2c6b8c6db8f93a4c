"""One JSON object a line in a local file, which a full disk or a missing directory cannot stop."""

from __future__ import annotations

import json
import logging
import os
import tempfile
import threading
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from codex_ml.documents import as_json, numbers
from codex_ml.tracking.base import Tracker, TrackingWarning

_log = logging.getLogger(__name__)


class JsonlTracker(Tracker):
    """Lines in `<directory>/metrics.jsonl`, with the system as soon as they are logged.

    A kill of the process loses no line. NaN and infinities are strings, so that a line stays JSON.
    Where the file cannot be written, one warning says so and the run goes on in a temporary
    directory; where that fails too, lines wait in memory for the next chance, and what still
    waits at the end goes to the log. Threads may share a tracker; processes may not share a file.

    Attributes:
        path: the file that is written now.
    """

    def __init__(self, directory: Path, name: str = "metrics.jsonl") -> None:
        self.path = directory / name
        self._lock = threading.Lock()
        self._waiting = b""
        self._moved = self._warned = self._closed = False
        # The file of a run that was killed in the middle of a line is continued below it.
        self._broken_line = _ends_inside_a_line(self.path)

    def log_params(self, params: Mapping[str, Any]) -> None:
        """Append a line with `params`."""
        self._write({"kind": "params", "params": params})

    def log_metrics(self, metrics: Mapping[str, float], step: int) -> None:
        """Append a line with `metrics` at `step`."""
        self._write({"kind": "metrics", "step": step, "metrics": numbers(metrics)})

    def close(self, *, failed: bool = False) -> None:
        """Append a line that says how the run ended."""
        if self._closed:
            return
        self._closed = True
        self._write({"kind": "end", "failed": failed})
        if self._waiting:
            _log.error("what no file of the run could take:\n%s", self._waiting.decode())

    def _write(self, record: dict[str, Any]) -> None:
        line = json.dumps(as_json({"time": time.time(), **record}), allow_nan=False)
        with self._lock:
            self._waiting += line.encode() + b"\n"
            try:
                self._append()
            except OSError as error:
                self._elsewhere(error)

    def _append(self) -> None:
        """Write what waits, all or nothing of it.

        Raises:
            OSError: nothing was written.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        # Opened anew for each line: the file may be moved, and on network file systems it is
        # the closing that sends it off.
        with self.path.open("ab", buffering=0) as stream:
            size = stream.tell()
            rest = memoryview(b"\n" * self._broken_line + self._waiting)
            try:
                while rest:
                    rest = rest[stream.write(rest) :]
            except OSError:
                # A disk fills up in the middle of a line; that half is taken back, or ended.
                self._broken_line = True
                with suppress(OSError):
                    stream.truncate(size)
                raise
        self._waiting, self._broken_line = b"", False

    def _elsewhere(self, error: OSError) -> None:
        if not self._moved:
            try:
                # Another file system has room where that of the run has none.
                self.path = Path(tempfile.mkdtemp(prefix="codex_ml-")) / self.path.name
                self._moved, self._broken_line = True, False
                self._append()
            except OSError as second:
                error = second
            else:
                warnings.warn(f"{error}: the run goes on in {self.path}", TrackingWarning, 4)
                return
        if not self._warned:
            self._warned = True
            warnings.warn(f"{error}: the run goes on in memory alone", TrackingWarning, 4)


def records(path: Path) -> Iterator[dict[str, Any]]:
    """The lines of a file that a `JsonlTracker` wrote; one that a kill cut off is warned of.

    Raises:
        OSError: the file cannot be read.
    """
    with path.open(encoding="utf-8", errors="replace") as stream:
        for number, line in enumerate(stream, start=1):
            try:
                record = json.loads(line)
            except json.JSONDecodeError:
                if line.strip():
                    warnings.warn(f"{path}:{number} is cut off: skipped", TrackingWarning, 2)
            else:
                yield record


def replay(path: Path, tracker: Tracker) -> int:
    """Log all that `path` holds to `tracker`, which had failed or was not there; how many lines.

    Raises:
        OSError: the file cannot be read.
    """
    count = 0
    for record in records(path):
        count += 1
        if record["kind"] == "params":
            tracker.log_params(record["params"])
        elif record["kind"] == "metrics":
            tracker.log_metrics(numbers(record["metrics"]), record["step"])
    return count


def _ends_inside_a_line(path: Path) -> bool:
    try:
        with path.open("rb") as stream:
            stream.seek(-1, os.SEEK_END)
            return stream.read(1) != b"\n"
    except OSError:
        return False  # none, or empty; one that cannot be read shows when it is written
