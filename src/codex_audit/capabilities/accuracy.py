"""How often each criterion was right over the labelled repositories, and which are in doubt.

The figures are data that `benchmarks/accuracy/score.py --write` makes.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files

import msgspec

FILENAME = "accuracy.json"
DOUBTFUL_PRECISION = 0.9
# Of fewer answers, one that is wrong by chance would decide.
ENOUGH_ANSWERS = 5


class Figures(msgspec.Struct, frozen=True):
    """Answers counted against labels: met rightly, met wrongly, missed, rightly not met."""

    tp: int = 0
    fp: int = 0
    fn: int = 0
    tn: int = 0

    @property
    def precision(self) -> float | None:
        """The share of its "met" that is right; none where it never said so."""
        said = self.tp + self.fp
        return self.tp / said if said else None

    @property
    def recall(self) -> float | None:
        """The share of what is there that it found; none where nothing was."""
        there = self.tp + self.fn
        return self.tp / there if there else None

    @property
    def experimental(self) -> bool:
        """Whether its "met" is too often wrong to be graded."""
        precision = self.precision
        enough = self.tp + self.fp >= ENOUGH_ANSWERS
        return enough and precision is not None and precision < DOUBTFUL_PRECISION


class Accuracy(msgspec.Struct, frozen=True):
    """The figures of each `capability.criterion`, over the labelled `repositories`."""

    repositories: tuple[str, ...]
    criteria: dict[str, Figures]


@cache
def load_accuracy() -> Accuracy:
    """The figures that this program ships."""
    data = files("codex_audit.capabilities").joinpath(FILENAME).read_bytes()
    return msgspec.json.decode(data, type=Accuracy)


def experimental(accuracy: Accuracy) -> frozenset[str]:
    """The criteria that are shown and not graded."""
    return frozenset(key for key, figures in accuracy.criteria.items() if figures.experimental)
