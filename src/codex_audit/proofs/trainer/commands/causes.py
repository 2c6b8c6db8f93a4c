"""Why a resumed run is another: said in a sentence, from what its losses and checkpoints show."""

from __future__ import annotations

import itertools
import re
import statistics
from typing import TYPE_CHECKING

import msgspec

from codex_audit.proofs.trainer.bits import numbers_of
from codex_audit.proofs.trainer.commands.asked import Written
from codex_audit.proofs.trainer.commands.compare import (
    Aligned,
    Entries,
    after_resume,
    entries,
    holds_generators,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from codex_audit.proofs.trainer.bits import Bits
    from codex_audit.proofs.trainer.commands.asked import Opened

_OF_AN_OPTIMIZER = re.compile(
    r"optim|exp_avg|momentum|square_avg|moment1|moment2|(^|\.)state\.\d+\.", re.IGNORECASE
)
_OF_A_SCHEDULE = re.compile(r"last_epoch|_step_count|_last_lr|sched", re.IGNORECASE)
_RATE = re.compile(r"param_groups\.\d+\.lr$")
_COUNTS = re.compile(
    r"(^|[._])(step|steps|iter|iter_num|iteration|epoch|last_epoch|_step_count)$", re.IGNORECASE
)
_HALF, _FULL = frozenset({"float16", "bfloat16"}), frozenset({"float32", "float64"})
_SHOWN = 4
_FAR, _BEYOND_NOISE = 3.0, 4.0
_ENOUGH = 3


class Resumed(msgspec.Struct, frozen=True):
    """A resumed run beside the one that was not interrupted.

    Attributes:
        aligned: their losses.
        found: their checkpoints, without what differs between any two runs of the command.
        problem: what is wrong, in words; empty where they agree.
        cause: the likely fault, with where to look.
        notes: what could not be compared.
    """

    aligned: Aligned
    found: Entries
    problem: str = ""
    cause: str = ""
    notes: tuple[str, ...] = ()

    @property
    def compared(self) -> int:
        """How many losses stand side by side."""
        return len(self.aligned.rows)


class Before(msgspec.Struct, frozen=True):
    """What a resumed run is held against.

    Attributes:
        whole: the run that was not interrupted.
        again: the same once more, to know what differs by itself.
        interrupted: the run that was resumed.
        done: losses that it certainly had logged before its checkpoint.
    """

    whole: Written
    again: Written
    interrupted: Written
    done: int


def resumed(before: Before, other: Written) -> Resumed:
    """Compare a resumed run with what it should have been."""
    whole = before.whole
    aligned = after_resume(
        whole.losses, other.losses, done=before.done, steps=before.whole.asked.steps
    )
    found = _without_own_noise(entries(whole, other, fresh=True), before)
    notes = [aligned.why] if aligned.why else []
    if found.why:
        notes.append(f"after the resume {found.why}")
    elsewhere = _taken_elsewhere(aligned, found, whole, other)
    if elsewhere:
        notes.append(elsewhere)
        found = Entries(why=elsewhere)
    seen = _seen(aligned, found)
    if not seen:
        return Resumed(aligned, found, notes=tuple(notes))
    if _only_of_the_log(aligned, found):
        notes.append(
            f"the loss logged at {aligned.rows[0].step} spans the interruption, and the "
            "checkpoints after it agree"
        )
        return Resumed(aligned, found, notes=tuple(notes))
    return Resumed(aligned, found, seen, _cause(before, other, aligned, found), tuple(notes))


def _seen(aligned: Aligned, found: Entries) -> str:
    words = []
    if aligned.anew:
        words.append(f"it logged again from {aligned.rows[0].step if aligned.rows else 'step 1'}")
    elif aligned.again:
        words.append(f"it made {aligned.again} steps again from before its last checkpoint")
    if aligned.end:
        words.append(aligned.end)
    if aligned.different:
        row = aligned.different[0]
        words.append(f"{row.step}: the loss is {row.other:g} instead of {row.one:g}")
    if found.tensor is not None:
        words.append(f"of the last checkpoint {_first(found)}")
    if found.leaves:
        words.append(_listed_leaves(found.leaves))
    return "; ".join(words)


def _first(found: Entries) -> str:
    tensor = found.tensor
    if tensor is None:
        return ""
    more = f" and {tensor.count - 1} more tensors differ" if tensor.count > 1 else " differs"
    return f"`{tensor.name}` ({tensor.note}){more}"


def _listed_leaves(leaves: Mapping[str, tuple[str, str]]) -> str:
    shown = [f"`{name}` is {b} instead of {a}" for name, (a, b) in leaves.items()]
    return ", ".join(shown[:_SHOWN]) + (", ..." if len(shown) > _SHOWN else "")


def _only_of_the_log(aligned: Aligned, found: Entries) -> bool:
    """Whether all that differs is a figure over several steps, some before the interruption."""
    equal = bool(found.files) and found.tensor is None and not found.leaves
    first = aligned.rows[:1]
    return (
        equal
        and not aligned.every
        and not (aligned.anew or aligned.again or aligned.end)
        and aligned.different == first
    )


def _without_own_noise(found: Entries, before: Before) -> Entries:
    """Without plain values that differ between two runs anyway, or that training never changes.

    A time, a date or a path differs between any two runs; what no checkpoint of the straight
    run changes is a setting, which the command line of a resume may well change.
    """
    control = entries(before.whole, before.again)
    values: dict[str, set[str]] = {}
    for each in (*before.whole.opened, *before.interrupted.opened):
        for name, value in each.leaves.items():
            values.setdefault(name, set()).add(value)
    kept = {
        name: pair
        for name, pair in found.leaves.items()
        if name not in control.leaves and len(values.get(name.rpartition(": ")[2], ())) > 1
    }
    generators = tuple(name for name in found.generators if name not in control.generators)
    return msgspec.structs.replace(found, leaves=kept, generators=generators)


def _taken_elsewhere(aligned: Aligned, found: Entries, one: Written, other: Written) -> str:
    """Why checkpoints of the same name are not of the same step, if so.

    Where every loss agrees to the end, and the weights and all that counts steps differ, the
    later run has saved at another step.
    """
    agree = aligned.rows and aligned.every and not aligned.different and not aligned.end
    if not agree or aligned.anew or found.tensor is None:
        return ""
    counters = [name for name in found.leaves if _COUNTS.search(name)]
    counters += list(_scalars(found, one, other))
    return "its checkpoints were written after other steps, and are not compared" * bool(counters)


def _scalars(found: Entries, one: Written, other: Written) -> dict[str, tuple[float, float]]:
    """Single numbers that count steps and differ: name -> (of the one, of the other)."""
    left, right = _tensors(one.opened), _tensors(other.opened)
    values = {}
    for name in found.tensors:
        bare = name.rpartition(": ")[2]
        if not _COUNTS.search(bare) or bare not in left or bare not in right:
            continue
        a = numbers_of(left[bare], one.bits)
        b = numbers_of(right[bare], other.bits)
        if a and b and len(a) == len(b) == 1:
            values[bare] = (a[0], b[0])
    return values


def _tensors(opened: Iterable[Opened]) -> dict[str, Bits]:
    by_age = sorted(opened, key=lambda each: each.modified_ns)
    return {name: bits for each in by_age for name, bits in each.tensors.items()}


def _cause(before: Before, other: Written, aligned: Aligned, found: Entries) -> str:
    if aligned.anew:
        return _of_a_new_start(before, other, aligned)
    rounded = _of_rounding(before.interrupted)
    if rounded and not aligned.end and not aligned.again:
        return rounded
    causes = [*_of_counters(found, before.whole, other)]
    rows = aligned.rows
    if rows and not rows[0].same and aligned.every:
        causes.append(_of_the_first_loss(before, aligned))
    elif aligned.different and aligned.every and not causes:
        causes.append(_of_an_update(before, aligned))
    elif aligned.different and not causes:
        causes.append(
            "between two logged losses something was not restored: "
            + _what_is_missing(before.interrupted)
        )
    if aligned.end:
        causes.insert(0, "the steps done are not counted on; save their number and go on from it")
    if not causes and aligned.again:
        causes.append("an older checkpoint than the last was loaded, or the progress was not")
    if not causes and found.leaves:
        names = ", ".join(f"`{name}`" for name in list(found.leaves)[:_SHOWN])
        causes.append(f"{names} is saved and not restored; load it as well")
    if not causes and found.tensor is not None:
        name = found.tensor.name
        what = "the optimizer's state" if _OF_AN_OPTIMIZER.search(name) else "the weights"
        causes.append(f"{what} (`{name}`) is not restored to the bit; look at save and load of it")
    return "; ".join(dict.fromkeys(causes))


def _of_a_new_start(before: Before, other: Written, aligned: Aligned) -> str:
    whole = before.whole
    same_start = whole.losses[0].same_as(other.losses[0])
    if same_start and not aligned.different:
        return "it trained anew from the seed: `resume` does not load the checkpoint"
    wanted = whole.losses[min(before.done, len(whole.losses) - 1)].loss
    if same_start or _near(whole, other.losses[0].loss, wanted):
        return "the weights are not restored either: it trained anew; load the checkpoint"
    return (
        "the progress is not restored, though the weights seem to be: it counts its steps from "
        "the beginning; save the number of steps done, load it and count on from there"
    )


def _of_rounding(interrupted: Written) -> str:
    """Whether weights are saved with fewer digits than what the optimizer keeps of them."""
    for each in interrupted.opened:
        moments = {
            bits.shape: bits.dtype
            for name, bits in each.tensors.items()
            if _OF_AN_OPTIMIZER.search(name) and bits.shape
        }
        weights = {
            name: bits
            for name, bits in each.tensors.items()
            if bits.shape in moments and not _OF_AN_OPTIMIZER.search(name)
        }
        halves = {bits.dtype for bits in weights.values()}
        if halves and halves <= _HALF and set(moments.values()) <= _FULL:
            return (
                f"the checkpoint holds the weights (`{next(iter(weights))}`) in"
                f" {' and '.join(sorted(halves))}, and the optimizer's state of them in"
                f" {next(iter(moments.values()))}: what rounding takes is lost with each resume;"
                " save the weights as they are trained"
            )
    return ""


def _of_counters(found: Entries, one: Written, other: Written) -> Iterable[str]:
    for name, (a, b) in _scalars(found, one, other).items():
        if b < a and _OF_AN_OPTIMIZER.search(name):
            yield (
                f"the optimizer began anew (`{name}` is {b:g} instead of {a:g}): its state is not "
                "restored; save and load its state_dict"
            )
            break
    for name, (first, second) in found.leaves.items():
        if _OF_A_SCHEDULE.search(name) and _COUNTS.search(name):
            yield (
                f"the schedule began anew (`{name}` is {second} instead of {first}); save and load "
                "the scheduler's state_dict"
            )
            break


def _of_the_first_loss(before: Before, aligned: Aligned) -> str:
    first, row = before.whole.losses[0].loss, aligned.rows[0]
    if _near(before.whole, row.other, row.one):
        return (
            f"the weights are not restored: the first loss after the resume, {row.other:g}, is "
            f"like that of a new model ({first:g}); look at how the checkpoint is loaded"
        )
    what = "the batch order or a generator is not restored: the first loss after the resume is "
    if _told_apart(before.whole, row.one) and abs(row.other - row.one) * _FAR < abs(
        first - row.one
    ):
        what += "that of trained weights, on another batch or with other random draws; "
    else:
        what += "another already, and too little was learnt to tell it from one of lost weights; "
    return what + _what_of_generators(before.interrupted)


def _near(whole: Written, found: float, wanted: float) -> bool:
    """Whether a loss is like that of a new model rather than the wanted one."""
    start = whole.losses[0].loss
    return _told_apart(whole, wanted) and abs(found - start) * _FAR < abs(start - wanted)


def _told_apart(whole: Written, wanted: float) -> bool:
    """Whether what was learnt is more than how losses differ from one batch to the next."""
    losses = [each.loss for each in whole.losses]
    if len(losses) < _ENOUGH:
        return False
    noise = statistics.median(abs(b - a) for a, b in itertools.pairwise(losses))
    return abs(losses[0] - wanted) > _BEYOND_NOISE * noise


def _what_of_generators(interrupted: Written) -> str:
    if holds_generators(interrupted.opened):
        return (
            "the checkpoint holds the state of a generator: look whether it is given back, and "
            "save the position in the data"
        )
    return (
        "the checkpoint holds no state of a generator; save and restore torch's, NumPy's and "
        "Python's, and the position in the data"
    )


def _of_an_update(before: Before, aligned: Aligned) -> str:
    place = aligned.rows.index(aligned.different[0])
    after = "the first loss" if place == 1 else f"the first {place} losses"
    where = _what_of_the_optimizer(before.interrupted)
    if place <= 2:  # noqa: PLR2004 - a rate or a moment shows at once, a new epoch's order later
        return (
            f"{after} after the resume agrees, so weights and batch are restored, and then the "
            "update was another: the optimizer's state or the learning rate is not restored; "
            f"{where}"
        )
    return (
        f"{after} after the resume agree: what comes into play at {aligned.different[0].step} is "
        "not restored, such as the order of a new epoch, or slowly the optimizer's state or the "
        f"learning rate; {_what_is_missing(before.interrupted)}"
    )


def _what_of_the_optimizer(interrupted: Written) -> str:
    names = [*_tensors(interrupted.opened)]
    names += [name for each in interrupted.opened for name in each.leaves]
    if any(_OF_AN_OPTIMIZER.search(name) for name in names):
        return "the checkpoint holds the optimizer's: look whether it is loaded, and the schedule's"
    return "the checkpoint holds no state of an optimizer; save and load its state_dict"


def _what_is_missing(interrupted: Written) -> str:
    return f"{_what_of_the_optimizer(interrupted)}; {_what_of_generators(interrupted)}"
