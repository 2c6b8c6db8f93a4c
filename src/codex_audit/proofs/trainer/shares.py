"""Whether two ranks have parts of the data: neither the same samples, nor overlapping ones."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from codex_audit.proofs.trainer.epochs import rows_of, samples_of_epoch

if TYPE_CHECKING:
    from collections.abc import Iterable

    from codex_audit.proofs.trainer.trace import Micro, Step, Trace

_OFTEN = 0.5  # of the batches: what all of them have, such as a mask of ones, tells nothing
_SHARE = 0.75  # of all samples, below which a rank has only some of them
_PADDED = 0.25  # of a share, which may be given twice to make all shares equal


def same_samples(one: Trace, other: Trace) -> bool:
    """Whether both train on the same samples at every step.

    Each rank may count its own part of the data from 0, so that equal indices prove nothing where
    what the loaders gave differs; and what the model is given may be augmented by each in its way.
    """
    a, b = _Seen(one), _Seen(other)
    pairs = list(zip(one.steps, other.steps, strict=False))
    return bool(pairs) and all(_same(x, y, a, b) for x, y in pairs)


class _Seen:
    """Which digests tell batches of a rank apart."""

    def __init__(self, trace: Trace) -> None:
        micros = [micro for step in trace.steps for micro in step.micros]
        counts = Counter(text for micro in micros for text in micro.delivered)
        self.common = {text for text, n in counts.items() if n > max(1, _OFTEN * len(micros))}

    def telling(self, micros: Iterable[Micro]) -> set[str]:
        return {text for micro in micros for text in micro.delivered} - self.common


def _same(x: Step, y: Step, a: _Seen, b: _Seen) -> bool:
    if all(m.content for m in x.micros) and [m.content for m in x.micros] == [
        m.content for m in y.micros
    ]:
        return True
    if x.indices != y.indices:
        return False
    left, right = a.telling(x.micros), b.telling(y.micros)
    if left and right:
        return bool(left & right)
    return x.order is not None


def overlap(one: Trace, other: Trace) -> tuple[int, int] | None:
    """How many samples both ranks have in their first epoch, and of how many each; else None.

    Only of shares that are no more than a part of one range: each rank may also go through all of
    the data, or through a part of its own that it counts from 0, or draw with replacement.
    """
    shares = []
    for trace in (one, other):
        rows = rows_of(trace)
        length = samples_of_epoch(rows or (), part=1 / 3)
        if rows is None or length is None:
            return None
        shares.append(set(rows[:length]))
    size = max(max(share) for share in shares) + 1
    if any(len(share) > _SHARE * size for share in shares):
        return None
    both = shares[0] & shares[1]
    least = min(map(len, shares))
    return (len(both), least) if len(both) > _PADDED * least else None
