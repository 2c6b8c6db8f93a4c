"""Checkpoints are kept as promised: the last is there, the best too, and never none."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from codex_audit.proofs.trainer import resuming
from codex_audit.proofs.trainer.runs import Faults
from codex_audit.proofs.trainer.trial import Seen, Skip, TrainerProof

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from codex_audit.proofs.trainer.runs import Knob, Result, Run
    from codex_audit.proofs.trainer.trace import State
    from codex_audit.proofs.trainer.trial import Measured, Trial

_KEEP = 2
_LONG, _SHORT = (2, 5, 8, 9, 10), (1, 2)  # names that are compared as texts put 10 before 9
_CHOOSES = "protocol"  # only there the subject itself chooses what to resume from
_FURTHER = 2  # steps between saves of the run that goes on


def runs(trial: Trial) -> dict[str, Run] | Skip:
    """Many saves into one place, told as a relative path; a run that goes on there, and another."""
    saves = _saves(trial)
    if saves[-1] + _FURTHER + 1 > trial.steps:
        return Skip(f"a trial of {trial.steps} steps is too short")
    kept = _run(trial, saves, _keeping(trial, _KEEP))
    onward = _onward(trial, kept)
    asked = resuming.runs(trial) | {"kept": kept, "onward": onward, "last": _resumed(trial, onward)}
    if trial.subject.adapter == _CHOOSES:
        asked["copied"] = msgspec.structs.replace(_resumed(trial, kept), copied=True)
    if "keep" in trial.subject.knobs:
        one = _run(trial, saves, _keeping(trial, 1))
        asked["elsewhere"] = _elsewhere(trial, one)
        broken = _onward(trial, one, break_save=(1, 0))
        asked |= {"one": one, "broken": broken, "after broken": _resumed(trial, broken)}
    if {"keep", "keep_best"} <= trial.subject.knobs and "evaluate" in trial.subject.abilities:
        best = _run(trial, saves, _keeping(trial, 1, keep_best=True), worse=True)
        later = _onward(trial, best, worse=True)
        asked |= {"best": best, "from best": _resumed(trial, best)}
        asked |= {"after best": later, "best left": _resumed(trial, later)}
    return asked


def _saves(trial: Trial) -> tuple[int, ...]:
    return _LONG if trial.steps > _LONG[-1] + _FURTHER else _SHORT


def _keeping(trial: Trial, keep: int, *, keep_best: bool = False) -> dict[str, Knob]:
    """Settings; without evaluations there is no best one to be kept besides."""
    asked = {"keep": keep, "keep_best": keep_best, "evaluate_every": None}
    return {name: value for name, value in asked.items() if name in trial.subject.knobs}


def _run(
    trial: Trial, saves: tuple[int, ...], knobs: Mapping[str, Knob], *, worse: bool = False
) -> Run:
    run = trial.run(
        saves=saves,
        until=saves[-1],
        apart=False,
        relative=True,
        evaluate_at=saves if worse else (),
        faults=Faults(worsen_from=saves[len(saves) // 2]) if worse else Faults(),
    )
    return run.with_knobs(**knobs)


def _onward(
    trial: Trial,
    source: Run,
    break_save: tuple[int, int] | None = None,
    *,
    worse: bool = False,
) -> Run:
    """Resumes, and saves once more into the directory that it resumed from."""
    until = source.until + _FURTHER
    run = trial.run(
        source=source, onward=True, saves=(until,), until=until, apart=False, relative=True,
        break_save=break_save, evaluate_at=(until,) if worse else (),
        faults=Faults(worsen_from=0) if worse else Faults(),
    )  # fmt: skip
    return run.with_knobs(**dict(source.knobs))


def _elsewhere(trial: Trial, source: Run) -> Run:
    """Resumes, and saves into a directory of its own."""
    until = source.until + _FURTHER
    run = trial.run(source=source, saves=(until,), until=until, apart=False, relative=True)
    return run.with_knobs(**dict(source.knobs))


def _resumed(trial: Trial, source: Run) -> Run:
    run = trial.run(source=source, until=source.until + 1, relative=True)
    return run.with_knobs(**dict(source.knobs))


def judge(trial: Trial, results: Mapping[str, Result]) -> Seen | Skip:
    """Find the saved steps' weights, wherever they are in the files that are left."""
    saves = _saves(trial)
    kept = results["kept"]
    anyway = [each for each in resuming.resumes(trial, results) if each.result.failure]
    if anyway and not results["onward"].completed:
        return Skip(f"not judged: resumed after step {anyway[0].point}: {anyway[0].problem}")
    if not kept.completed:
        told = f"a run that saves after steps {_list(saves)} into one place {kept.ending}"
        if kept.saves:
            return Seen(
                good=False, summary=told, measured={"saves": len(kept.saves)}, method="save"
            )
        return Skip(f"not judged: {told}")
    states = _states(kept.trace.before, kept)
    begun = _begun_at(results["onward"], states)
    if results["onward"].completed and begun is None:
        return Skip("not judged: no resume has the weights of a save, so none can be told apart")
    measured: Measured = {"saves": len(saves)}
    problem = (
        _newest(trial, results["onward"], saves, begun)
        or _others(results)
        or _count(trial, results, saves, states, measured)
        or _going_on(results, states, saves, measured)
        or _only_one(results, saves)
        or _best(results, saves, measured)
    )
    if problem:
        return Seen(good=False, summary=problem, measured=measured, method="save")
    told = f"after {len(saves)} saves into one place the last one is there and loads"
    told += _copied(results, saves, states)
    if "keep" not in trial.subject.knobs:
        return Skip(f"{told}; the subject has no setting `keep` that could be held to its promise")
    counted = (
        f"; {measured['kept']} are kept where {_KEEP} are asked for" if "kept" in measured else ""
    )
    best = "; the best survives" if measured.get("best_survives") else ""
    going_on = "; a run that goes on there saves beside them"
    return Seen(
        good=True, summary=told + counted + best + going_on, measured=measured, method="save"
    )


def _newest(trial: Trial, onward: Result, saves: tuple[int, ...], begun: int | None) -> str:
    keep = _asked(trial)
    if not onward.completed:
        return f"after saves at steps {_list(saves)}{keep}, the resume {onward.ending}"
    if begun == 0:
        return (
            f"after saves at steps {_list(saves)}{keep} the run begins anew: none of them is left"
        )
    if begun != saves[-1]:
        return (
            f"after saves at steps {_list(saves)}{keep} the run resumes from step {begun}, not "
            f"from the last, {saves[-1]}: it is deleted, or the newest is sought by a name or time "
            "that does not tell"
        )
    return ""


def _copied(
    results: Mapping[str, Result], saves: tuple[int, ...], states: Mapping[int, State]
) -> str:
    """Whether a copy of the directory is resumed from the same checkpoint, whatever its times.

    That is told and fails nothing: where the run goes on in its own directory, times do tell.
    """
    copied = results.get("copied")
    begun = _begun_at(copied, states) if copied is not None and copied.completed else None
    if begun in {saves[-1], None}:
        return ""
    return (
        f" (but of a copy with other times of its files step {begun} would: the newest is sought by"
        " them, and not by the step's number)"
    )


def _count(
    trial: Trial,
    results: Mapping[str, Result],
    saves: tuple[int, ...],
    states: Mapping[int, State],
    measured: Measured,
) -> str:
    """Whether as many are kept as were asked for, where the files can be read."""
    found = [step for step in saves if _holds(results["onward"], states[step])]
    same = len({tuple(sorted(_weights(states[step]).items())) for step in saves}) < len(saves)
    if "keep" not in trial.subject.knobs or saves[-1] not in found or same:
        return ""
    measured["kept"] = len(found)
    no_best = {"keep_best", "evaluate_every"} & trial.subject.knobs
    most = _KEEP if no_best else _KEEP + 1
    if len(found) > most:
        return f"keep={_KEEP} was asked for, and {len(found)} are kept: steps {_list(found)}"
    if len(found) < _KEEP:
        return f"keep={_KEEP} was asked for, and {len(found)} is kept: step {_list(found)}"
    if most == _KEEP and tuple(found) != saves[-_KEEP:]:
        return (
            f"keep={_KEEP} keeps steps {_list(found)} of {_list(saves)}: not the last ones are kept"
        )
    return ""


def _going_on(
    results: Mapping[str, Result],
    states: Mapping[int, State],
    saves: tuple[int, ...],
    measured: Measured,
) -> str:
    """Whether a directory that was used before takes a further save."""
    onward, last = results["onward"], results["last"]
    step = saves[-1] + _FURTHER
    if not last.completed:
        return f"resumed at {saves[-1]} and saved at {step} in that place, the next {last.ending}"
    own = _states(None, onward)
    if _FURTHER not in own or not last.trace.steps:
        return ""
    after = {**states, step: own[_FURTHER]}
    begun = _begun_at(last, after)
    if begun != step:
        where = "anew" if begun in {0, None} else f"at {begun}"
        return (
            f"resumed at {saves[-1]} and saved at {step} in that directory, the next resume begins "
            f"{where}: what a used directory holds is taken for newer, or the save is lost"
        )
    found = [each for each in (*saves, step) if _holds(last, after[each])]
    if "kept" not in measured or step not in found:
        return ""
    if saves[-1] not in found:
        return (
            f"resumed at {saves[-1]} with keep={_KEEP} and saved at {step}, the checkpoint that it "
            "resumed from is deleted"
        )
    if len(found) > max(_KEEP, int(measured["kept"] or 0)):
        return (
            f"resumed at {saves[-1]} with keep={_KEEP} and saved at {step}, {len(found)} are kept "
            f"(steps {_list(found)}): those of the run before are not counted"
        )
    return ""


def _others(results: Mapping[str, Result]) -> str:
    """Whether a run that saves in its own directory leaves the one that it resumed from alone."""
    if "elsewhere" not in results or not results["elsewhere"].gone:
        return ""
    gone = results["elsewhere"].gone
    more = f" and {len(gone) - 1} more files" if len(gone) > 1 else ""
    return (
        f"resumed with keep=1 from another directory and saved in its own, `{gone[0]}`{more} of the"
        " directory that it resumed from is deleted; prune only what lies in the run's own"
    )


def _only_one(results: Mapping[str, Result], saves: tuple[int, ...]) -> str:
    """Whether a kill in the first save of a resumed run leaves the one that it resumed from."""
    if "one" not in results or not results["one"].completed or results["broken"].exit_code >= 0:
        return ""
    after = results["after broken"]
    states = _states(results["one"].trace.before, results["one"])
    begun = _begun_at(after, states)
    if after.completed and begun == saves[-1]:
        return ""
    if saves[-1] in states and _holds(after, states[saves[-1]]):
        return ""  # it is there: that a resume takes the broken one is another proof's to say
    return (
        f"with keep=1, resumed from step {saves[-1]} and killed in its next save, the run cannot "
        "resume: the only checkpoint is deleted before the next one is whole"
    )


def _best(results: Mapping[str, Result], saves: tuple[int, ...], measured: Measured) -> str:
    """Whether the checkpoint of the lowest loss is there though later ones came."""
    if "best" not in results or not results["best"].completed:
        return ""
    best, after = results["best"], results["from best"]
    losses = _losses(best)
    if len(losses) != len(saves):
        return ""
    step = saves[losses.index(min(losses))]
    states = _states(best.trace.before, best)
    if not after.completed:
        return f"with keep=1 and the best kept besides, the resume {after.ending}"
    begun = _begun_at(after, states)
    if begun not in saves and not any(_holds(after, states[each]) for each in saves):
        return (
            "with keep=1, the best kept besides and a directory told as `./out/`, none of the "
            f"saves at steps {_list(saves)} is left when training ends: every checkpoint is "
            "deleted; compare directories by what they are, not by how they are spelled"
        )
    if step == saves[-1] or begun not in saves or not _holds(after, states[begun]):
        return ""
    measured["best_survives"] = _holds(after, states[step])
    if not measured["best_survives"]:
        return (
            f"with keep=1 the checkpoint of step {step}, the best by its evaluation, is deleted "
            "when later ones are saved"
        )
    return _forgotten(results, step, states[step], min(losses))


def _forgotten(results: Mapping[str, Result], step: int, state: State, loss: float) -> str:
    """Whether a resumed run deletes what was the best before it, though its own is worse."""
    best, later, after = (results[name] for name in ("best", "after best", "best left"))
    own, made = _losses(later), later.trace.steps
    saved = later.saves and made and after.completed
    if not saved or min(own, default=loss) <= loss or _names_its_place(best.directory):
        return ""
    if _holds(after, state) or not _holds(after, made[-1].after):
        return ""
    return (
        f"resumed with keep=1 and the best kept besides, the run deletes the checkpoint of step "
        f"{step}, the best so far, for one that is worse: which was the best, and how good, is "
        "not restored; save and load it"
    )


def _losses(result: Result) -> list[float]:
    """What its evaluations told of."""
    return [each.loss for each in result.evaluations if each.loss is not None]


def _names_its_place(directory: str) -> bool:
    """Whether a file tells where it lies, which a copy of the directory is not at."""
    place = Path(directory)
    told = f"{place.name}/".encode()
    return any(told in path.read_bytes() for path in place.rglob("*") if path.is_file())


def _states(before: State | None, result: Result) -> dict[int, State]:
    """Step of a run -> the subject after it; 0 is its beginning."""
    begin = {} if before is None else {0: before}
    return begin | {step.number: step.after for step in result.trace.steps}


def _begun_at(result: Result, states: Mapping[int, State]) -> int | None:
    """After which step a resumed run's first weights were made."""
    if not result.trace.steps:
        return None
    first = _weights(result.trace.steps[0].before)
    return next(
        (step for step in sorted(states, reverse=True) if _weights(states[step]) == first), None
    )


def _weights(state: State) -> dict[str, str]:
    return {name: bits.sha256 for name, bits in state.parameters.items()}


def _holds(result: Result, state: State) -> bool:
    """Whether all weights of a state are in the files that a run found."""
    there: set[str] = set()
    for file in result.files:
        there |= file.tensors
    return there.issuperset(_weights(state).values())


def _asked(trial: Trial) -> str:
    return f" with keep={_KEEP}" if "keep" in trial.subject.knobs else ""


def _list(steps: Iterable[int]) -> str:
    return ", ".join(map(str, steps))


PROOF = TrainerProof(
    id="retention",
    claim="The last checkpoint is always there, as many are kept as promised, and the best",
    why="A retention that deletes the wrong one is noticed on the day that it is needed.",
    catches=(
        "transformers 4.31.0 with `save_total_limit=1` and `./out/` deletes every checkpoint",
        "names sorted as texts: step 9 after step 10",
        "pruning before the new checkpoint is whole",
        "a best one that is forgotten on resume",
        "Lightning 2.0.9 deletes the checkpoint that it resumed from, in another run's directory",
    ),
    remedy="prune after the new one is whole, by number, and never the last, nor the best",
    runs=runs,
    judge=judge,
    spared=frozenset({"copied", "elsewhere", "after best", "best left"}),
    order=22,
)
