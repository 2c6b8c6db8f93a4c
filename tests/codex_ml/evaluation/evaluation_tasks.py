"""Small tasks on the disk."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from codex_ml.evaluation import Task, read_task
from codex_ml.shards import write_manifest

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


def write_rows(path: Path, rows: Sequence[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def write_task(directory: Path, rows: Sequence[dict[str, Any]], body: str) -> Path:
    """A task over two shards with `rows`; `body` is the rest of its TOML."""
    half = len(rows) // 2
    shards = [
        write_rows(directory / "a.jsonl", rows[:half]),
        write_rows(directory / "b.jsonl", rows[half:]),
    ]
    write_manifest(directory / "manifest.json", shards)
    path = directory / "task.toml"
    path.write_text(f'name = "small"\nmanifest = "manifest.json"\n{body}')
    return path


def make_task(directory: Path, rows: Sequence[dict[str, Any]], body: str) -> Task:
    return read_task(write_task(directory, rows, body))
