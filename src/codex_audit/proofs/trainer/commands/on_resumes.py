"""The proof that a command which is killed and resumed goes on as if never interrupted."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import msgspec

from codex_audit.proofs.trainer.commands.asked import Asked, Stop
from codex_audit.proofs.trainer.commands.causes import Before, Resumed, made_again, resumed
from codex_audit.proofs.trainer.commands.compare import side_by_side
from codex_audit.proofs.trainer.commands.judging import OnCommands, details_of
from codex_audit.proofs.trainer.trial import Seen, Skip

if TYPE_CHECKING:
    from collections.abc import Mapping

    from codex_audit.proofs.trainer.commands.asked import Written
    from codex_audit.proofs.trainer.commands.judging import CommandTrial

_POINTS, _THOROUGH_POINTS = 2, 4
_QUIET_PART = 0.3


def stops(trial: CommandTrial) -> tuple[Stop, ...]:
    """When to kill it: after a checkpoint was written and it trained on, early and late."""
    ran = trial.whole.ran
    if not ran.versions:
        return ()
    if not ran.streams or (ran.overwritten and len(ran.losses) <= 1):
        return _quiet_stops(trial)
    ends = [*(version.before for version in ran.versions[1:]), len(ran.losses)]
    found = []
    for number, (version, end) in enumerate(zip(ran.versions, ends, strict=True), 1):
        room = end - version.losses
        if room > 0:
            found.append(Stop(number, losses=max(1, room // 2)))
    return _spread(found, _THOROUGH_POINTS if trial.thorough else _POINTS)


def _quiet_stops(trial: CommandTrial) -> tuple[Stop, ...]:
    """Where losses are seen only at the end: between two changes of its checkpoints."""
    versions = trial.whole.ran.versions
    gaps = [b.seconds - a.seconds for a, b in itertools.pairwise(versions)]
    found = [Stop(number, quiet=_QUIET_PART * gap) for number, gap in enumerate(gaps, 1)]
    return _spread(found, 1)


def _spread(found: list[Stop], most: int) -> tuple[Stop, ...]:
    if len(found) <= most:
        return tuple(found)
    places = {round(number * (len(found) - 1) / max(1, most)) for number in range(most)}
    return tuple(found[place] for place in sorted(places))


def _resume_runs(trial: CommandTrial) -> Mapping[str, Asked] | Skip:
    lacking = cannot_resume(trial)
    if lacking is not None:
        return lacking
    found: dict[str, Asked] = {}
    chosen = stops(trial) if trial.repeats else stops(trial)[-1:]
    for number, stop in enumerate(chosen, 1):
        source = msgspec.structs.replace(trial.asked, stop=stop)
        found[f"interrupted {number}"] = source
        found[f"resumed {number}"] = trial.resume_of(source)
    if trial.short is not None and not trial.short.ran.ended and (trial.repeats or not found):
        found["resumed"] = trial.resume_of(trial.short.asked)
    return found or Skip(
        "no checkpoint appears before its end, and the command takes no {steps}: there is no "
        "place to interrupt it"
    )


def cannot_resume(trial: CommandTrial) -> Skip | None:
    """Why no resume of this command can be judged, if so."""
    if trial.plan.resume is None:
        return Skip("the settings name no `resume` command")
    if not trial.plan.checkpoints:
        return Skip("the settings do not say where its `checkpoints` are")
    return None


def pairs(
    trial: CommandTrial, results: Mapping[str, Written]
) -> list[tuple[str, Written, Written]]:
    """Where it was interrupted, the interrupted run, and the resumed one; the latest first.

    The more was learnt before, the more a first loss after it tells.
    """
    pairs = []
    for name, result in results.items():
        if not name.startswith("resumed"):
            continue
        number = name.removeprefix("resumed").strip()
        source = results[f"interrupted {number}"] if number else trial.short
        if source is not None:
            pairs.append((_where(source), source, result))
    return sorted(pairs, key=lambda pair: (pair[1].ran.killed, len(pair[1].losses)), reverse=True)


def _where(source: Written) -> str:
    losses = source.losses
    if not source.ran.killed:
        return f"run to its end at {{steps}} = {source.asked.steps} and resumed"
    last = losses[-1] if losses else None
    step = f" at {last.name}" if last and last.name else f" at loss {len(losses)}"
    return f"killed{step if losses else ''} and resumed"


def losses_done(source: Written) -> int:
    """The losses that an interrupted run had certainly logged before its last whole checkpoint."""
    versions = source.ran.versions
    stop = source.asked.stop
    if not versions:
        return 0
    place = min(stop.version, len(versions)) - 1 if stop and stop.full_at is not None else -1
    return versions[place].before


def _resume(trial: CommandTrial, results: Mapping[str, Written]) -> Seen | Skip:
    good: list[str] = []
    notes: list[str] = []
    compared = 0
    for where, source, result in pairs(trial, results):
        if source.asked.stop is not None and not source.ran.killed:
            notes.append(f"a run ended before it could be killed ({source.how_ended})")
            continue
        if source.asked.stop is None and _planned_otherwise(trial, source):
            notes.append("its course depends on {steps}, so that a run of half of them is no half")
            continue
        if not source.opened:  # whether one should be there is for retention to say
            notes.append(f"no checkpoint lay there when it was {where}")
            continue
        if not result.good:
            return _failed(where, f"`resume` ended with {result.how_ended}")
        if not trial.repeats:
            lost = lost_more(trial, source, result)
            if lost:
                return _failed(where, lost)
            notes.append(
                "two runs with one seed already differ (same_seed_same_bits)"
                + f"; {where}, it went on at its step" * bool(_told(result))
            )
            continue
        seen = resumed(Before(trial.whole, trial.again, source, losses_done(source)), result)
        if seen.problem:
            return _failed(where, seen.problem, seen)
        if not seen.compared and not seen.found.files:
            notes.append("; ".join(seen.notes))
            continue
        compared += seen.compared
        files = f" and {', '.join(seen.found.files[:3])} to the bit" if seen.found.files else ""
        good.append(f"{where}: {seen.compared} losses as logged{files}")
        notes += seen.notes
    told = f" ({'; '.join(dict.fromkeys(notes))})" if notes else ""
    if not good:
        return Skip(f"not judged: {'; '.join(dict.fromkeys(notes))}")
    return Seen(
        good=True,
        summary=f"equal to the run that was not interrupted: {'; '.join(good)}{told}",
        measured={"resumes": len(good), "losses_compared": compared},
        method="load",
    )


def lost_more(trial: CommandTrial, source: Written, result: Written) -> str:
    """What is lost beyond the steps since the last checkpoint, in words."""
    seen = resumed(Before(trial.whole, trial.again, source, losses_done(source)), result)
    aligned = seen.aligned
    if not aligned.anew and not aligned.again:
        return ""
    if trial.repeats:
        return seen.problem
    first = result.losses[0].name or "the beginning"
    if aligned.anew:
        return f"it logged again from {first}. Likely cause: {seen.cause}"
    return f"{made_again(aligned)}. Save the number of the step to go on with"


def _told(result: Written) -> bool:
    return bool(result.losses) and result.losses[0].place is not None


def _failed(where: str, problem: str, seen: Resumed | None = None) -> Seen:
    cause = f". Likely cause: {seen.cause}" if seen and seen.cause else ""
    details = details_of(seen.aligned, seen.found, problem, seen.cause) if seen else {}
    return Seen(
        good=False,
        summary=f"{where}: {problem}{cause}",
        measured={"first_different_step": details.get("step")},
        method="load",
        details=details,
    )


def _planned_otherwise(trial: CommandTrial, short: Written) -> bool:
    """Whether a run of fewer steps is not the beginning of the longer one."""
    aligned = side_by_side(short.losses, trial.whole.losses)
    return bool(aligned.different) or not aligned.rows


PROOFS = {"resume_bit_exact": OnCommands(_resume_runs, _resume)}
