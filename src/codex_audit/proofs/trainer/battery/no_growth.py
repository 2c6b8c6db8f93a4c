"""Memory, tensors, open files and threads do not grow step after step."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from codex_audit.proofs.trainer.runs import Faults
from codex_audit.proofs.trainer.trial import Seen, Skip, TrainerProof

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from codex_audit.proofs.trainer.runs import Result, Run
    from codex_audit.proofs.trainer.trace import Step
    from codex_audit.proofs.trainer.trial import Measured, Trial

_WARM, _WINDOWS, _EVERY = 20, 4, 10
_LEAST, _APART = 60, 3
_RECUR = 8  # batches: what a data set keeps of its samples is all there once it is warm
_BYTES = 4096  # a step: a list of losses takes less, a graph or a batch that is kept takes more
_THINGS = 0.2  # a step: one every evaluation or epoch of five steps


def runs(trial: Trial) -> dict[str, Run]:
    """A longer run in which what is alive is counted, step after step, once it is warm."""
    counted = max(_LEAST, 2 * trial.steps)
    until = _WARM + counted
    count_at = tuple(range(_WARM + 1, until + 1, _APART))
    knobs = {"evaluate_every": _EVERY} if "evaluate_every" in trial.subject.knobs else {}
    run = trial.run(until=until, horizon=until, faults=Faults(count_at=count_at, recur=_RECUR))
    return {"counted": run.with_knobs(**knobs)}


def judge(trial: Trial, results: Mapping[str, Result]) -> Seen | Skip:
    """Hold the least of each quarter against that of the one before.

    What comes and goes within an epoch or an evaluation leaves the least as it was. A leak
    raises it in each quarter.
    """
    del trial
    result = results["counted"]
    if not result.completed:
        return Skip(f"not judged: the longer run {result.ending}")
    steps = [step for step in result.trace.steps if step.tensors is not None]
    made = len(result.trace.steps)
    if made < _WARM + _LEAST:
        return Skip(f"not judged: {made} steps were made, and {_WARM + _LEAST} are needed")
    measured: Measured = {"steps": made, "counted": len(steps)}
    grown = []
    for name, words, least in _COUNTS:
        rate = _growth([getattr(step, name) for step in steps])
        measured[f"{name}_per_step"] = round(rate, 2)
        if rate >= least:
            grown.append(words.format(rate=rate))
    if grown:
        summary = f"over {made} steps there are more and more: {', '.join(grown)}"
        return Seen(good=False, summary=f"{summary}. {_hint(steps)}", measured=measured)
    return Seen(
        good=True,
        summary=f"over {made} steps neither memory, tensors, open files nor threads grow",
        measured=measured,
    )


_COUNTS = (
    ("heap", "{rate:.0f} bytes of memory a step", _BYTES),
    ("tensor_bytes", "{rate:.0f} bytes of tensors a step", _BYTES),
    ("open_files", "{rate:.2g} open files a step", _THINGS),
    ("threads", "{rate:.2g} threads a step", _THINGS),
)


def _growth(counts: Sequence[int | None]) -> float:
    """How much more a step, if each quarter's least is above that of the one before; else 0."""
    known = [count for count in counts if count is not None]
    size = len(known) // _WINDOWS
    if not size:
        return 0.0
    least = [min(known[n * size : (n + 1) * size]) for n in range(_WINDOWS)]
    rises = all(before < after for before, after in pairwise(least))
    return (least[-1] - least[0]) / (_APART * size * (_WINDOWS - 1)) if rises else 0.0


def _hint(steps: Sequence[Step]) -> str:
    """Where to look: at tensors that Python holds, or at a graph that it does not see."""
    tensors = _growth([step.tensors for step in steps])
    if tensors:
        return (
            f"Python holds {tensors:.2g} tensors more after each step: something collects losses "
            "or outputs; keep numbers (`loss.item()`) or `detach()` what is kept"
        )
    things = ([step.open_files for step in steps], [step.threads for step in steps])
    # An open file or a thread has a buffer of its own, which is why memory grows as well.
    alone = all(_growth(counts) < _THINGS for counts in things)
    if alone and _growth([step.heap for step in steps]) >= _BYTES:
        return (
            "Python holds no more tensors than before: a loss that is summed up with its graph "
            "(`total += loss`), or a cache outside Python; add `loss.item()` instead"
        )
    return "close what each step, evaluation or epoch opens, and end the workers that it starts"


PROOF = TrainerProof(
    id="no_growth",
    claim="Memory, open files and threads do not grow from step to step",
    why="A leak of a little a step ends a run of days with 'out of memory', far from its cause.",
    catches=("`total += loss` with its graph", "a file opened each step", "workers never ended"),
    remedy="keep numbers instead of tensors, and close what is opened",
    runs=runs,
    judge=judge,
    order=44,
)
