"""Why a resumed run is another: said in a sentence, from what its losses and checkpoints show."""

from __future__ import annotations

import itertools
import re
import statistics
from typing import TYPE_CHECKING

import msgspec

from codex_audit.proofs.trainer.commands.asked import Written
from codex_audit.proofs.trainer.commands.compare import (
    Aligned,
    Entries,
    after_resume,
    entries,
    holds_generators,
)
from codex_audit.proofs.trainer.commands.counters import (
    COUNTS,
    OF_AN_OPTIMIZER,
    missing_updates,
    of_counters,
    scalars,
    tensors,
)
from codex_audit.proofs.trainer.commands.moments import only_moments_differ

if TYPE_CHECKING:
    from collections.abc import Mapping


_RATE = re.compile(r"param_groups\.\d+\.lr$")
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
    found = _without_own_noise(entries(whole, other, fresh=True), before, other)
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
        words.append(made_again(aligned))
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


def made_again(aligned: Aligned) -> str:
    """That steps were made again, in words."""
    steps = "1 step" if aligned.again == 1 else f"{aligned.again} steps"
    return f"it made {steps} again from before its last checkpoint"


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


def _without_own_noise(found: Entries, before: Before, other: Written) -> Entries:
    """Without plain values that differ between two runs anyway, or that training never changes.

    A time, a date or a path differs between any two runs, or would if they had not begun in one
    minute; what no checkpoint of the straight run changes is a setting, which the command line of
    a resume may well change.
    """
    span = (before.whole.ran.started_ns, other.ran.ended_ns)
    control = entries(before.whole, before.again)
    values: dict[str, set[str]] = {}
    for each in (*before.whole.opened, *before.interrupted.opened):
        for name, value in each.leaves.items():
            values.setdefault(name, set()).add(value)
    kept = {
        name: pair
        for name, pair in found.leaves.items()
        if name not in control.leaves
        and len(values.get(name.rpartition(": ")[2], ())) > 1
        and not only_moments_differ(*pair, *span)
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
    counters = [name for name in found.leaves if COUNTS.search(name)]
    counters += list(scalars(found, one, other))
    return "its checkpoints were written after other steps, and are not compared" * bool(counters)


def _of_the_end(whole: Written, other: Written) -> str:
    """Why it ended elsewhere; one that stops early by itself counts how long nothing got better."""
    ends = [each.losses[-1].step if each.losses else None for each in (whole, other)]
    due, ended = ends
    if due is not None and ended is not None and due < ended <= whole.asked.steps:
        return (
            f"the run stops early by itself at {due} of {whole.asked.steps}, and what leads to it"
            " is not restored; save how often nothing was better, and the best so far"
        )
    return "the steps done are not counted on; save their number and go on from it"


def _cause(before: Before, other: Written, aligned: Aligned, found: Entries) -> str:
    if aligned.anew:
        return _of_a_new_start(before, other, aligned)
    rounded = _of_rounding(before.interrupted)
    if rounded and not aligned.end and not aligned.again:
        return rounded
    counted = (found, before.whole, before.interrupted, other)
    missing = missing_updates(*counted)
    if missing and not _moved(aligned):
        return missing
    causes = [*of_counters(*counted)]
    rows = aligned.rows
    if rows and not rows[0].same and aligned.every:
        causes.append(_of_the_first_loss(before, aligned, found))
    elif aligned.different and found.generators and not causes and not _moved(aligned):
        causes.append(_of_generators(before, found))
    elif aligned.different and aligned.every and not causes:
        causes.append(_of_an_update(before, aligned, found))
    elif aligned.different and not causes:
        causes.append(
            "between two logged losses something was not restored: "
            + _what_is_missing(before.interrupted)
        )
    if aligned.end:
        causes.insert(0, _of_the_end(before.whole, other))
    if not causes and aligned.again:
        causes.append("an older checkpoint than the last was loaded, or the progress was not")
    if not causes and found.leaves:
        names = ", ".join(f"`{name}`" for name in list(found.leaves)[:_SHOWN])
        causes.append(f"{names} is saved and not restored; load it as well")
    if not causes and found.tensor is not None:
        name = found.tensor.name
        what = "the optimizer's state" if OF_AN_OPTIMIZER.search(name) else "the weights"
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
            if OF_AN_OPTIMIZER.search(name) and bits.shape
        }
        weights = {
            name: bits
            for name, bits in each.tensors.items()
            if bits.shape in moments and not OF_AN_OPTIMIZER.search(name)
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


def _moved(aligned: Aligned) -> bool:
    """Whether the steps are others, so that all that follows is, too."""
    return bool(aligned.end or aligned.again or aligned.anew)


def _of_the_first_loss(before: Before, aligned: Aligned, found: Entries) -> str:
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
    return what + ("" if _moved(aligned) else _of_generators(before, found))


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


def _of_generators(before: Before, found: Entries) -> str:
    """What the generators' states in later checkpoints tell, where there are any."""
    if found.generators:
        names = ", ".join(f"`{name}`" for name in found.generators[:_SHOWN])
        return (
            f"the state of a generator is another in the checkpoints after the resume ({names}): "
            "it is not given back as it was, or drawn from in between"
        )
    if found.files and holds_generators(before.interrupted.opened):
        return (
            "the generators whose states it holds are as they should be: look at the position in "
            "the data, and at generators that it does not hold"
        )
    return _what_of_generators(before.interrupted)


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


def _of_an_update(before: Before, aligned: Aligned, found: Entries) -> str:
    place = aligned.rows.index(aligned.different[0])
    after = "the first loss after the resume agrees"
    if place > 1:
        after = f"the first {place} losses after the resume agree"
    rate = next((name for name in found.leaves if _RATE.search(name)), "")
    if rate:
        first, second = found.leaves[rate]
        return (
            f"{after}, and then the learning rate was another (`{rate}` is {second} instead of "
            f"{first}): the count or the schedule that it comes from is not restored"
        )
    where = _what_of_the_optimizer(before.interrupted)
    if not (found.files and holds_generators(before.interrupted.opened)):
        where += "; or a number was drawn that is not drawn at each step: "
        where += _what_of_generators(before.interrupted)
    if place <= 2:  # noqa: PLR2004 - a rate or a moment shows at once, a new epoch's order later
        return (
            f"{after}, so weights and batch are restored, and then the "
            "update was another: the optimizer's state or the learning rate is not restored; "
            f"{where}"
        )
    return (
        f"{after}: what comes into play at {aligned.different[0].step} is "
        "not restored, such as the order of a new epoch, or slowly the optimizer's state or the "
        f"learning rate; {_what_is_missing(before.interrupted)}"
    )


def _what_of_the_optimizer(interrupted: Written) -> str:
    names = [*tensors(interrupted.opened)]
    names += [name for each in interrupted.opened for name in each.leaves]
    if any(OF_AN_OPTIMIZER.search(name) for name in names):
        return "the checkpoint holds the optimizer's: look whether it is loaded, and the schedule's"
    return "the checkpoint holds no state of an optimizer; save and load its state_dict"


def _what_is_missing(interrupted: Written) -> str:
    return f"{_what_of_the_optimizer(interrupted)}; {_what_of_generators(interrupted)}"
