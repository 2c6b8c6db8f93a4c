"""The loss that is trained on falls."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from codex_audit.proofs.trainer.trial import Seen, TrainerProof

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from codex_audit.proofs.trainer.runs import Result, Run
    from codex_audit.proofs.trainer.trial import Trial

_CERTAIN = 3.0
_NEARLY_ALL = 0.9
_ODDS = 700  # as three deviations


def runs(trial: Trial) -> dict[str, Run]:
    """The straight run is enough."""
    del trial
    return {}


def judge(trial: Trial, results: Mapping[str, Result]) -> Seen:
    """Test the losses for a downward trend."""
    del trial
    losses = results["straight"].trace.losses
    quarter = max(1, len(losses) // 4)
    first = sum(losses[:quarter]) / quarter if losses else math.nan
    last = sum(losses[-quarter:]) / quarter if losses else math.nan
    trend, needed = mann_kendall(losses)
    good = last < first and (-trend >= needed or falls_at_once(losses))
    word = "falls" if good else "shows no certain fall" if last < first else "does not fall"
    return Seen(
        good=good,
        summary=(
            f"the loss {word}: mean {first:.4g} over the first {quarter} steps, {last:.4g} over "
            f"the last {quarter} (Mann-Kendall Z {trend:.1f}, at most {-needed:.1f} needed)"
            + ("" if good or last >= first else "; raise trainer.steps in the settings for more")
        ),
        measured={
            "first_quarter": finite(first),
            "last_quarter": finite(last),
            "mann_kendall_z": round(trend, 3),
        },
    )


def mann_kendall(values: Sequence[float]) -> tuple[float, float]:
    """The trend of a series in standard deviations, and how many show one beyond chance.

    Mann, "Nonparametric tests against trend", Econometrica 13 (1945): counts which of each
    pair is larger, so neither scale nor shape of a loss curve matters. Three deviations come
    about by chance in one run of 700; a series too short for three must fall nearly all the way.
    """
    n = len(values)
    deviation = math.sqrt(n * (n - 1) * (2 * n + 5) / 18) or 1.0
    balance = sum(
        (later > earlier) - (later < earlier)
        for index, earlier in enumerate(values)
        for later in values[index + 1 :]
    )
    most = n * (n - 1) / 2 / deviation
    return balance / deviation, min(_CERTAIN, _NEARLY_ALL * most)


def falls_at_once(values: Sequence[float]) -> bool:
    """Whether each of the first few is above all of the last quarter, beyond chance.

    A loss that falls in a few steps and stays there has no trend over the whole series. By
    chance, k values are above q others once in `comb(k + q, k)` times.
    """
    quarter = len(values) // 4
    few = next((k for k in range(1, len(values)) if math.comb(k + quarter, k) >= _ODDS), None)
    if not quarter or few is None or few + quarter > len(values):
        return False
    return min(values[:few]) > max(values[-quarter:])


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
    order=2,
)
