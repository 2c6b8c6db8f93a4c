"""The likely fault behind what differs first between two runs, and where to look."""

from __future__ import annotations

from typing import TYPE_CHECKING

from codex_audit.proofs.trainer.epochs import steps_of_epoch
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
    RATE,
    RNG,
    SCALE,
    UPDATE,
)
from codex_audit.proofs.trainer.vectors import whole

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from codex_audit.proofs.trainer.pairs import Differs, Pair
    from codex_audit.proofs.trainer.trace import Tensors

_SHOWN = 3
_MOST, _EXACT = 64, 1e-6  # micro-batches
_STATES = (PARAMETER, BUFFER, EXTRA, OPTIMIZER)
_AT_LOAD = {
    PARAMETER: "the weights are not restored ({names}); look at how load gives them to the model",
    BUFFER: "buffers of the model are not restored ({names}); save the whole state_dict",
    EXTRA: "{names} of the subject's own state is not restored by load (an average of the weights,"
    " a callback, a counter); save and load it",
    OPTIMIZER: "the optimizer's state is not restored ({names}); save and load its state_dict",
}
_OF_TWO_RUNS = {
    PARAMETER: "the weights already differ ({names}); seed every generator before the model is"
    " made",
    BUFFER: "{names} differs from the start; seed every generator before the model is made",
    EXTRA: "{names} differs from the start; seed every generator before anything is made",
    OPTIMIZER: "{names} differs from the start; seed every generator before anything is made",
}
_BETWEEN = (
    "{names} was changed between two steps, outside of both: look at what runs there (an"
    " evaluation, a save, a callback, an average that is swapped in)"
)
_EXTRA_GOES_ON = (
    "{names} was restored and goes on otherwise: a count or a rate that its update depends on is"
    " not restored, or something between two steps changes it"
)
_REPLACED = (
    "load replaces the model ({names}) while the optimizer keeps the parameters of the one before;"
    " load into the model that is there, or make the optimizer anew"
)
_PENDING = (
    "gradients of an earlier backward pass are still there ({names}) and add to the step's, and no"
    " checkpoint has them; call zero_grad before each backward"
)
_ANY_TIME = {
    MODE: "modules are in another mode; call train() where training begins, after loading and"
    " after evaluating, and restore the mode of each submodule",
    MICROS: "the place within the accumulation window or the epoch is lost",
    SCALE: "the gradient scaler's state is not restored; save and load its state_dict",
    RATE: "the learning-rate schedule is not restored; save and load the scheduler, or compute the"
    " rate from the number of steps done",
}
_WITHIN = {
    LOSS: "all that was seen at the start of the step agrees and its loss does not: an operation"
    " that is not deterministic, a generator of its own, or state kept outside model and optimizer",
    GRADIENT: "the same loss gives other gradients: look at clipping, at unscaling, and for an"
    " operation whose backward pass is not deterministic",
    UPDATE: "the same gradients and rates give another update: the optimizer's settings (weight"
    " decay, betas) or state that it keeps elsewhere are not the same",
}
_DIVIDED_OTHERWISE = (
    "the loss is {times} times as large: it is divided by another number, such as that of"
    " micro-batches in a window; look at what sets that, and whether it is set again on resume"
)
_FROZEN_ONCE = (
    "{names} takes part in one of the runs only: whether it is frozen, by a callback or at an"
    " epoch, is not restored; set requires_grad after loading as it was, of the step's number"
)
_BEGINS_ANEW = (
    "nothing is restored: the run begins anew, from its first weights; look at whether load finds"
    " the checkpoint and gives it to the model"
)
_EARLY_RNG = (
    "{names} is restored, and something draws from it before the first step (a new iterator of a"
    " DataLoader draws its base seed from torch's; give it a generator of its own)"
)
_LOST_RNG = "{names} is not restored; save and restore it"
_UNSEEDED_RNG = "{names} is not seeded, or something that differs has drawn from it"
PROGRESS_CAUSE = (
    "the progress is not restored; save the number of steps done, and count on from it after"
    " loading"
)
_CONTENT = (
    "the samples' content is drawn anew (augmentation, masking or a sampler without indices"
    " uses a generator that is not where it was); save and restore that generator"
)
_CONTENT_OTHERWISE = (
    "the samples' content is made otherwise though no generator was lost: what it depends on"
    " besides (a count, the epoch, a switch of augmentation, a generator of its own) is not"
    " restored; save and restore that, or make it of the step's number"
)
_CONTENT_OF_TWO_RUNS = (
    "the samples' content is another in the second run: it depends on something that the seed does"
    " not set (a generator of its own, the hash of a text or the order of a set, the clock)"
)


def cause_of(pair: Pair, place: int, first: Sequence[Differs], found: Sequence[Differs]) -> str:
    """Why the step at `place` differs.

    Args:
        pair: the two runs.
        place: of the step, counted in the second run from 0.
        first: what differs first there.
        found: all that differs there.
    """
    components = {each.component for each in first}
    replaced = pair.replaced
    if pair.resumed and replaced:
        return _REPLACED.format(names=", ".join(f"`{name}`" for name in replaced[:_SHOWN]))
    if pair.resumed and place == 0 and PARAMETER in components and _begins_anew(pair):
        return _BEGINS_ANEW
    causes = []
    if not components & set(_STATES) and any(each.component == BATCH for each in found):
        causes.append(_batch_cause(pair, place))
    told = _BETWEEN if place else ""
    by_component = _AT_LOAD if pair.resumed else _OF_TWO_RUNS
    for component in _STATES:
        if component in components:
            text = told or by_component[component]
            if component == EXTRA and place and pair.resumed:
                text = _EXTRA_GOES_ON
            causes.append(text.format(names=_names(first, component)))
    if RNG in components:
        causes += _rng_causes(pair, place, first)
    causes += [text for component, text in _ANY_TIME.items() if component in components]
    if pair.resumed and place == 0 and RATE not in components:
        causes += [_ANY_TIME[RATE] for each in found if each.component == RATE]
    a, b = pair.one.steps[pair.skip + place], pair.other.steps[place]
    if not causes and pair.resumed and a.pending and a.pending != b.pending:
        lost = [f"`{name}`" for name in a.pending if name not in b.pending]
        causes.append(_PENDING.format(names=", ".join(lost[:_SHOWN])))
    alone = [name for name in b.gradients if name not in a.gradients]
    alone += [name for name in a.gradients if name not in b.gradients]
    times = _times(a.micros[0].loss, b.micros[0].loss) if a.micros and b.micros else None
    if not causes and pair.resumed and LOSS in components and times:
        causes.append(_DIVIDED_OTHERWISE.format(times=times))
    if not causes and GRADIENT in components and alone:
        shown = ", ".join(f"`{name}`" for name in alone[:_SHOWN])
        causes.append(_FROZEN_ONCE.format(names=shown))
    if not causes:
        causes = [_WITHIN[component] for component in _WITHIN if component in components]
    return "; ".join(dict.fromkeys(causes))


def _times(wanted: float, found: float) -> str:
    """The multiple, where one loss is a whole multiple of the other."""
    if not wanted or not found:
        return ""
    if whole(found / wanted, _MOST, _EXACT):
        return f"{found / wanted:.0f}"
    return f"1/{wanted / found:.0f}" if whole(wanted / found, _MOST, _EXACT) else ""


def _begins_anew(pair: Pair) -> bool:
    """Whether the resumed run's weights are those with which the first run began."""
    if not pair.one.steps or not pair.skip:
        return False
    initial = pair.one.steps[0].before.parameters
    return _same(initial, pair.other.steps[0].before.parameters) and bool(initial)


def _same(one: Tensors, other: Tensors) -> bool:
    return one.keys() == other.keys() and all(one[name].same_as(other[name]) for name in one)


def _rng_causes(pair: Pair, place: int, first: Sequence[Differs]) -> list[str]:
    """Generators that were lost, and those that were only drawn from too early."""
    if not pair.resumed:
        return [_UNSEEDED_RNG.format(names=_names(first, RNG))]
    early = [each for each in first if each.key in pair.restored]
    gone = [each for each in first if each.key not in pair.restored]
    causes = []
    if any(each.component == RNG for each in gone):
        causes.append(_LOST_RNG.format(names=_names(gone, RNG)))
    if any(each.component == RNG for each in early):
        text = _UNSEEDED_RNG if place else _EARLY_RNG
        causes.append(text.format(names=_names(early, RNG)))
    return causes


def _batch_cause(pair: Pair, place: int) -> str:
    """Why another batch came, from where its samples lie in the first run's sequence."""
    left, right = pair.one.steps, pair.other.steps
    rows, wanted = right[place].indices, left[pair.skip + place].indices
    if not rows or wanted is None or rows == wanted:
        if not pair.resumed:
            return _CONTENT_OF_TWO_RUNS
        moved = left[pair.skip + place].before.rng != right[place].before.rng
        return _CONTENT if moved and pair.lost_streams(place) else _CONTENT_OTHERWISE
    when = "on resume" if pair.resumed else "in the second run"
    if sorted(rows) == sorted(wanted):
        return f"the order within the batch changes {when}; look at the sampler and its workers"
    lengths = [len(step.indices or ()) for step in left]
    sequence = [row for step in left for row in step.indices or ()]
    due = sum(lengths[: pair.skip + place])
    at = _nearest(sequence, rows, due)
    if at is None and not pair.resumed:
        return (
            "the sampler gives another order in the second run: it depends on something that the"
            " seed does not set (a generator of its own, the order of a set, the clock)"
        )
    if at is None:
        return (
            f"the sampler gives another order {when}: its permutation is drawn anew; save and"
            " restore the sampler's generator and its epoch, and the position within"
        )
    if at == 0 and due == lengths[0]:
        return (
            f"the first batch comes again {when}: the sampler restarts, or the last batch does not"
            " count as consumed; save and restore the position in the data"
        )
    if at == 0:
        return (
            f"the sampler restarts at the beginning of the first epoch {when}; save and restore"
            " the position in the data"
        )
    return _moved_cause(pair, place, lengths, due, at)


def _moved_cause(pair: Pair, place: int, lengths: list[int], due: int, found: int) -> str:
    """Why the data goes on elsewhere: at `found` instead of `due`, in samples from the start."""
    when = "on resume" if pair.resumed else "in the second run"
    epoch = steps_of_epoch(pair.one)
    begun = (pair.skip + place) // epoch * epoch if epoch else 0
    if begun and found == sum(lengths[:begun]):
        return (
            f"the epoch begins again {when}: the sampler restarts at its beginning; save and"
            " restore the position in the epoch"
        )
    if epoch and due - found == sum(lengths[:epoch]):
        return (
            f"the order of the epoch before comes again {when}: the epoch's number, or the"
            " generator of its permutation, is not restored"
        )
    if due - found == lengths[max(0, pair.skip + place - 1)]:
        return f"the last batch is repeated {when}; count it as consumed before saving"
    if pair.resumed and place and epoch and (pair.skip + place) % epoch == 0 and found > due:
        return (
            f"{found - due} samples are skipped at the beginning of the next epoch, as they were"
            " when training went on: what is skipped once after loading must not be skipped again"
        )
    if found > due:
        return (
            f"{found - due} samples of the data are skipped {when}: the position saved is ahead of"
            " what was trained on (batches fetched ahead count as consumed)"
        )
    return (
        f"the data goes back by {due - found} samples {when}; save and restore the position in the"
        " epoch"
    )


def _nearest(sequence: Sequence[int], rows: Sequence[int], due: int) -> int | None:
    """Where `rows` lie in the sequence in one piece, nearest to where they were due."""
    count, wanted = len(rows), list(rows)
    places = [i for i in range(len(sequence) - count + 1) if sequence[i : i + count] == wanted]
    return min(places, key=lambda i: abs(i - due), default=None)


def _names(first: Iterable[Differs], component: str) -> str:
    return ", ".join(each.name for each in first if each.component == component)
