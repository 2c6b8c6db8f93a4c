"""Proofs on the checkpoints that a command writes: whole, kept, and safe to load."""

from __future__ import annotations

import resource
from typing import TYPE_CHECKING

import msgspec

from codex_audit.proofs.trainer.commands.causes import Before, resumed
from codex_audit.proofs.trainer.commands.judging import OnCommands, nothing
from codex_audit.proofs.trainer.commands.on_resumes import (
    cannot_resume,
    losses_done,
    lost_more,
    pairs,
    stops,
)
from codex_audit.proofs.trainer.trial import Seen, Skip

if TYPE_CHECKING:
    from collections.abc import Mapping

    from codex_audit.proofs.trainer.commands.asked import Asked, Written
    from codex_audit.proofs.trainer.commands.judging import CommandTrial

_CONTROL = "control"
_PARTS, _THOROUGH_PARTS = (0.5,), (0.1, 0.5, 0.9)


def _crash_runs(trial: CommandTrial) -> Mapping[str, Asked] | Skip:
    lacking = cannot_resume(trial)
    if lacking is not None:
        return lacking
    if not hasattr(resource, "prlimit"):
        return Skip("this system cannot limit the files of a process that runs")
    several = [stop for stop in stops(trial) if stop.version < len(trial.whole.ran.versions)]
    if not several:
        return Skip("it writes no second checkpoint while it is watched")
    found: dict[str, Asked] = {}
    plain = msgspec.structs.replace(trial.asked, stop=several[0])
    found["before"] = plain
    found[_CONTROL] = trial.resume_of(plain)
    for number, part in enumerate(_THOROUGH_PARTS if trial.thorough else _PARTS, 1):
        stop = msgspec.structs.replace(several[0], full_at=part)
        source = msgspec.structs.replace(trial.asked, stop=stop)
        found[f"interrupted {number}"] = source
        found[f"resumed {number}"] = trial.resume_of(source)
    return found


def _crash(trial: CommandTrial, results: Mapping[str, Written]) -> Seen | Skip:
    control, before = results[_CONTROL], results["before"]
    if not control.good or lost_more(trial, before, control):
        return Skip("not judged: it does not go on after a plain kill either (resume_bit_exact)")
    plain = resumed(Before(trial.whole, trial.again, before, losses_done(before)), control)
    placed = all(each.place is not None for each in trial.whole.losses)
    exact = True
    judged = 0
    for _, source, result in pairs(trial, results):
        if not source.ran.full:
            continue
        judged += 1
        half = [each for each in source.opened if each.broken]
        left = f"; {half[0].path} is half-written ({half[0].broken})" if half else ""
        where = "ended in the middle of writing a checkpoint"
        remedy = "Write to another name, flush, and rename it when it is whole"
        if half and any(each.kind and not each.broken for each in source.opened):
            left += ", and an older one beside it is whole"
        if not source.opened:
            left = "; no checkpoint was left"
            remedy = "Delete the old one only when the new one is whole"
        if not result.good:
            return Seen(
                good=False,
                summary=f"{where}: `resume` ended with {result.how_ended}{left}. {remedy}",
                method="save",
            )
        lost = lost_more(trial, source, result)
        if lost:
            return Seen(
                good=False,
                summary=f"{where}: more is lost than the steps since the last checkpoint: "
                f"{lost}{left}",
                method="save",
            )
        seen = resumed(Before(trial.whole, trial.again, source, losses_done(source)), result)
        row = next(iter(seen.aligned.different), None)
        if seen.problem and row and trial.repeats and not plain.problem and placed:
            return Seen(
                good=False,
                summary=f"{where}: {row.step}: the loss is {row.other:g} instead of {row.one:g},"
                " though after a plain kill all agree: parts of two checkpoints come together, such"
                f" as a count and the weights of another save{left}. Write all into one file, or"
                " name the set last",
                method="save",
            )
        exact = exact and not seen.problem
    if not judged:
        return Skip("no checkpoint could be cut off in the middle of its writing")
    told = "the same losses and checkpoints" if exact else "from the last whole checkpoint"
    return Seen(
        good=True,
        summary=f"ended {judged} times in the middle of writing a checkpoint, it went on: {told}",
        measured={"crashes": judged},
        method="save",
    )


def _retention(trial: CommandTrial, results: Mapping[str, Written]) -> Seen | Skip:
    del results
    if not trial.plan.checkpoints:
        return Skip("the settings do not say where its `checkpoints` are")
    for each in (trial.whole, trial.again):
        if each.ran.emptied:
            return Seen(
                good=False,
                summary="there was a moment without any checkpoint after the first was written: "
                "the old one is deleted before the new one is whole",
                method="save",
            )
    opened = trial.whole.opened
    newest = max(opened, key=lambda each: each.modified_ns)
    if newest.broken and trial.whole.ran.ended and not any(x.broken for x in trial.again.opened):
        return Skip(f"{newest.path} was being written when the trial ended the run")
    if newest.broken:
        words = f"{newest.path}, the last checkpoint, cannot be read: {newest.broken}"
        return Seen(good=False, summary=words, method="save")
    if not newest.kind:
        return Skip(f"{newest.path} is in no format that can be read here")
    return Seen(
        good=True,
        summary=f"from the first on there always was a checkpoint; at the end {len(opened)} "
        f"files, of which {newest.path} is the last and can be read",
        measured={"files": len(opened), "writings": len(trial.whole.ran.versions)},
        method="save",
    )


def _weights_only(trial: CommandTrial, results: Mapping[str, Written]) -> Seen | Skip:
    del results
    pickled = [each for each in trial.whole.opened if each.kind == "torch" or each.refused]
    refused = [each for each in pickled if each.refused]
    if not pickled:
        return Skip("no checkpoint is a file of torch that could be opened here")
    if refused:
        words = f"{refused[0].path} is refused by weights_only=True: {refused[0].refused}"
        return Seen(good=False, summary=words, method="save", measured={"refused": len(refused)})
    words = f"{len(pickled)} files load with weights_only=True"
    return Seen(good=True, summary=words, method="save", measured={"files": len(pickled)})


PROOFS = {
    "crash_safe_save": OnCommands(_crash_runs, _crash),
    "retention": OnCommands(nothing, _retention),
    "weights_only_loads": OnCommands(nothing, _weights_only),
}
