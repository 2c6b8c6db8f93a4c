"""Given one batch again and again, with nothing dropped, the loss on it goes down far."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING

from codex_audit.proofs.trainer import repeating
from codex_audit.proofs.trainer.trend import mann_kendall
from codex_audit.proofs.trainer.trial import Broken, Seen, Skip, TrainerProof

if TYPE_CHECKING:
    from collections.abc import Mapping

    from codex_audit.proofs.trainer.runs import Result, Run
    from codex_audit.proofs.trainer.trial import Trial

_FAR, _HARDLY = 0.5, 0.8
_LEAST = 12
_ONE_BATCH, _LONGER = "one batch", "longer"
_MOST = 0.5
_STALLS = 0.25  # of the fall in the first half; a warm-up gathers speed


def runs(trial: Trial) -> dict[str, Run] | Skip:
    """The straight run, where every loader repeats its first batch and dropout is still."""
    if trial.steps < _LEAST:
        return Skip(f"{trial.steps} steps are too few; raise trainer.steps to {_LEAST}")
    return {_ONE_BATCH: repeating.run(trial)}


def then(trial: Trial, results: Mapping[str, Result]) -> dict[str, Run]:
    """A longer run before a trainer is accused: noise that each pass draws anew hides a fall."""
    seen = judge(trial, results)
    if not isinstance(seen, Seen) or seen.good:
        return {}
    return {_LONGER: repeating.run(trial, repeating.longer(trial))}


def judge(trial: Trial, results: Mapping[str, Result]) -> Seen | Skip | Broken:
    """Compare the loss at the end with that at the beginning."""
    result = results[_LONGER] if _LONGER in results else results[_ONE_BATCH]
    if not result.completed:
        return trial.unjudged("one batch repeated", result)
    if not repeating.repeats(trial, result):
        return Skip(
            "no DataLoader gives the data, so that a batch cannot be repeated; give the factory a"
            " `one_batch`"
        )
    losses = [step.loss / (step.scale or 1.0) for step in result.trace.steps]
    if len(losses) < _LEAST:
        return Skip(f"only {len(losses)} steps were seen")
    few = max(2, len(losses) // 8)
    first, last = losses[0], median(losses[-few:])
    middle = len(losses) // 2
    trend, needed = mann_kendall(losses[middle:])
    goes_on = losses[middle] - losses[-1] >= _STALLS * (losses[0] - losses[middle])
    measured: dict[str, float | int | str | bool | None] = {
        "first_loss": first,
        "last_loss": last,
        "steps": len(losses),
    }
    words = (
        f"on one batch, repeated for {len(losses)} steps, the loss goes from {first:.4g} to"
        f" {last:.4g}"
    )
    if (first > 0 and last <= _FAR * first) or (first <= 0 and last < first):
        return Seen(good=True, summary=words, measured=measured)
    if -trend >= needed and goes_on:
        return Skip(f"not judged: {words} and still falls; raise trainer.steps in the settings")
    if last <= _HARDLY * first:
        return Skip(f"not judged: {words} and stays there, which may be as low as it can be")
    trained = _trained(result)
    if trained < _MOST:
        return Skip(
            f"not judged: {words}, and only {trained:.2g} of the weights are trained, which may be"
            " too few to learn a batch by heart"
        )
    return Seen(
        good=False,
        summary=(
            f"{words} and no further: what is learned does not fit even one batch; look at the"
            " learning rate, at labels that do not belong to their inputs, at parts without"
            " gradient, and at what is drawn anew for each pass"
        ),
        measured=measured,
    )


def _trained(result: Result) -> float:
    """The part of all weights, by their bytes, that is not frozen."""
    weights = result.trace.steps[0].before.parameters
    frozen = sum(weights[name].size for name in result.trace.frozen if name in weights)
    return 1 - frozen / max(1, sum(bits.size for bits in weights.values()))


PROOF = TrainerProof(
    id="overfits_one_batch",
    claim="On one batch, again and again, the loss goes down to less than half",
    why="A trainer that cannot learn four samples by heart learns nothing from a million.",
    catches=("labels shuffled apart from their inputs", "a rate of zero", "a detached body"),
    remedy="take one batch, turn off dropout and augmentation, and look at each step",
    runs=runs,
    judge=judge,
    then=then,
    spared=frozenset({_LONGER}),
    order=3,
)
