"""What a trial comes to: each proof that was asked for is judged by the runs that it got."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from codex_audit.failure import Failure
from codex_audit.outcome import Check, Verdict
from codex_audit.proofs.trainer.runs import Subject
from codex_audit.proofs.trainer.trial import Seen, Skip, check_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from codex_audit.proofs.trainer.trial import Broken, TrainerProof, Trial

Asked = TypeVar("Asked")
Made = TypeVar("Made")


class Tried(msgspec.Struct, frozen=True):
    """What a trial came to.

    Attributes:
        checks: one for each proof that was tried, before declared limits.
        failures: (which run, what ended it) where something that no proof judges went wrong.
        subject: None if not even the straight run came to its end.
        details: proof -> rows for the report.
        runs: how many there were.
    """

    checks: tuple[Check, ...] = ()
    failures: tuple[tuple[str, Failure], ...] = ()
    subject: Subject | None = None
    details: dict[str, Any] = {}
    runs: int = 0


def runs_of(asked: Mapping[str, Mapping[str, Asked] | Skip]) -> list[Asked]:
    """All runs that proofs ask for."""
    return [run for runs in asked.values() if not isinstance(runs, Skip) for run in runs.values()]


def judged(
    trial: Trial,
    proofs: Mapping[str, TrainerProof],
    asked: Mapping[str, Mapping[str, Asked] | Skip],
    made: Mapping[Asked, Made],
    judge: Callable[[str, Mapping[str, Made]], Seen | Skip | Broken],
) -> tuple[tuple[Check, ...], dict[str, Any]]:
    """The checks of all proofs, in their order, and proof -> rows for the report.

    Args:
        trial: whose subject is cited as evidence.
        proofs: name -> proof.
        asked: name -> the runs that it asked for, by its own names for them.
        made: the runs that were made.
        judge: name and results -> what is seen.
    """
    checks, details = [], {}
    for name, proof in proofs.items():
        runs = asked[name]
        if isinstance(runs, Skip):
            checks.append(check_of(proof, trial, runs))
            continue
        missing = [title for title, run in runs.items() if run not in made]
        if missing:
            message = f"not judged: the run {missing[0]!r} was not made in time"
            checks.append(Check(name, Verdict.ERROR, message))
            continue
        seen = judge(name, {title: made[run] for title, run in runs.items()})
        checks.append(check_of(proof, trial, seen))
        if isinstance(seen, Seen) and seen.details:
            details[name] = seen.details
    return tuple(checks), details
