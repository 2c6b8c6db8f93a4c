"""Where two runs first differ: the step, what differs first within it, and the likely fault."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from codex_audit.proofs.trainer.bits import difference
from codex_audit.proofs.trainer.causes import PROGRESS_CAUSE, cause_of
from codex_audit.proofs.trainer.pairs import (
    BATCH,
    BUFFER,
    EXTRA,
    GRADIENT,
    LOSS,
    MICROS,
    MODE,
    OPTIMIZER,
    PARAMETER,
    PROGRESS,
    RATE,
    RNG,
    SCALE,
    UPDATE,
    Differs,
    Pair,
    listed,
    title_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from codex_audit.proofs.trainer.trace import State, Step, Tensors, Trace

_ROWS = 12


class Divergence(msgspec.Struct, frozen=True):
    """The first step at which two runs differ.

    Attributes:
        step: counted over the whole training.
        first: what differs first there; all of the same rank, such as two lost generators.
        cause: the likely fault in a sentence, with where to look.
        rows: loss and greatest distance of a parameter at each step from there on.
    """

    step: int
    first: tuple[Differs, ...]
    cause: str
    rows: tuple[dict[str, Any], ...] = ()

    @property
    def components(self) -> frozenset[str]:
        """Of what differs first."""
        return frozenset(each.component for each in self.first)

    def __str__(self) -> str:
        seen = "; ".join(f"{each.name} {each.note}".strip() for each in self.first[:3])
        return f"step {self.step}: {seen}. Likely cause: {self.cause}"


def diverge(pair: Pair) -> Divergence | None:
    """The first difference, or None where both runs are equal to the bit.

    Generators are looked at as causes only; that they alone differ is no divergence, unless
    the pair says so.
    """
    left = pair.one.steps[pair.skip :]
    right = pair.other.steps
    for place in range(min(len(left), len(right))):
        found = _step(pair, place)
        if found:
            number = pair.skip + place + 1
            first = _first_rank(found)
            return Divergence(
                number, first, cause_of(pair, place, first, found), _rows(pair, place)
            )
    if len(left) != len(right):
        number = pair.skip + min(len(left), len(right)) + 1
        note = f"{len(right)} steps were made where {len(left)} were left"
        return Divergence(number, (Differs(PROGRESS, "the number of steps", note),), PROGRESS_CAUSE)
    return None


def _step(pair: Pair, place: int) -> list[Differs]:
    """All that differs in a step, in causal order; nothing if only generators differ."""
    a, b = pair.one.steps[pair.skip + place], pair.other.steps[place]
    states = list(_states(pair, a.before, b.before))
    batches = list(_batches(a, b))
    rest = [*batches, *_results(pair, a, b)]
    earlier = pair.lost_streams(place)
    other_samples = any(each.component in {BATCH, MICROS} for each in batches)
    rng = [
        Differs(RNG, f"the state of {title_of(stream)}", "differs", stream)
        for stream in sorted(pair.streams)
        if a.before.rng.get(stream) != b.before.rng.get(stream)
        # Other samples draw other numbers: that is a consequence.
        and (stream in earlier or not other_samples or a.indices is None or a.indices == b.indices)
    ]
    if not states and not rest and not (rng and pair.rng_counts):
        return []
    return [*states, *rng, *rest]


def lost_state(one: Trace, wanted: Step, other: Trace, found: Step) -> list[str]:
    """What of the state at the beginning of a step is not as wanted, generators aside, in words."""
    place = next((n for n, step in enumerate(one.steps) if step is wanted), 0)
    pair = Pair(one, other, place, resumed=True)
    if pair.replaced:
        told = "load replaces the model, and the optimizer keeps the parameters of the one before"
        return [f"{told} (`{pair.replaced[0]}`)"]
    states = [f"{each.name} {each.note}" for each in _states(pair, wanted.before, found.before)]
    rest = [each for each in _results(pair, wanted, found) if each.component in {RATE, SCALE}]
    return states + [f"{each.name} {each.note}" for each in rest]


def _states(pair: Pair, a: State, b: State) -> Iterable[Differs]:
    for component, one, other in (
        (PARAMETER, a.parameters, b.parameters),
        (BUFFER, a.buffers, b.buffers),
        (EXTRA, a.extra, b.extra),
        (OPTIMIZER, a.optimizer, b.optimizer),
    ):
        found = _tensors(pair, component, one, other)
        if found:
            yield found
    # A part that only one of them has called by now is no difference of modes.
    if any(one != other for one, other in zip(a.modes.split(), b.modes.split(), strict=False)):
        yield Differs(MODE, "the mode (training or evaluation) of a module", "differs")


def _tensors(pair: Pair, component: str, one: Tensors, other: Tensors) -> Differs | None:
    found = difference(one, pair.one.file, other, pair.other.file)
    if found is None:
        return None
    more = f", and {found.count - 1} more" if found.count > 1 else ""
    return Differs(component, f"{component} `{found.name}`", f"({found.note}{more})")


def _batches(a: Step, b: Step) -> Iterable[Differs]:
    if len(a.micros) != len(b.micros):
        note = f"{len(b.micros)} instead of {len(a.micros)}"
        yield Differs(MICROS, "the number of micro-batches", note)
    elif a.indices != b.indices and a.indices is not None and b.indices is not None:
        note = f"{listed(b.indices)} instead of {listed(a.indices)}"
        yield Differs(BATCH, "the batch", f"is samples {note}")
    elif [m.content for m in a.micros] != [m.content for m in b.micros]:
        name = "the content of the batch"
        same = "" if a.indices is None else f", though the samples {listed(a.indices)} agree"
        yield Differs(BATCH, name, f"differs{same}")


def _results(pair: Pair, a: Step, b: Step) -> Iterable[Differs]:
    if a.scale != b.scale:
        yield Differs(SCALE, "the loss scale", f"is {b.scale} instead of {a.scale}")
    if [m.loss.hex() for m in a.micros] != [m.loss.hex() for m in b.micros]:
        yield Differs(LOSS, "the loss", f"is {b.loss:.9g} instead of {a.loss:.9g}")
    found = _tensors(pair, GRADIENT, a.gradients, b.gradients)
    if found:
        yield found
    if a.rates != b.rates:
        note = f"is {_rates(b.rates)} instead of {_rates(a.rates)}"
        yield Differs(RATE, "the learning rate", note)
    for component, one, other in (
        (UPDATE, a.after.parameters, b.after.parameters),
        (UPDATE, a.after.optimizer, b.after.optimizer),
        (BUFFER, a.after.buffers, b.after.buffers),
    ):
        found = _tensors(pair, component, one, other)
        if found:
            word = "the updated parameter or optimizer state" if component == UPDATE else component
            name = found.name.replace(component, word, 1)
            yield Differs(UPDATE, name, found.note)


def _first_rank(found: list[Differs]) -> tuple[Differs, ...]:
    """What differs first; lost states and generators stand side by side."""
    start = [each for each in found if each.component in _AT_START]
    return tuple(start) or (found[0],)


_AT_START = {PARAMETER, BUFFER, EXTRA, OPTIMIZER, MODE, RNG}


def _rates(rates: Iterable[float]) -> str:
    return ", ".join(f"{rate:.6g}" for rate in rates)


def _rows(pair: Pair, place: int) -> tuple[dict[str, Any], ...]:
    """Loss and distance of the weights at each step, from the one before the divergence."""
    rows: list[dict[str, Any]] = []
    start = max(0, place - 1)
    left, right = pair.one.steps[pair.skip + start :], pair.other.steps[start:]
    for number, (a, b) in enumerate(zip(left, right, strict=False), start=pair.skip + start + 1):
        if len(rows) == _ROWS:
            break
        found = difference(
            a.after.parameters or a.after.extra,
            pair.one.file,
            b.after.parameters or b.after.extra,
            pair.other.file,
        )
        rows.append(
            {
                "step": number,
                "loss": repr(a.loss),
                "other_loss": repr(b.loss),
                "parameter": found.name if found else None,
                "max_abs": found.max_abs if found else 0.0,
                "ulps": found.ulps if found else 0,
            }
        )
    return tuple(rows)


def as_details(found: Divergence) -> Mapping[str, Any]:
    """A divergence as values that JSON can hold."""
    return {
        "step": found.step,
        "components": sorted(found.components),
        "seen": [f"{each.name} {each.note}".strip() for each in found.first],
        "cause": found.cause,
        "rows": list(found.rows),
    }
