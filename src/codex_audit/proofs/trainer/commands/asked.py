"""Runs of a command that are asked for, and what became of them."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from codex_audit.proofs.trainer.bits import Bits
from codex_audit.proofs.trainer.commands.losses import Logged
from codex_audit.proofs.trainer.runs import SEED


class Stop(msgspec.Struct, frozen=True):
    """When a run is ended.

    Attributes:
        version: after its checkpoints were written so many times,
        losses: and it logged so many losses more.
        quiet: instead of the losses, seconds in which its checkpoints did not change.
        full_at: not ended then: from there on it can write no file beyond this part of its
            largest checkpoint, as on a full disk, and is ended once it tried.
    """

    version: int
    losses: int = 1
    quiet: float | None = None
    full_at: float | None = None


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """One process of the command. Equal requests are one.

    Attributes:
        steps, seed: for the placeholders.
        source: the run in whose directory this one resumes.
        stop: when it is killed, with all of its process group.
        offline: without a network.
        number: of equal requests.
        losses: it is ended when it has logged more,
        until: or one beyond this epoch and step.
    """

    steps: int
    seed: int = SEED
    source: Asked | None = None
    stop: Stop | None = None
    offline: bool = False
    number: int = 1
    losses: int | None = None
    until: tuple[int, int] | None = None

    def enough(self, logged: Sequence[Logged]) -> int | None:
        """How many of the losses it was asked for, once it has logged more."""
        if self.until is not None:
            asked = [each for each in logged if (each.place or self.until) <= self.until]
            return len(asked) if len(asked) < len(logged) else None
        if self.losses is not None and len(logged) > self.losses:
            return self.losses
        return None


class Version(msgspec.Struct, frozen=True):
    """The checkpoints were seen to change.

    Attributes:
        before: losses logged when they had certainly not yet changed.
        losses: losses logged when the change was over.
        seconds: since the start.
    """

    before: int
    losses: int
    seconds: float


class Ran(msgspec.Struct, frozen=True, kw_only=True):
    """How a process went.

    Attributes:
        exit_code: negative for the signal that ended it.
        killed: whether it was ended as asked.
        ended: whether it was ended since it had logged all losses that it was asked for.
        full: whether it met the end of the disk.
        emptied: whether there was a moment without any checkpoint after the first.
        streams: whether losses were seen before its end.
        words: its last lines.
        overwritten: losses that a carriage return took from the line, for others of the same step.
        left: names of the files that lay below its directory at its end.
        started_ns: by the clock of files.
        problem: what went wrong with the running itself.
    """

    exit_code: int
    killed: bool = False
    ended: bool = False
    full: bool = False
    emptied: bool = False
    streams: bool = False
    losses: tuple[Logged, ...] = ()
    versions: tuple[Version, ...] = ()
    seconds: float = 0.0
    words: str = ""
    output: str = ""
    overwritten: int = 0
    left: tuple[str, ...] = ()
    started_ns: int = 0
    problem: str = ""

    @property
    def ended_ns(self) -> int:
        """By the clock of files."""
        return self.started_ns + int(self.seconds * 1e9)


class Opened(msgspec.Struct, frozen=True, kw_only=True):
    """A file of a checkpoint.

    Attributes:
        path: below the directory of the run.
        fresh: whether this process wrote it.
        kind: how it was read; empty for what is in no known format.
        refused: why torch does not load it with `weights_only=True`.
        broken: why it cannot be read at all.
        tensors, leaves: what is in it, by its path within.
    """

    path: str
    fresh: bool
    modified_ns: int
    kind: str = ""
    refused: str = ""
    broken: str = ""
    tensors: dict[str, Bits] = {}
    leaves: dict[str, str] = {}


class Written(msgspec.Struct, frozen=True, kw_only=True):
    """What a run wrote. `bits` is the file of its tensors."""

    asked: Asked
    ran: Ran
    opened: tuple[Opened, ...] = ()
    bits: str = ""

    @property
    def losses(self) -> tuple[Logged, ...]:
        """As logged."""
        return self.ran.losses

    @property
    def good(self) -> bool:
        """Whether it came to its own end."""
        return self.ran.exit_code == 0 and not self.ran.problem

    @property
    def how_ended(self) -> str:
        """How it ended otherwise, in words."""
        if self.ran.problem:
            return self.ran.problem
        return f"exit code {self.ran.exit_code}: {self.ran.words}"
