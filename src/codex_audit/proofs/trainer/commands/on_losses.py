"""Proofs on the losses that a command logs: finite, falling, the seed's own, without a network."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import msgspec

from codex_audit.proofs.trainer.battery import loss_falls
from codex_audit.proofs.trainer.commands.compare import entries, side_by_side
from codex_audit.proofs.trainer.commands.judging import (
    OnCommands,
    details_of,
    how_they_differ,
    nothing,
)
from codex_audit.proofs.trainer.runs import OTHER_SEED
from codex_audit.proofs.trainer.trial import Seen, Skip

if TYPE_CHECKING:
    from collections.abc import Mapping

    from codex_audit.proofs.trainer.commands.asked import Asked, Written
    from codex_audit.proofs.trainer.commands.judging import CommandTrial

_FEWEST, _ENOUGH = 4, 20  # that of fewer nothing speaks for a fall says nothing against one


def _finite(trial: CommandTrial, results: Mapping[str, Written]) -> Seen | Skip:
    del results
    whole = trial.whole
    bad = next((n for n, each in enumerate(whole.losses, 1) if not math.isfinite(each.loss)), None)
    if bad is not None:
        logged = whole.losses[bad - 1]
        where = f"at {logged.name}" if logged.name else f"the {bad}th that it logs"
        return Seen(
            good=False, summary=f"the loss is {logged.loss} ({where})", measured={"logged": bad}
        )
    tensors = 0
    for each in whole.opened:
        name = next((name for name, bits in each.tensors.items() if not bits.finite), None)
        if name is not None:
            told = " though every logged loss is finite" if whole.losses else ""
            return Seen(good=False, summary=f"{each.path}: `{name}` holds NaN or infinity{told}")
        tensors += len(each.tensors)
    if not whole.losses and not tensors:
        return Skip("no loss is logged and no checkpoint could be read")
    return Seen(
        good=True,
        summary=f"{len(whole.losses)} logged losses and {tensors} tensors of its checkpoints are "
        "finite",
        measured={"losses": len(whole.losses), "tensors": tensors},
    )


def _falls(trial: CommandTrial, results: Mapping[str, Written]) -> Seen | Skip:
    del results
    losses = trial.whole.losses
    if len(losses) < _FEWEST:
        more = trial.whole.ran.overwritten
        told = f" ({more} more are overwritten by others of the same `step`)" if more else ""
        return Skip(f"{len(losses)} losses are logged, too few to show a trend{told}")
    fall = loss_falls.fall_of([each.loss for each in losses])
    if fall.none and len(losses) < _ENOUGH:
        words = f"not judged: {fall.words}, of {len(losses)} losses; raise trainer.steps"
        return Skip(f"{words} in the settings")
    return loss_falls.told(fall)


def _same_seed(trial: CommandTrial, results: Mapping[str, Written]) -> Seen | Skip:
    del results
    again = trial.again
    if not again.good:
        return Seen(
            good=False, summary=f"the second run ended with {again.how_ended}", method="factory"
        )
    words = how_they_differ(trial)
    found = entries(trial.whole, again)
    if words:
        fixed = trial.plan.command.takes("seed")
        seeded = (
            "seed what draws it" if fixed else "the command has no {seed}, and sets none itself"
        )
        return Seen(
            good=False,
            summary=f"two runs with one seed differ: {words}; {seeded}",
            method="factory",
            details=details_of(
                side_by_side(trial.whole.losses, again.losses), found, words, seeded
            ),
        )
    if not trial.whole.losses and not found.files:
        return Skip(f"no loss is logged and {found.why}")
    own = [*found.leaves, *found.generators]
    more = f" (not compared: {', '.join(own[:3])})" if own else ""
    what = f"{len(trial.whole.losses)} losses as logged"
    what += f" and {', '.join(found.files[:3])} to the bit" if found.files else ""
    return Seen(
        good=True,
        summary=f"two runs with one seed agree: {what}{more}",
        method="factory",
        measured={"losses_compared": len(again.losses), "files_compared": len(found.files)},
    )


def _other_seed_runs(trial: CommandTrial) -> Mapping[str, Asked] | Skip:
    if not trial.plan.command.takes("seed"):
        return Skip("the command has no {seed}")
    return {"other": msgspec.structs.replace(trial.shorter.asked, seed=OTHER_SEED)}


def _other_seed(trial: CommandTrial, results: Mapping[str, Written]) -> Seen | Skip:
    if not trial.repeats:
        return Skip("not judged: one seed already gives two runs")
    one, other = trial.shorter, results["other"]
    if not (one.good and other.good):
        return Skip(f"not judged: {(other if one.good else one).how_ended}")
    aligned = side_by_side(one.losses, other.losses)
    found = entries(one, other)
    if aligned.different:
        words = f"another seed gives other losses from {aligned.different[0].step}"
        return Seen(good=True, summary=words, method="factory")
    if found.tensor is not None:
        words = f"another seed gives another checkpoint (`{found.tensor.name}`)"
        return Seen(good=True, summary=words, method="factory")
    if not aligned.rows and not found.files:
        return Skip("nothing that it writes could be compared")
    words = f"another seed gives the same {len(aligned.rows)} losses: the seed is ignored"
    return Seen(good=False, summary=words, method="factory")


def _offline_runs(trial: CommandTrial) -> Mapping[str, Asked] | Skip:
    return {"offline": msgspec.structs.replace(trial.shorter.asked, offline=True)}


def _offline(trial: CommandTrial, results: Mapping[str, Written]) -> Seen | Skip:
    one, offline = trial.shorter, results["offline"]
    if offline.ran.problem:
        return Skip(offline.ran.problem)
    if not offline.good:
        return Seen(
            good=False, summary=f"without a network the command ends with {offline.how_ended}"
        )
    aligned = side_by_side(one.losses, offline.losses)
    if trial.repeats and aligned.different:
        row = aligned.different[0]
        words = f"without a network {row.step} has the loss {row.other:g} instead of {row.one:g}"
        return Seen(good=False, summary=words)
    return Seen(
        good=True,
        summary=f"without a network it runs to its end and logs {len(offline.losses)} losses",
    )


PROOFS = {
    "loss_finite": OnCommands(nothing, _finite),
    "loss_falls": OnCommands(nothing, _falls),
    "same_seed_same_bits": OnCommands(nothing, _same_seed),
    "different_seed_differs": OnCommands(_other_seed_runs, _other_seed),
    "no_network": OnCommands(_offline_runs, _offline),
}
