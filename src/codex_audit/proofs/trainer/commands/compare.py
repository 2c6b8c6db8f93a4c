"""What two runs of a command wrote, compared: their losses side by side, and their checkpoints."""

from __future__ import annotations

import itertools
import re
from typing import TYPE_CHECKING

import msgspec

from codex_audit.proofs.trainer.bits import TensorDifference, difference

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from codex_audit.proofs.trainer.bits import Bits
    from codex_audit.proofs.trainer.commands.asked import Opened, Written
    from codex_audit.proofs.trainer.commands.losses import Logged

Place = tuple[int, int]
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
    """The losses of two whole runs, one after the other."""
    rows = tuple(
        _beside(_name(a, number), a, b)
        for number, (a, b) in enumerate(zip(one, other, strict=False), 1)
    )
    return Aligned(rows, every=True)


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
    if one is not None and other is not None:
        known = dict(zip(one, whole, strict=True))
        rows = [
            _beside(f"step {place[0]}", known[place], each)
            for place, each in zip(other, resumed, strict=True)
            if place in known
        ]
        steps_apart = {b[0] - a[0] for a, b in itertools.pairwise(one)}
        again = sum(place[0] < one[min(done, len(one)) - 1][0] for place in other) if done else 0
        anew = done > 0 and other[0][0] <= one[0][0]
        last, ended = one[-1][0], other[-1][0]
        end = f"it ended at step {ended}, not at {last}" if ended != last else ""
        every = steps_apart <= {0, 1}
        return Aligned(tuple(rows), every=every, again=again, anew=anew, end=end)
    if abs(len(whole) - steps) > 1:
        return Aligned(
            why="the log gives no step and not each step's loss (a group `step` would tell)"
        )
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


def _places(losses: Sequence[Logged]) -> list[Place] | None:
    """Each loss's step, and how often that came before; None where steps do not only grow."""
    found: list[Place] = []
    for each in losses:
        if each.step is None or (found and each.step < found[-1][0]):
            return None
        again = found[-1][1] + 1 if found and found[-1][0] == each.step else 0
        found.append((each.step, again))
    return found


def _name(logged: Logged, number: int) -> str:
    return f"loss {number}" if logged.step is None else f"step {logged.step}"


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
