"""A task: which rows, what counts as right, which metrics, what they have to reach."""

from __future__ import annotations

import hashlib
import json
import math
import operator
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from pathlib import Path
from typing import Annotated, Any

import msgspec

from codex_ml.evaluation.bootstrap import Interval
from codex_ml.shards import Manifest, Row, read_manifest, write_manifest

_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_TEXT = re.compile(rf"\s*([a-z_0-9]+)(?:\.(value|low|high))?\s*(>=|<=|>|<)\s*({_NUMBER})\s*")
_HOLDS = {">=": operator.ge, "<=": operator.le, ">": operator.gt, "<": operator.lt}


class EvaluationError(ValueError):
    """Input that cannot be evaluated; the message names file, line and key."""


@dataclass(frozen=True, slots=True)
class Threshold:
    """`metric.part relation bound`, where part is `value` or an end of the interval."""

    metric: str
    part: str
    relation: str
    bound: float

    @classmethod
    def parse(cls, text: str) -> Threshold:
        """Read `metric[.low|.high] >=|<=|>|< number`.

        Raises:
            ValueError: it is written otherwise.
        """
        found = _TEXT.fullmatch(text)
        if found is None:
            form = "METRIC[.low|.high] >=|<=|>|< NUMBER, for instance 'accuracy >= 0.9'"
            raise ValueError(f"{text!r} is no threshold; write {form}")
        return cls(found[1], found[2] or "value", found[3], float(found[4]))

    def __str__(self) -> str:
        part = "" if self.part == "value" else f".{self.part}"
        return f"{self.metric}{part} {self.relation} {self.bound:g}"

    def passes(self, interval: Interval) -> bool:
        """Whether it holds; what is undefined never does."""
        value: float | None = getattr(interval, self.part)
        return value is not None and bool(_HOLDS[self.relation](value, self.bound))


@dataclass(frozen=True, slots=True)
class Task:
    """What is evaluated.

    Attributes:
        path: the task's file; its name goes into the results.
        sha256: the hash of that file.
        name: what the task is called.
        manifest: the rows, as shards that are verified when they are read.
        metrics: names in `codex_ml.evaluation.metrics.METRICS`.
        id: the key of a row that identifies it, in the data and in the predictions.
        target: the key of what is right; None for metrics that need none, as perplexity.
        cluster: the key of the group (a document, a speaker, a patient) whose rows are not
            independent of each other; intervals then come from resampling whole groups.
        thresholds: what has to hold.
    """

    path: Path
    sha256: str
    name: str
    manifest: Manifest
    metrics: tuple[str, ...]
    id: str
    target: str | None
    cluster: str | None
    thresholds: tuple[Threshold, ...]


@dataclass(frozen=True, slots=True)
class Pair:
    """A row of the data and the prediction for it."""

    example: Row
    prediction: Row


class _Document(msgspec.Struct, forbid_unknown_fields=True):
    """The task's file."""

    name: str
    manifest: str
    metrics: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)]
    id: str = "id"
    target: str | None = None
    cluster: str | None = None
    thresholds: tuple[str, ...] = ()


def read_task(path: Path) -> Task:
    """Read a task; its manifest's path starts from the task's directory.

    Raises:
        OSError: it cannot be read.
        EvaluationError: a key is unknown, missing or of another type.
        ManifestError: so is the manifest.
    """
    content = path.read_bytes()
    try:
        document = msgspec.toml.decode(content, type=_Document)
        thresholds = tuple(map(Threshold.parse, document.thresholds))
    except (ValueError, RecursionError) as error:
        raise EvaluationError(f"{path}: {error}; see codex_ml.evaluation.Task") from error
    values = msgspec.structs.asdict(document)
    values["manifest"] = read_manifest(path.parent / document.manifest)
    values["thresholds"] = thresholds
    return Task(path=path, sha256=hashlib.sha256(content).hexdigest(), **values)


def write_task(
    path: Path,
    rows: Iterable[Mapping[str, Any]],
    *,
    metrics: Sequence[str],
    target: str | None = None,
) -> None:
    """Write a task, and beside it its rows (`.jsonl`), each with its `id`, and their manifest.

    The stem of `path`, a `.toml`, is the task's name; the rest is as in `Task`.

    Raises:
        OSError: a file cannot be written.
    """
    data, manifest = path.with_suffix(".jsonl"), path.with_suffix(".json")
    data.write_text("".join(json.dumps(dict(row)) + "\n" for row in rows), encoding="utf-8")
    write_manifest(manifest, [data])
    keys = {"name": path.stem, "manifest": manifest.name, "metrics": list(metrics)}
    keys |= {"target": target} if target else {}
    # Strings and lists of strings look the same in JSON and TOML.
    lines = [f"{key} = {json.dumps(value)}\n" for key, value in keys.items()]
    path.write_text("".join(lines), encoding="utf-8")


def field(row: Row, key: str) -> Any:
    """A row's value.

    Raises:
        EvaluationError: it has none.
    """
    if row.values.get(key) is None:
        raise EvaluationError(f"{row.place}: {key}: missing")
    return row.values[key]


def number(row: Row, key: str) -> float:
    """A row's value as a finite number.

    Raises:
        EvaluationError: it is none.
    """
    value = field(row, key)
    if isinstance(value, bool) or not isinstance(value, Real) or not math.isfinite(value):
        raise EvaluationError(f"{row.place}: {key}: {value!r} is not a finite number")
    return float(value)
