"""What the counters of steps in later checkpoints tell: of the optimizer, of the schedule."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from codex_audit.proofs.trainer.bits import numbers_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from codex_audit.proofs.trainer.bits import Bits
    from codex_audit.proofs.trainer.commands.asked import Opened, Written
    from codex_audit.proofs.trainer.commands.compare import Entries

OF_AN_OPTIMIZER = re.compile(
    r"optim|exp_avg|momentum|square_avg|moment1|moment2|(^|\.)state\.\d+\.", re.IGNORECASE
)
COUNTS = re.compile(
    r"(^|[._])(step|steps|iter|iter_num|iteration|epoch|last_epoch|_step_count)$", re.IGNORECASE
)
_OF_A_SCHEDULE = re.compile(r"last_epoch|_step_count|_last_lr|sched", re.IGNORECASE)


def missing_updates(found: Entries, whole: Written, interrupted: Written, other: Written) -> str:
    """That a checkpoint was taken before an update which it counts, where that is so."""
    for name, a, b, anew in _behind(found, whole, interrupted, other):
        if not anew:
            return (
                f"{a - b:g} of the updates that were counted are not in the checkpoint (`{name}` is"
                f" {b:g} instead of {a:g}): save after the optimizer's step"
            )
    return ""


def of_counters(
    found: Entries, whole: Written, interrupted: Written, other: Written
) -> Iterable[str]:
    """What began anew of the optimizer's state, or the schedule's, in a sentence each."""
    for name, a, b, anew in _behind(found, whole, interrupted, other):
        if anew:
            yield (
                f"the optimizer began anew (`{name}` is {b:g} instead of {a:g}): its state is not "
                "restored; save and load its state_dict"
            )
            break
    for name, (first, second) in found.leaves.items():
        if _OF_A_SCHEDULE.search(name) and COUNTS.search(name):
            yield (
                f"the schedule began anew (`{name}` is {second} instead of {first}); save and load "
                "the scheduler's state_dict"
            )
            break


def _behind(
    found: Entries, whole: Written, interrupted: Written, other: Written
) -> Iterable[tuple[str, float, float, bool]]:
    """The optimizer's counters that are behind: as they should be, as they are, begun anew or not.

    One that began anew has counted no more than the steps since the resume.
    """
    held = tensors(interrupted.opened)
    for name, (a, b) in scalars(found, whole, other).items():
        if b < a and OF_AN_OPTIMIZER.search(name):
            before = numbers_of(held[name], interrupted.bits) if name in held else None
            yield name, a, b, not before or b <= a - before[0] + 1


def scalars(found: Entries, one: Written, other: Written) -> dict[str, tuple[float, float]]:
    """Single numbers that count steps and differ: name -> (of the one, of the other)."""
    left, right = tensors(one.opened), tensors(other.opened)
    values = {}
    for name in found.tensors:
        bare = name.rpartition(": ")[2]
        if not COUNTS.search(bare) or bare not in left or bare not in right:
            continue
        a = numbers_of(left[bare], one.bits)
        b = numbers_of(right[bare], other.bits)
        if a and b and len(a) == len(b) == 1:
            values[bare] = (a[0], b[0])
    return values


def tensors(opened: Iterable[Opened]) -> dict[str, Bits]:
    """All of several files; of one name, the newest file's."""
    by_age = sorted(opened, key=lambda each: each.modified_ns)
    return {name: bits for each in by_age for name, bits in each.tensors.items()}
