"""The run in which one batch comes again and again, with nothing drawn at random."""

from __future__ import annotations

from typing import TYPE_CHECKING

from codex_audit.proofs.trainer.runs import Faults

if TYPE_CHECKING:
    from codex_audit.proofs.trainer.runs import Result, Run
    from codex_audit.proofs.trainer.trace import Trace
    from codex_audit.proofs.trainer.trial import Trial


# A longer run, before a trainer is accused: so many times the steps, but no more than so many.
_TIMES, _MOST_MORE = 4, 240


def longer(trial: Trial) -> int:
    """The steps of a longer run."""
    return trial.steps + min((_TIMES - 1) * trial.steps, _MOST_MORE)


def run(trial: Trial, steps: int | None = None) -> Run:
    """The straight run, where every loader repeats its first batch and dropout is still."""
    until = steps or trial.steps
    asked = trial.run(until=until, horizon=until, faults=Faults(still=True, repeat_batch=True))
    knobs: dict[str, bool | int] = {"dropout": False, "one_batch": True}
    return asked.with_knobs(**{k: v for k, v in knobs.items() if k in trial.subject.knobs})


def repeats(trial: Trial, result: Result) -> bool:
    """Whether it was one batch, as far as can be seen or was asked for."""
    return "one_batch" in trial.subject.knobs or _repeated(result.trace)


def _repeated(trace: Trace) -> bool:
    """Whether each backward pass had the samples of the first."""
    rows = [micro.indices for step in trace.steps for micro in step.micros]
    if rows and rows[0] is not None:
        return all(each == rows[0] for each in rows)
    contents = {micro.content for step in trace.steps for micro in step.micros}
    return len(contents) == 1 and contents != {""}
