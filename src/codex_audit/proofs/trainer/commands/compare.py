"""What two runs of a command wrote, compared: their losses side by side, and their checkpoints."""

from __future__ import annotations

import itertools
import re
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from codex_audit.proofs.trainer.bits import TensorDifference, difference

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from codex_audit.proofs.trainer.bits import Bits
    from codex_audit.proofs.trainer.commands.asked import Opened, Written
    from codex_audit.proofs.trainer.commands.losses import Logged

_OF_A_GENERATOR = re.compile(r"(^|[._\W])(rng|random_?states?|generator)", re.IGNORECASE)
_TORCH_STATE = (5056,)
_WHOLE = ("uint8", "int32", "int64")


class Beside(msgspec.Struct, frozen=True):
    """One loss of both runs, in words for the report, and whether it is the same."""

    step: str
    one: float
    other: float
    same: bool


class Aligned(msgspec.Struct, frozen=True):
    """The losses of a run and of one that began later, side by side.

    Attributes:
        rows: of the steps that both logged.
        every: whether each step was logged, so that the first different one is known.
        again: how many losses the later run logged which the first had logged before it was
            interrupted, certainly.
        anew: whether it logged from the very beginning.
        end: what is wrong with the step at which it ended.
        why: why the losses cannot be put side by side, where that is so.
    """

    rows: tuple[Beside, ...] = ()
    every: bool = False
    again: int = 0
    anew: bool = False
    end: str = ""
    why: str = ""

    @property
    def different(self) -> tuple[Beside, ...]:
        """Those that differ."""
        return tuple(row for row in self.rows if not row.same)


def side_by_side(one: Sequence[Logged], other: Sequence[Logged]) -> Aligned:
    """The losses of two whole runs: those of the same steps, or in order where no step is told."""
    ours = dict(zip(_places(one), one, strict=True))
    theirs = dict(zip(_places(other), other, strict=True))
    rows = tuple(
        _beside(a.name or f"loss {number}", a, theirs[place])
        for number, (place, a) in enumerate(ours.items(), 1)
        if place in theirs
    )
    end = _end(one[-1:], other[-1:])
    if not end and list(ours)[-1:] != list(theirs)[-1:]:
        end = f"{len(other)} losses are logged instead of {len(one)}"
    return Aligned(rows, every=True, end=end)


def after_resume(
    whole: Sequence[Logged], resumed: Sequence[Logged], *, done: int, steps: int
) -> Aligned:
    """The losses after a resume beside those of the run that was not interrupted.

    Args:
        whole: of that run.
        resumed: of the resumed process.
        done: how many losses were logged before the checkpoint was written, at least.
        steps: asked for.
    """
    if not whole or not resumed:
        return Aligned(why="the resumed process logged no loss" if whole else "no loss is logged")
    one, other = _places(whole), _places(resumed)
    begins_again = one[-1].round + other[-1].round > 0
    told = all(each.place is not None for each in (*whole, *resumed))
    if told and not begins_again:
        known = dict(zip(one, whole, strict=True))
        other = _begun_within(one, other)
        rows = [
            _beside(known[place].name, known[place], each)
            for place, each in zip(other, resumed, strict=True)
            if place in known
        ]
        until = one[min(done, len(one)) - 1]
        again = sum(place < until for place in other) if done else 0
        several = len(one) > 1 and one[1].step == one[0].step
        begun = other[0].step <= one[0].step
        anew = done > 0 and begun and (until.step > one[0].step or not several)
        end = _end(whole[-1:], resumed[-1:])
        return Aligned(tuple(rows), every=_every(one), again=again, anew=anew, end=end)
    if abs(len(whole) - steps) > 1:
        why = "the log gives no step and not each step's loss (a group `step` would tell)"
        if told:
            why = "the log's steps begin again with each epoch (a group `epoch` would tell it)"
        return Aligned(why=why)
    begin = len(whole) - len(resumed)
    anew = done > 0 and begin <= 0
    again = max(0, done - 1 - begin)
    begin = max(begin, 0)
    rows = [
        _beside(f"step {begin + number}", whole[begin + number - 1], each)
        for number, each in enumerate(resumed, 1)
        if begin + number <= len(whole)
    ]
    return Aligned(tuple(rows), every=True, again=again, anew=anew)


class Place(NamedTuple):
    """Where a loss stands: after how many new beginnings, at which epoch and step, how often."""

    round: int
    step: tuple[int, int]
    again: int


def _places(losses: Iterable[Logged]) -> list[Place]:
    found: list[Place] = []
    for each in losses:
        step = each.place or (0, 0)
        if not found:
            found.append(Place(0, step, 0))
            continue
        last = found[-1]
        begins = last.round + (step < last.step)
        found.append(Place(begins, step, last.again + 1 if step == last.step else 0))
    return found


def _begun_within(whole: Sequence[Place], resumed: Sequence[Place]) -> list[Place]:
    """The places of a resumed run, which may begin in the middle of several losses of one step."""
    step = resumed[0].step
    mine = sum(place.step == step for place in resumed)
    missing = max(0, sum(place.step == step for place in whole) - mine)
    begun = [place._replace(again=place.again + missing) for place in resumed[:mine]]
    return [*begun, *resumed[mine:]]


def _every(places: Sequence[Place]) -> bool:
    """Whether each step was logged, as far as that shows."""
    apart = {b.step[1] - a.step[1] for a, b in itertools.pairwise(places) if a.step[0] == b.step[0]}
    epochs = {place.step[0] for place in places}
    return apart <= {0, 1} and (
        bool(apart) or len(epochs) == 1 or {p.step[1] for p in places} == {0}
    )


def _end(one: Sequence[Logged], other: Sequence[Logged]) -> str:
    """What is wrong with the step of the last loss."""
    if not one or not other or one[0].place == other[0].place:
        return ""
    wanted = one[0].name if one[0].epoch is not None else one[0].step
    return f"it ended at {other[0].name or 'no step'}, not at {wanted}"


def _beside(step: str, one: Logged, other: Logged) -> Beside:
    return Beside(step, one.loss, other.loss, one.same_as(other))


class Entries(msgspec.Struct, frozen=True):
    """How the checkpoints of two runs differ.

    Attributes:
        files: that were compared.
        tensor: the first tensor that differs.
        tensors: names of all that do, generators aside.
        leaves: name -> (of the one, of the other), of what is no tensor.
        generators: entries that hold a generator's state, and differ.
        why: why nothing could be compared, where that is so.
    """

    files: tuple[str, ...] = ()
    tensor: TensorDifference | None = None
    tensors: tuple[str, ...] = ()
    leaves: dict[str, tuple[str, str]] = {}
    generators: tuple[str, ...] = ()
    why: str = ""


def entries(one: Written, other: Written, *, fresh: bool = False) -> Entries:
    """Compare the files of the same names; only those that `other` wrote itself, if `fresh`.

    Where a name holds a date or a number of its own, the newest of both stand for each other.
    """
    if _saved_apart(one, other):
        return Entries(why="its last checkpoint is of another step")
    left = {each.path: each for each in one.opened}
    right = {each.path: each for each in other.opened if each.fresh or not fresh}
    pairs = [(left[path], right[path]) for path in left if path in right]
    if not pairs and left and right:
        pairs = [(_newest(left.values()), _newest(right.values()))]
    read = [(a, b) for a, b in pairs if a.kind and b.kind and not a.broken and not b.broken]
    if not read:
        why = "no checkpoint was written" if not right else "no checkpoint could be read"
        return Entries(why=why)
    many = len(read) > 1
    tensors: list[str] = []
    generators: list[str] = []
    leaves: dict[str, tuple[str, str]] = {}
    first = None
    for a, b in read:
        prefix = f"{a.path}: " if many else ""
        ours, theirs = _without_generators(a.tensors), _without_generators(b.tensors)
        found = difference(ours, one.bits, theirs, other.bits)
        if found is not None and first is None:
            first = msgspec.structs.replace(found, name=prefix + found.name)
        tensors += [prefix + name for name in _different(ours, theirs)]
        for name in dict.fromkeys((*a.leaves, *b.leaves)):
            pair = (a.leaves.get(name, "absent"), b.leaves.get(name, "absent"))
            if pair[0] != pair[1]:
                if _OF_A_GENERATOR.search(name):
                    generators.append(prefix + name)
                else:
                    leaves[prefix + name] = pair
        states = [{n: x for n, x in o.tensors.items() if is_generator(n, x)} for o in (a, b)]
        generators += [prefix + name for name in _different(*states)]
    return Entries(tuple(a.path for a, _ in read), first, tuple(tensors), leaves, tuple(generators))


def _saved_apart(one: Written, other: Written) -> bool:
    """Whether runs that were ended have certainly saved after other losses the last time."""
    if not (one.ran.ended and other.ran.ended and one.ran.versions and other.ran.versions):
        return False
    (first, until), (other_first, other_until) = _last_saved(one), _last_saved(other)
    return until < other_first or other_until < first


def _last_saved(written: Written) -> tuple[tuple[int, Place], ...]:
    """After which losses at least and at most; those beyond what was asked for are counted."""
    places = _places(written.losses)
    last = written.ran.versions[-1]
    return tuple(
        (max(0, number - len(places)), places[min(number, len(places)) - 1])
        for number in (max(1, last.before), last.losses)
    )


def is_generator(name: str, bits: Bits) -> bool:
    """Whether an entry of a checkpoint is the state of a random generator."""
    if bits.dtype not in _WHOLE:
        return False
    return bits.shape == _TORCH_STATE or _OF_A_GENERATOR.search(name) is not None


def holds_generators(opened: Iterable[Opened]) -> bool:
    """Whether any of the checkpoints holds a generator's state."""
    return any(
        any(is_generator(name, bits) for name, bits in each.tensors.items())
        or any(_OF_A_GENERATOR.search(name) for name in each.leaves)
        for each in opened
    )


def _without_generators(tensors: Mapping[str, Bits]) -> dict[str, Bits]:
    return {name: bits for name, bits in tensors.items() if not is_generator(name, bits)}


def _different(one: Mapping[str, Bits], other: Mapping[str, Bits]) -> list[str]:
    names = dict.fromkeys((*one, *other))
    return [name for name in names if name not in one or not one[name].same_as(other.get(name))]


def _newest(opened: Iterable[Opened]) -> Opened:
    return max(opened, key=lambda each: each.modified_ns)
