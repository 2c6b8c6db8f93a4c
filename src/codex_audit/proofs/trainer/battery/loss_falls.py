"""The loss that is trained on falls."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import msgspec

from codex_audit.proofs.trainer import repeating
from codex_audit.proofs.trainer.trend import falls_at_once, mann_kendall
from codex_audit.proofs.trainer.trial import Seen, Skip, TrainerProof

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from codex_audit.proofs.trainer.runs import Result, Run
    from codex_audit.proofs.trainer.trial import Measured, Trial

_NONE = 1.0  # deviations: so small a fall is found in one of six series that do not fall
_PART = 0.8
_LONGER, _ONE_BATCH = "longer", "one batch"


class Fall(msgspec.Struct, frozen=True):
    """A series of losses: means of its first and last quarter, and its trend in deviations."""

    first: float
    last: float
    trend: float
    certain: bool
    words: str

    @property
    def none(self) -> bool:
        """Whether nothing speaks for a fall."""
        return not self.last < self.first or -self.trend < _NONE


def runs(trial: Trial) -> dict[str, Run]:
    """The straight run, if that is enough."""
    del trial
    return {}


def then(trial: Trial, results: Mapping[str, Result]) -> dict[str, Run]:
    """Where noise may hide a fall, a longer run, and one without the noise of batches."""
    del results
    if fall_of(losses_of(trial.straight)).certain:
        return {}
    until = repeating.longer(trial)
    return {_LONGER: trial.run(until=until, horizon=until), _ONE_BATCH: repeating.run(trial)}


def judge(trial: Trial, results: Mapping[str, Result]) -> Seen | Skip:
    """Test the losses for a downward trend.

    That none is seen is a failure only where neither chance nor the batches' own differences
    would hide one.
    """
    seen = fall_of(losses_of(results["straight"]))
    longer = results.get(_LONGER)
    if not seen.certain and longer is not None:
        if not longer.completed:
            return Skip(f"not judged: {seen.words}, and a longer run {longer.ending}")
        seen = fall_of(losses_of(longer))
    if seen.certain or not seen.none:
        return told(seen)
    if trial.together:
        return Skip(
            f"not judged: {seen.words}; of optimizers that take turns one may well undo the"
            " other's gain"
        )
    repeated = results.get(_ONE_BATCH)
    if repeated is not None and repeating.repeats(trial, repeated) and _learns(repeated):
        return Skip(
            f"not judged: {seen.words}, but that on one batch, repeated, falls: the batches' own"
            " differences hide it; raise trainer.steps in the settings"
        )
    return told(seen)


def _learns(repeated: Result) -> bool:
    """Whether the loss on one batch goes down, and by more than weight decay alone would do."""
    seen = fall_of(losses_of(repeated))
    return seen.certain and seen.last <= _PART * seen.first


def told(seen: Fall) -> Seen | Skip:
    """The judgement, where a series is all that there is."""
    if not seen.certain and not seen.none:
        return Skip(f"not judged: {seen.words}; raise trainer.steps in the settings")
    measured: Measured = {
        "first_quarter": finite(seen.first),
        "last_quarter": finite(seen.last),
        "mann_kendall_z": round(seen.trend, 3),
    }
    return Seen(good=seen.certain, summary=seen.words, measured=measured)


def fall_of(losses: Sequence[float]) -> Fall:
    """What a series shows."""
    quarter = max(1, len(losses) // 4)
    first = sum(losses[:quarter]) / quarter if losses else math.nan
    last = sum(losses[-quarter:]) / quarter if losses else math.nan
    trend, needed = mann_kendall(losses)
    certain = last < first and (-trend >= needed or falls_at_once(losses))
    word = "falls" if certain else "shows no certain fall" if last < first else "does not fall"
    words = (
        f"the loss {word}: mean {first:.4g} over the first {quarter} steps, {last:.4g} over "
        f"the last {quarter} (Mann-Kendall Z {trend:.1f}, at most {-needed:.1f} needed)"
    )
    return Fall(first, last, trend, certain, words)


def losses_of(result: Result) -> list[float]:
    """Of each step, without the scale that a gradient scaler puts on them."""
    return [step.loss / (step.scale or 1.0) for step in result.trace.steps]


def finite(number: float) -> float | str:
    """JSON has no NaN: its name instead."""
    return number if math.isfinite(number) else str(number)


PROOF = TrainerProof(
    id="loss_falls",
    claim="The loss falls over the steps of the trial",
    why="A trainer that steps but does not learn is the most common fault of all.",
    catches=("zero_grad before step", "a detached loss", "an optimizer of other parameters"),
    remedy="look at gradients, learning rate and which parameters the optimizer was given",
    runs=runs,
    judge=judge,
    then=then,
    spared=frozenset({_LONGER, _ONE_BATCH}),
    order=2,
)
