"""What a metric has to reach, as it is written: `accuracy >= 0.9`, `perplexity.high < 20`."""

from __future__ import annotations

import operator
import re
from dataclasses import dataclass

from codex_ml.evaluation.bootstrap import Interval

_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_TEXT = re.compile(rf"\s*([a-z_0-9]+)(?:\.(value|low|high))?\s*(>=|<=|>|<)\s*({_NUMBER})\s*")
_HOLDS = {">=": operator.ge, "<=": operator.le, ">": operator.gt, "<": operator.lt}


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
            raise ValueError(
                f"{text!r} is no threshold; write METRIC[.low|.high] >=|<=|>|< NUMBER, "
                "for instance 'accuracy >= 0.9'"
            )
        return cls(found[1], found[2] or "value", found[3], float(found[4]))

    def __str__(self) -> str:
        part = "" if self.part == "value" else f".{self.part}"
        return f"{self.metric}{part} {self.relation} {self.bound:g}"

    def passes(self, interval: Interval) -> bool:
        """Whether it holds; what is undefined never does."""
        value: float | None = getattr(interval, self.part)
        return value is not None and bool(_HOLDS[self.relation](value, self.bound))
