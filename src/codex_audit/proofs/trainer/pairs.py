"""Two runs to compare, and how one thing that differs between them is told."""

from __future__ import annotations

import msgspec

from codex_audit.proofs.trainer.trace import Trace

_SHOWN = 6

# In causal order: within a step, what comes first is the cause of what comes later.
PROGRESS, PARAMETER, BUFFER, EXTRA, OPTIMIZER, MODE, RNG = (
    "progress", "parameter", "buffer", "state", "optimizer", "mode", "generator",
)  # fmt: skip
BATCH, MICROS, LOSS, SCALE, GRADIENT, RATE, UPDATE = (
    "batch", "accumulation", "loss", "loss scale", "gradient", "learning rate", "update",
)  # fmt: skip


class Differs(msgspec.Struct, frozen=True):
    """One thing that differs: which component, its name, and how much in words; `key`: stream."""

    component: str
    name: str
    note: str
    key: str = ""


class Pair(msgspec.Struct, frozen=True):
    """Two traces to compare; `skip` steps of `one` came before `other` began.

    Attributes:
        one: the run that is right by definition.
        other: the run on trial.
        skip: steps.
        resumed: whether `other` resumed from a checkpoint.
        streams: generators that count.
        restored: those of them that were as saved right after loading.
        rng_counts: whether generators that differ are a difference by themselves.
    """

    one: Trace
    other: Trace
    skip: int = 0
    resumed: bool = False
    streams: frozenset[str] = frozenset()
    restored: frozenset[str] = frozenset()
    rng_counts: bool = False

    @property
    def replaced(self) -> tuple[str, ...]:
        """Parameters that the optimizer of `other` was not given, though that of `one` was."""
        due = self.one.steps[self.skip].gradients if self.skip < len(self.one.steps) else {}
        return tuple(name for name in self.other.omitted if name in due)

    def lost_streams(self, place: int) -> frozenset[str]:
        """The generators that were elsewhere already before the data of a step were drawn."""
        if place:
            a = self.one.steps[self.skip + place - 1].after.rng
            b = self.other.steps[place - 1].after.rng
            return frozenset(stream for stream in self.streams if a.get(stream) != b.get(stream))
        return self.streams - self.restored if self.resumed else frozenset()


def title_of(stream: str) -> str:
    """A generator's name in words."""
    titles = {"python": "Python's generator", "numpy": "NumPy's generator"}
    titles |= {"torch": "torch's CPU generator"}
    return titles.get(stream, f"the generator of {stream}")


def listed(rows: tuple[int, ...] | None) -> str:
    """The first of some samples."""
    if rows is None:
        return "unknown"
    shown = ", ".join(map(str, rows[:_SHOWN]))
    return f"[{shown}{', ...' if len(rows) > _SHOWN else ''}]"
