"""Killed while it saves, a run resumes from a complete save."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from codex_audit.proofs.trainer.runs import Faults
from codex_audit.proofs.trainer.trial import Seen, Skip, TrainerProof

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from codex_audit.proofs.trainer.runs import Result, Run
    from codex_audit.proofs.trainer.trace import State
    from codex_audit.proofs.trainer.trial import Measured, Trial

_ONE, _TWO, _PAST = 2, 3, 2
_FIRST, _BOTH, _RESUMED, _AGAIN = "one save", "two saves", ", resumed", "resumed again"
_CHANGES = ("rename", "remove", "rmdir", "link", "symlink", "truncate")
_FILES, _OPERATIONS = 3, 6
_INSTANTS, _MORE_INSTANTS = (0.25, 0.75, 2.0), tuple(n / 10 for n in range(1, 30, 2))
_BEGIN, _AFTER = "in the first save", "a step after the save had returned"

Mark = tuple[object, ...]


def runs(trial: Trial) -> dict[str, Run] | Skip:
    """A save, and a second one into the same place, both complete; and a resume from each."""
    if trial.steps <= _TWO:
        return Skip(f"a trial of {trial.steps} steps is too short")
    one, both = _saves(trial, _ONE), _saves(trial, _ONE, _TWO)
    resumed = _resumed(trial, {_FIRST: one, _BOTH: both})
    again = msgspec.structs.replace(resumed[_BOTH + _RESUMED], number=2)
    return {_FIRST: one, _BOTH: both, **resumed, _AGAIN: again}


def then(trial: Trial, results: Mapping[str, Result]) -> dict[str, Run]:
    """The same killed at many points of the second save, and in between, and a resume from each."""
    both, seen = results[_BOTH], results[_BOTH + _RESUMED]
    if not both.saves or not seen.files:
        return {}
    save = both.saves[-1]
    killed = {}
    sizes = sorted({file.size for file in seen.files if file.size})
    for size in _sizes(sizes, thorough=trial.thorough):
        killed[f"as it wrote byte {size + 1} of a file"] = _saves(
            trial, _ONE, _TWO, break_save=(2, size)
        )
    for number in _chosen(save.operations, thorough=trial.thorough):
        words = f"right before `{save.operations[number - 1]}`"
        killed[words] = _saves(trial, _ONE, _TWO, halt_save=(2, number))
    for share in _MORE_INSTANTS if trial.thorough else _INSTANTS:
        words = f"{share:g} times as long after it began as a save takes"
        killed[words] = _saves(trial, _ONE, _TWO, stop_save=(2, share * save.seconds))
    killed[_AFTER] = _saves(trial, _ONE, faults=Faults(kill_at=(_TWO, 0)))
    half = sizes[-1] // 2 if sizes else 0
    killed[_BEGIN] = _saves(trial, _ONE, break_save=(1, half))
    return killed | _resumed(trial, killed)


def _saves(trial: Trial, *saves: int, **changes: object) -> Run:
    until = min(trial.steps, _TWO + _PAST)
    return trial.run(saves=saves, until=until, apart=False, **changes)


def _resumed(trial: Trial, sources: Mapping[str, Run]) -> dict[str, Run]:
    until = min(trial.steps, _TWO + _PAST)
    return {name + _RESUMED: trial.run(source=run, until=until) for name, run in sources.items()}


def _sizes(sizes: Sequence[int], *, thorough: bool) -> list[int]:
    """Where a file is cut: at its first byte, in the middle, before its last, and between files."""
    if not sizes:
        return []
    whole = sizes[-1]
    between = sizes[:-1] if thorough else _spread(sizes[:-1], _FILES)
    more = {n * whole // 16 for n in range(1, 16)} if thorough else set()
    return sorted({0, *between, whole // 2, whole - 1, *more})


def _chosen(operations: Sequence[str], *, thorough: bool) -> list[int]:
    """Which changes to files are waited for: all, or those that put names in another place."""
    numbers = list(range(1, len(operations) + 1))
    if thorough or len(numbers) <= _OPERATIONS:
        return numbers
    moves = [n for n in numbers if operations[n - 1].split(" ")[0] in _CHANGES]
    return sorted(_spread(moves, _OPERATIONS) if moves else _spread(numbers, _OPERATIONS))


def _spread(items: Sequence[int], most: int) -> list[int]:
    """At most so many of them, the last among them, evenly."""
    if len(items) <= most:
        return list(items)
    return [items[-1 - n * (len(items) - 1) // (most - 1)] for n in range(most)]


def judge(trial: Trial, results: Mapping[str, Result]) -> Seen | Skip:
    """Each resume after a kill must begin as one of those after complete saves did."""
    del trial
    for name in (_FIRST, _BOTH):
        for result in (results[name], results[name + _RESUMED]):
            if not result.completed or not result.trace.steps:
                return Skip(f"not judged: a run with {name} and no kill {result.ending}")
    both = results[_BOTH]
    marks = {_ONE: _mark(results[_FIRST + _RESUMED]), _TWO: _mark(results[_BOTH + _RESUMED])}
    if marks[_ONE] == marks[_TWO]:
        return Skip("not judged: what was loaded cannot be told, for a resume begins alike anyway")
    again = results[_AGAIN]
    if not again.trace.steps or _mark(again) != marks[_TWO]:
        return Skip("not judged: two resumes from one save differ")
    if _ends(results[_FIRST], _ONE) != _ends(results[_BOTH], _ONE):
        return Skip("not judged: two runs of one seed differ")
    kills = [name for name in results if name + _RESUMED in results]
    kills = [name for name in kills if name not in {_FIRST, _BOTH}]
    problems = {
        name: problem
        for name in kills
        if (problem := _problem(name, results[name], results[name + _RESUMED], marks, results))
    }
    dead = sum(results[name].exit_code < 0 for name in kills)
    measured: Measured = {"kills": dead, "resumes_gone_wrong": len(problems)}
    if problems:
        name, problem = next(iter(problems.items()))
        others = len(problems) - 1
        more = f" (and at {others} other points of {dead})" if others else ""
        of = "" if name in {_BEGIN, _AFTER} else f"in the save after step {_TWO}, "
        return Seen(
            good=False,
            summary=f"killed {of}{name}{more}: {problem}",
            measured=measured,
            method="save",
        )
    return Seen(
        good=True,
        summary=(
            f"killed {dead} times in a save or after it (inside a file, between files, before names"
            " change, at instants), each resume took the last complete save, whole"
            f"{_unsynced(both)}"
        ),
        measured=measured,
        method="save",
    )


def _unsynced(result: Result) -> str:
    """What a cut of the power may show, and no kill does: content that is not on the disk yet."""
    names = [name for save in result.saves for name in save.unsynced]
    if not names:
        return ""
    return (
        f"; `{names[0]}` got its name without an os.fsync before it: a cut of the power, unlike a"
        " kill, may leave it empty"
    )


def _problem(
    name: str,
    killed: Result,
    resumed: Result,
    marks: Mapping[int, Mark],
    results: Mapping[str, Result],
) -> str:
    """What is wrong with a resume; "" if nothing."""
    begins = results[_FIRST].trace.steps[0].before
    if name == _BEGIN:
        if not resumed.trace.steps or _parts(resumed.trace.steps[0].before)[0] == _parts(begins)[0]:
            return ""  # refused, or begun anew
        return "" if _mark(resumed) in marks.values() else "a half-written checkpoint was loaded"
    background = any(save.late for save in results[_BOTH].saves)
    if name == _AFTER and background:
        return ""  # its only save may not have been whole yet
    if not resumed.completed or not resumed.trace.steps:
        renames = any("rename" in op for save in results[_BOTH].saves for op in save.operations)
        remedy = (
            "what is half written is taken for the newest: write under a name that no resume looks"
            " for, then rename"
            if renames
            else "write to another name, then rename over the old one"
        )
        lost = f"the complete save after step {_ONE} is lost"
        return f"the resume {resumed.ending}, and {lost}; {remedy}"
    found = _mark(resumed)
    # A writer in the background may be at work yet when a save has returned.
    if found == marks[_ONE]:
        if any(save.step == _TWO for save in killed.saves) and not background:
            return f"the resume went back to step {_ONE}, though the later save had returned"
        return ""
    if found == marks[_TWO]:
        return ""
    before = resumed.trace.steps[0].before
    if _parts(before)[0] == _parts(begins)[0]:
        return (
            f"the resume began anew, and the complete save after step {_ONE} is lost; keep it "
            "until the next is whole"
        )
    return f"what was loaded is of no complete save: {_mixture(before, results)}"


def _mixture(before: State, results: Mapping[str, Result]) -> str:
    titles = ("the weights are", "the buffers are", "the optimizer's state is", "other state is")
    wanted = {
        step: _parts(results[name + _RESUMED].trace.steps[0].before)
        for step, name in ((_ONE, _FIRST), (_TWO, _BOTH))
    }
    told = []
    for place, (title, part) in enumerate(zip(titles, _parts(before), strict=True)):
        of = [step for step in wanted if wanted[step][place] == part]
        if len(of) == 1:
            told.append(f"{title} of step {of[0]}")
        elif not of:
            told.append(f"{title} of neither step")
    words = ", ".join(told) or "only the number of steps left is another"
    return f"{words}; put all that belongs together under one name at once"


def _mark(result: Result) -> Mark:
    """With what a run began, and how much was left to do."""
    return (len(result.trace.steps), *_parts(result.trace.steps[0].before))


def _parts(state: State) -> tuple[frozenset[tuple[str, str]], ...]:
    tensors = (state.parameters, state.buffers, state.optimizer, state.extra)
    return tuple(frozenset((k, bits.sha256) for k, bits in each.items()) for each in tensors)


def _ends(result: Result, steps: int) -> Iterable[object]:
    return [_parts(step.after) for step in result.trace.steps[:steps]]


PROOF = TrainerProof(
    id="crash_safe_save",
    claim="A run that is killed while it saves resumes from the last complete save",
    why=(
        "Preemption and full disks strike in the middle of a save; a checkpoint that is written "
        "over the last good one then loses the run."
    ),
    catches=(
        "a checkpoint written in place, or half-written under its final name (Lightning 2.3.3)",
        "the old one deleted before the new one is whole",
        "weights and optimizer in two files that a kill parts",
    ),
    remedy="write aside, fsync, then rename; `codex_ml.checkpoint.CheckpointStore` does",
    runs=runs,
    judge=judge,
    then=then,
    order=20,
)
