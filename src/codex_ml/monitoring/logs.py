"""Where messages go: a console for people, a file for later, lines of JSON for programs."""

from __future__ import annotations

import json
import logging
import os
import sys
import warnings
from datetime import UTC, datetime
from logging.handlers import RotatingFileHandler
from pathlib import Path

from codex_ml import environment

LEVEL = "CODEX_ML_LOG_LEVEL"
_OURS = "codex_ml."
_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


def setup_logging(
    directory: Path | None = None,
    *,
    level: str | None = None,
    max_bytes: int = 10 * 2**20,
    backups: int = 5,
) -> logging.Logger:
    """Set up the root logger, so that a run's messages and those of its libraries are kept.

    The console (standard error) and the files `run.log` and `run.jsonl` get what `level` lets
    through, Python's warnings too. In a run of several processes those of rank 1 and above say
    only errors on the console and write `run.rank<n>.log` and `.jsonl`. Called again, it
    replaces what it set up before and nothing that others added.

    Args:
        directory: of the files; None writes none, nor does one that cannot be written: it warns.
        level: DEBUG to CRITICAL; by default that in `CODEX_ML_LOG_LEVEL`, else INFO.
        max_bytes: the size at which a file is put aside and a new one begun.
        backups: how many of those are kept.

    Raises:
        ValueError: no such level; the message says where it comes from.
    """
    source = "level" if level else LEVEL
    chosen = (level or os.environ.get(LEVEL) or "INFO").upper()
    if chosen not in _LEVELS:
        raise ValueError(f"{source}={chosen!r}: no such level; there are {', '.join(_LEVELS)}")
    rank = environment.rank()
    root = logging.getLogger()
    for handler in [h for h in root.handlers if (h.name or "").startswith(_OURS)]:
        root.removeHandler(handler)
        handler.close()
    root.setLevel(chosen)
    logging.captureWarnings(capture=True)

    console = logging.StreamHandler(sys.stderr)
    if rank > 0:
        console.setLevel(logging.ERROR)  # one copy of a message is enough, but not of a fault
    who = f" [rank {rank}]" if rank else ""
    text = logging.Formatter(f"%(asctime)s %(levelname)s %(name)s{who}: %(message)s")
    _add("console", console, text)
    if directory is not None:
        stem = f"run.rank{rank}" if rank else "run"
        try:
            directory.mkdir(parents=True, exist_ok=True)
            for suffix, form in ((".log", text), (".jsonl", _JsonLines())):
                path = directory / (stem + suffix)
                _add(suffix, _RunFileHandler(path, "a", max_bytes, backups, "utf-8"), form)
        except OSError as error:
            warnings.warn(f"{error}: messages go to the console alone", stacklevel=2)
    return root


def _add(name: str, handler: logging.Handler, form: logging.Formatter) -> None:
    handler.set_name(_OURS + name)
    handler.setFormatter(form)
    logging.getLogger().addHandler(handler)


class _RunFileHandler(RotatingFileHandler):
    """A file that, once it cannot be written, says so and leaves the log to the others."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            super().handleError(record)  # a fault of the message, shown with its traceback
            return
        logging.getLogger().removeHandler(self)
        # The log cannot say that it fails.
        print(f"{self.baseFilename}: {error}; messages are missing there", file=sys.stderr)


class _JsonLines(logging.Formatter):
    """A message as one line of JSON, with whatever `extra` it was given."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            "rank": environment.rank(),
            "process": record.process,
            **{name: value for name, value in vars(record).items() if name not in _STANDARD},
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)
