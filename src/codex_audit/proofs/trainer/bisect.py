"""Where two runs first differ: the step, what differs first within it, and the likely fault."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from codex_audit.proofs.trainer.bits import difference
from codex_audit.proofs.trainer.trace import Trace

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from codex_audit.proofs.trainer.trace import State, Step, Tensors

_SHOWN = 6
_ROWS = 12

# In causal order: within a step, what comes first is the cause of what comes later.
PROGRESS, PARAMETER, BUFFER, EXTRA, OPTIMIZER, MODE, RNG = (
    "progress", "parameter", "buffer", "state", "optimizer", "mode", "generator",
)  # fmt: skip
BATCH, MICROS, LOSS, SCALE, GRADIENT, RATE, UPDATE = (
    "batch", "accumulation", "loss", "loss scale", "gradient", "learning rate", "update",
)  # fmt: skip


class Differs(msgspec.Struct, frozen=True):
    """One thing that differs: which component, its name, and how much in words."""

    component: str
    name: str
    note: str


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


class Pair(msgspec.Struct, frozen=True):
    """Two traces to compare; `skip` steps of `one` came before `other` began.

    Attributes:
        one: the run that is right by definition.
        other: the run on trial.
        skip: steps.
        resumed: whether `other` resumed from a checkpoint.
        streams: generators that count.
    """

    one: Trace
    other: Trace
    skip: int = 0
    resumed: bool = False
    streams: frozenset[str] = frozenset()
    rng_counts: bool = False


def diverge(pair: Pair) -> Divergence | None:
    """The first difference, or None where both runs are equal to the bit.

    Generators are looked at as causes only; that they alone differ is no divergence, unless
    the pair says so.
    """
    left = pair.one.steps[pair.skip :]
    right = pair.other.steps
    for place, (a, b) in enumerate(zip(left, right, strict=False)):
        found = _step(pair, a, b)
        if found:
            number = pair.skip + place + 1
            first = _first_rank(found)
            cause = _cause(pair, place, first, found)
            return Divergence(number, first, cause, _rows(pair, place))
    if len(left) != len(right):
        number = pair.skip + min(len(left), len(right)) + 1
        note = f"{len(right)} steps were made where {len(left)} were left"
        return Divergence(
            number, (Differs(PROGRESS, "the number of steps", note),), _PROGRESS_CAUSE
        )
    return None


_PROGRESS_CAUSE = (
    "the progress is not restored; save the number of steps done, and count on from it after"
    " loading"
)


def _step(pair: Pair, a: Step, b: Step) -> list[Differs]:
    """All that differs in a step, in causal order; nothing if only generators differ."""
    states = list(_states(pair, a.before, b.before))
    rng = [
        Differs(RNG, f"the state of {_title(stream)}", "differs")
        for stream in sorted(pair.streams)
        if a.before.rng.get(stream) != b.before.rng.get(stream)
    ]
    rest = [*_batches(a, b), *_results(pair, a, b)]
    if not states and not rest and not (rng and pair.rng_counts):
        return []
    return [*states, *rng, *rest]


def lost_state(one: Trace, wanted: Step, other: Trace, found: Step) -> list[str]:
    """What of the state at the beginning of a step is not as wanted, generators aside, in words."""
    pair = Pair(one, other, resumed=True)
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
    if a.modes != b.modes:
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
        note = f"{_listed(b.indices)} instead of {_listed(a.indices)}"
        yield Differs(BATCH, "the batch", f"is samples {note}")
    elif [m.content for m in a.micros] != [m.content for m in b.micros]:
        name = "the content of the batch"
        same = "" if a.indices is None else f", though the samples {_listed(a.indices)} agree"
        yield Differs(BATCH, name, f"differs{same}")


def _results(pair: Pair, a: Step, b: Step) -> Iterable[Differs]:
    if [m.loss.hex() for m in a.micros] != [m.loss.hex() for m in b.micros]:
        yield Differs(LOSS, "the loss", f"is {b.loss:.9g} instead of {a.loss:.9g}")
    if a.scale != b.scale:
        yield Differs(SCALE, "the loss scale", f"is {b.scale} instead of {a.scale}")
    found = _tensors(pair, GRADIENT, a.gradients, b.gradients)
    if found:
        yield found
    if a.rates != b.rates:
        note = f"is {_listed_rates(b.rates)} instead of {_listed_rates(a.rates)}"
        yield Differs(RATE, "the learning rate", note)
    for component, one, other in (
        (UPDATE, a.after.parameters, b.after.parameters),
        (UPDATE, a.after.optimizer, b.after.optimizer),
        (BUFFER, a.after.buffers, b.after.buffers),
    ):
        found = _tensors(pair, component, one, other)
        if found:
            word = "parameter or optimizer state" if component == UPDATE else component
            yield msgspec.structs.replace(found, name=found.name.replace(component, word, 1))


def _first_rank(found: list[Differs]) -> tuple[Differs, ...]:
    """What differs first; lost states and generators stand side by side."""
    start = [each for each in found if each.component in _AT_START]
    return tuple(start) or (found[0],)


_AT_START = {PARAMETER, BUFFER, EXTRA, OPTIMIZER, MODE, RNG}


def _cause(pair: Pair, place: int, first: tuple[Differs, ...], found: list[Differs]) -> str:
    components = {each.component for each in first}
    at_load = pair.resumed and place == 0
    told = _CAUSES if pair.resumed else _OF_TWO_RUNS
    causes = [
        told[component].format(names=_names(first, component))
        for component in told
        if component in components and (at_load or not pair.resumed or component in _ANY_TIME)
    ]
    batch = next((each for each in found if each.component == BATCH), None)
    if batch is not None and not components & {PARAMETER, OPTIMIZER, BUFFER, EXTRA}:
        causes.insert(0, _batch_cause(pair, place))
    if at_load:
        rate = next((each for each in found if each.component == RATE), None)
        if rate is not None and RATE not in components:
            causes.append(_CAUSES[RATE])
    if not causes:
        causes = [_LATER if not at_load else _UNSEEN]
    return "; ".join(dict.fromkeys(causes))


_ANY_TIME = {MODE, RNG, MICROS, SCALE, RATE}
_OF_TWO_RUNS = {
    PARAMETER: "the weights already differ ({names}); seed every generator before the model is"
    " made",
    EXTRA: "{names} differs from the start; seed every generator before anything is made",
    RNG: "{names} is not seeded, or something that differs has drawn from it",
    MODE: "modules are in another mode; call train() where training begins",
}
_CAUSES = {
    PARAMETER: "the weights are not restored ({names}); look at how load gives them to the model",
    BUFFER: "buffers of the model are not restored ({names}); save the whole state_dict",
    EXTRA: "{names} of the subject's own state is not restored by load (an average of the weights,"
    " a callback, a counter); save and load it",
    OPTIMIZER: "the optimizer's state is not restored ({names}); save and load its state_dict",
    MODE: "modules are in another mode; call train() after loading or evaluating, and restore the"
    " mode of each submodule",
    RNG: "{names} is not restored; save and restore it",
    MICROS: "the place within the accumulation window or the epoch is lost",
    SCALE: "the gradient scaler's state is not restored; save and load its state_dict",
    RATE: "the learning-rate schedule is not restored; save and load the scheduler, or compute the"
    " rate from the number of steps done",
}
_UNSEEN = (
    "all that was seen at the start agrees, so something else is lost: a generator of its own, the"
    " precision, or state kept outside model and optimizer"
)
_LATER = "what each run had at the start of the step agrees, so the step itself is not repeatable"


def _batch_cause(pair: Pair, place: int) -> str:
    """Why another batch came, from which samples it holds."""
    left, right = pair.one.steps, pair.other.steps
    rows, wanted = right[place].indices, left[pair.skip + place].indices
    if rows is None or wanted is None or rows == wanted:
        return (
            "the samples' content is drawn anew (augmentation, masking or a sampler without indices"
            " uses a generator that is not where it was); save and restore that generator"
        )
    when = "on resume" if pair.resumed else "in the second run"
    if set(rows) & set(wanted) == set(rows) and rows != wanted:
        return f"the order within the batch changes {when}; look at the sampler and its workers"
    for number, step in enumerate(left):
        if step.indices != rows:
            continue
        gap = pair.skip + place - number
        if number == 0 and gap > 0:
            return (
                f"the sampler restarts at the beginning of the first epoch {when}; save and restore"
                " the position in the data"
            )
        if gap == 1:
            return f"the last batch is repeated {when}; count it as consumed before saving"
        if gap < 0:
            return f"{-gap} batch(es) of the data are skipped {when}; the position saved is ahead"
        return (
            f"the data goes back by {gap} steps {when}, as if the epoch began again; save and"
            " restore the position in the epoch"
        )
    return (
        f"the sampler gives another order {when}: its permutation is drawn anew; save and restore"
        " the sampler's generator and its epoch, and the position within"
    )


def _rows(pair: Pair, place: int) -> tuple[dict[str, Any], ...]:
    """Loss and distance of the weights at each step, from the one before the divergence."""
    rows: list[dict[str, Any]] = []
    start = max(0, place - 1)
    left, right = pair.one.steps[pair.skip + start :], pair.other.steps[start:]
    for number, (a, b) in enumerate(zip(left, right, strict=False), start=pair.skip + start + 1):
        if len(rows) == _ROWS:
            break
        found = difference(a.after.parameters, pair.one.file, b.after.parameters, pair.other.file)
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


def _names(first: Iterable[Differs], component: str) -> str:
    return ", ".join(each.name for each in first if each.component == component)


def _title(stream: str) -> str:
    titles = {"python": "Python's generator", "numpy": "NumPy's generator"}
    titles |= {"torch": "torch's CPU generator"}
    return titles.get(stream, f"the generator of {stream}")


def _listed(rows: tuple[int, ...] | None) -> str:
    if rows is None:
        return "unknown"
    shown = ", ".join(map(str, rows[:_SHOWN]))
    return f"[{shown}{', ...' if len(rows) > _SHOWN else ''}]"


def _listed_rates(rates: Iterable[float]) -> str:
    return ", ".join(f"{rate:.6g}" for rate in rates)


def as_details(found: Divergence) -> Mapping[str, Any]:
    """A divergence as values that JSON can hold."""
    return {
        "step": found.step,
        "components": sorted(found.components),
        "seen": [f"{each.name} {each.note}".strip() for each in found.first],
        "cause": found.cause,
        "rows": list(found.rows),
    }
