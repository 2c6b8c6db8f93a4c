"""The losses that a command logs: on its output, or in files below its directory."""

from __future__ import annotations

import csv
import json
import math
import re
from typing import TYPE_CHECKING, Any

import msgspec

from codex_audit.proofs.trainer.commands import events
from codex_audit.proofs.trainer.commands.line import refusal

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from codex_audit.settings import LossFile

GROUP = "loss"


class Logged(msgspec.Struct, frozen=True):
    """A loss as it was logged, with the step and the epoch that stand beside it, if they do."""

    loss: float
    step: int | None = None
    epoch: int | None = None

    @property
    def place(self) -> tuple[int, int] | None:
        """Epoch and step; None where neither is told."""
        if self.step is None and self.epoch is None:
            return None
        return (self.epoch or 0, self.step or 0)

    @property
    def name(self) -> str:
        """The place in words; empty where none is told."""
        told = (("epoch", self.epoch), ("step", self.step))
        return " ".join(f"{what} {number}" for what, number in told if number is not None)

    def same_as(self, other: Logged) -> bool:
        """Whether both losses are the same number, NaN like NaN."""
        both_nan = math.isnan(self.loss) and math.isnan(other.loss)
        return both_nan or self.loss == other.loss


class Where(msgspec.Struct, frozen=True):
    """Where losses are: `pattern` on the output or on the lines of `files`, else `key` in records.

    `files` is a glob below the command's directory; `step` and `epoch` are keys as well.
    """

    pattern: str = ""
    files: str = ""
    key: str = ""
    step: str = ""
    epoch: str = ""

    @property
    def tells_steps(self) -> bool:
        """Whether a loss has its step or epoch beside it."""
        groups = re.compile(self.pattern).groupindex
        if events.NAME in self.files:
            return True
        return bool(self.step or self.epoch or "step" in groups or "epoch" in groups)


def where_of(told: str | LossFile | None) -> Where | None:
    """What the setting `losses` says; None where it says nothing.

    Raises:
        SettingsError: the expression is none, or has no group for the loss; a file without key.
    """
    if told is None:
        return None
    if isinstance(told, str):
        return Where(pattern=_checked("losses", told))
    files = told.file.removeprefix("{dir}").lstrip("/")
    if "{" in files or not files or ".." in files.split("/"):
        raise refusal("losses.file", f"{told.file!r} is no file below {{dir}}; write {{dir}}/NAME")
    if bool(told.key) == bool(told.regex):
        raise refusal("losses", "give `key` for JSON lines or a CSV, or else `regex`, with `file`")
    if told.regex:
        return Where(pattern=_checked("losses.regex", told.regex), files=files)
    return Where(files=files, key=told.key, step=told.step, epoch=told.epoch)


def _checked(key: str, pattern: str) -> str:
    try:
        groups = re.compile(pattern).groupindex
    except re.error as error:
        raise refusal(key, f"is no regular expression ({error}); correct it") from error
    if GROUP not in groups:
        raise refusal(
            key,
            "has no group named `loss`; write (?P<loss>\\S+) where the number stands, or a table"
            ' { file = "{dir}/log.jsonl", key = "loss" }',
        )
    return pattern


class Heading:
    """What the last match without a loss told."""

    def __init__(self) -> None:
        self.told: dict[str, str] = {}


class Reader:
    """Losses of one process: fed with its output, or looking at its files.

    Lines that were in the files before it started belong to others. What a carriage return
    overwrites with a loss of the same step does not count, since a progress bar shows as much of
    it as there is time for. A match without a loss is a heading: its epoch or step is that of the
    losses below it.

    Attributes:
        overwritten: how many losses did not count.
    """

    def __init__(self, where: Where | None, directory: Path) -> None:
        self._where = where or Where()
        self._directory = directory
        self._found: list[Logged] = []
        self._text = ""
        self._line = 0
        self._heading = Heading()
        self.overwritten = 0
        self._pattern = re.compile(self._where.pattern) if self._where.pattern else None
        self._old = {path: path.read_bytes() for path in self._files()}
        self._seen: tuple[tuple[str, int, int], ...] = ()

    def feed(self, text: str) -> None:
        """Further output of the process."""
        if self._pattern is None or self._where.files:
            return
        *parts, self._text = re.split(r"([\r\n])", self._text + text)
        for segment, end in zip(parts[::2], parts[1::2], strict=True):
            self._add(list(self._matches([segment], self._heading)))
            if end == "\n":
                self._line = len(self._found)

    def _add(self, found: list[Logged]) -> None:
        """Losses that stand on the same line as those before, where there are some."""
        places = {each.place for each in found}
        kept = [each for each in self._found[self._line :] if each.place not in places]
        self.overwritten += len(self._found) - self._line - len(kept)
        self._found[self._line :] = [*kept, *found]

    def look(self) -> None:
        """Read the files again, if they changed."""
        if not self._where.files:
            return
        files = self._files()
        seen = tuple((str(f), f.stat().st_size, f.stat().st_mtime_ns) for f in files)
        if seen != self._seen:
            self._seen = seen
            self._found = [each for path in files for each in self._in_file(path)]

    def finish(self) -> None:
        """The last line may have no end."""
        self.feed("\n")
        self.look()

    @property
    def found(self) -> list[Logged]:
        """All losses so far."""
        return self._found

    def _files(self) -> list[Path]:
        where = self._where.files
        return sorted(f for f in self._directory.glob(where) if f.is_file()) if where else []

    def _in_file(self, path: Path) -> Iterator[Logged]:
        data = path.read_bytes()
        old = self._old.get(path, b"")
        header = b""
        if old and data.startswith(old):
            header, data = old[: old.find(b"\n") + 1], data[len(old) :]
        if events.NAME in path.name:
            for loss, step in events.scalars(data, self._where.key):
                yield Logged(loss, step)
            return
        lines = data.decode("utf-8", "replace").splitlines()
        if self._pattern is not None:
            yield from self._matches(lines, Heading())
        elif path.suffix == ".csv":
            first = header.decode("utf-8", "replace").splitlines()
            yield from self._records(csv.DictReader([*first, *lines]))
        else:
            yield from self._records(_parsed(lines))

    def _matches(self, lines: Iterable[str], heading: Heading) -> Iterator[Logged]:
        pattern = self._pattern
        if pattern is None:
            return
        for line in lines:
            for match in pattern.finditer(line):
                told = match.groupdict()
                if told[GROUP] is None:
                    heading.told = {name: value for name, value in told.items() if value}
                    continue
                told |= {n: v for n, v in heading.told.items() if not told[n]}
                yield _logged(told[GROUP], told.get("step"), told.get("epoch"), "losses")

    def _records(self, records: Iterable[Any]) -> Iterator[Logged]:
        for record in records:
            loss = _value(record, self._where.key)
            if loss is not None and loss != "":
                step, epoch = (_value(record, key) for key in (self._where.step, self._where.epoch))
                yield _logged(loss, step, epoch, "losses.key")


def _parsed(lines: Iterable[str]) -> Iterator[Any]:
    for line in lines:
        try:
            yield json.loads(line)
        except ValueError:  # a heading, or a line that is still being written
            continue


def _value(record: Any, key: str) -> Any:
    """What a record holds under a key, whose dots may lead into records within."""
    if not key or not isinstance(record, dict):
        return None
    if key in record:
        return record[key]
    head, _, rest = key.partition(".")
    return _value(record.get(head), rest)


def _logged(loss: Any, step: Any, epoch: Any, key: str) -> Logged:
    try:
        return Logged(float(loss), _count(step), _count(epoch))
    except (TypeError, ValueError):
        told = [
            f"{value!r} as {name}" for name, value in (("step", step), ("epoch", epoch)) if value
        ]
        what = " and ".join([f"caught {loss!r} as loss", *told])
        raise refusal(key, f"{what}, which is no number; correct the expression") from None


def _count(told: Any) -> int | None:
    return None if told is None or told == "" else int(float(str(told).replace(",", "")))
