"""From the runs of a trial to its checks: what was seen, where it first differed, and why."""

from __future__ import annotations

import math
import struct
from typing import TYPE_CHECKING

import msgspec

from codex_audit.outcome import Check, Evidence, Verdict
from codex_audit.proofs.trainer.bits import Snapshot, tensor_difference

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_CERTAIN = 3.0
_NEARLY_ALL = 0.9
_KILLED = -9
_SHOWN = 6

Measured = dict[str, float | int | str | bool | None]


class Run(msgspec.Struct, frozen=True):
    """One process's run. `loaded` is the subject right after it loaded a checkpoint.

    `other_losses` are those of another run, under another seed; `other_error` says why there
    are none.
    """

    losses: tuple[float, ...]
    final: Snapshot
    places: dict[str, Evidence]
    loaded: Snapshot | None = None
    other_losses: tuple[float, ...] = ()
    other_error: str = ""


class Trial(msgspec.Struct, frozen=True):
    """All runs that came to their end, by name; `half` is the step of the checkpoint.

    `exit_code` and `steps_past` tell how the interrupted run was killed, and how many steps
    it had then made past its checkpoint.
    """

    half: int
    runs: dict[str, Run]
    exit_code: int | None = None
    steps_past: int = 0


def judge(trial: Trial) -> tuple[Check, ...]:
    """Every check that the runs allow."""
    runs = trial.runs
    checks = []
    straight = runs.get("straight")
    if straight is None:
        return ()
    checks += [_loss_finite(straight, trial), _loss_falls(straight)]
    if "resumed" in runs and "interrupted" in runs:
        checks += [_resume_bit_exact(trial), _state_restored(trial), _rng_restored(trial)]
        if straight.final.order is not None:
            checks.append(_data_order_continues(trial))
    if "interrupted" in runs:
        checks.append(_same_seed_same_bits(straight, runs["interrupted"]))
    checks.append(_different_seed_differs(trial))
    return tuple(checks)


def _check(
    name: str, *, good: bool, summary: str, evidence: Evidence | None, measured: Measured
) -> Check:
    return Check(
        id=name,
        verdict=Verdict.PASS if good else Verdict.FAIL,
        summary=summary,
        evidence=(evidence,) if evidence else (),
        measured=measured,
    )


def _loss_finite(run: Run, trial: Trial) -> Check:
    bad_step = _first(not math.isfinite(loss) for loss in run.losses)
    bad_tensors = [name for name, bits in run.final.tensors.items() if not bits.finite]
    complete = len(run.losses) == 2 * trial.half
    good = bad_step is None and not bad_tensors and complete
    if not complete:
        summary = f"train({2 * trial.half}) returned {len(run.losses)} losses, one a step expected"
    elif bad_step is not None:
        summary = f"the loss is {run.losses[bad_step - 1]} at step {bad_step}"
    elif bad_tensors:
        summary = f"after the run `{bad_tensors[0]}` holds NaN or infinity"
    else:
        summary = f"{len(run.losses)} losses and {len(run.final.tensors)} tensors are finite"
    measured: Measured = {
        "steps": len(run.losses),
        "first_non_finite_step": bad_step,
        "non_finite_tensors": len(bad_tensors),
    }
    return _check(
        "loss_finite",
        good=good,
        summary=summary,
        evidence=run.places.get("train"),
        measured=measured,
    )


def _loss_falls(run: Run) -> Check:
    losses = run.losses
    quarter = max(1, len(losses) // 4)
    first = sum(losses[:quarter]) / quarter if losses else math.nan
    last = sum(losses[-quarter:]) / quarter if losses else math.nan
    trend, needed = mann_kendall(losses)
    good = last < first and -trend >= needed
    word = "falls" if good else "shows no certain fall" if last < first else "does not fall"
    return _check(
        "loss_falls",
        good=good,
        summary=(
            f"the loss {word}: mean {first:.4g} over the first {quarter} steps, {last:.4g} over "
            f"the last {quarter} (Mann-Kendall Z {trend:.1f}, at most {-needed:.1f} needed)"
            + ("" if good or last >= first else "; raise trainer.steps in the settings for more")
        ),
        evidence=run.places.get("train"),
        measured={
            "first_quarter": _json(first),
            "last_quarter": _json(last),
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


def _resume_bit_exact(trial: Trial) -> Check:
    straight, resumed = trial.runs["straight"], trial.runs["resumed"]
    interrupted = trial.runs["interrupted"]
    losses = (*interrupted.losses, *resumed.losses)
    step = _first_different(straight.losses, losses)
    difference = tensor_difference(straight.final, resumed.final)
    streams = _streams(straight.final, resumed.final)
    killed = trial.exit_code == _KILLED
    good = step is None and difference is None and not streams and killed
    seen = []
    if step is not None:
        seen.append(f"losses differ from step {step}{_losses_at(straight.losses, losses, step)}")
    if difference is not None:
        seen.append(
            f"{difference.count} tensors differ, first `{difference.name}` ({difference.note})"
        )
    if streams:
        seen.append(f"the next random numbers differ ({', '.join(streams)})")
    if good:
        summary = (
            f"saved at step {trial.half}, killed {trial.steps_past} step(s) later, resumed in a "
            f"new process to step {2 * trial.half}: {len(losses)} losses, "
            f"{len(resumed.final.tensors)} tensors and all random numbers equal to the bit"
        )
    elif not killed:
        summary = f"the interrupted run ended by itself with code {trial.exit_code}, not by a kill"
    else:
        summary = f"{'; '.join(seen)}. Likely cause: {likely_cause(trial)}"
    return _check(
        "resume_bit_exact",
        good=good,
        summary=summary,
        evidence=resumed.places.get("load", resumed.places.get("factory")),
        measured={
            "steps": 2 * trial.half,
            "resumed_at": trial.half,
            "killed": killed,
            "steps_past_checkpoint": trial.steps_past,
            "first_different_step": step,
            "different_tensors": difference.count if difference else 0,
            "first_different_tensor": difference.name if difference else None,
            "max_abs_distance": _json(difference.max_abs) if difference else 0.0,
        },
    )


def likely_cause(trial: Trial) -> str:
    """Why a resumed run differs, from the first thing that was already wrong."""
    half, runs = trial.half, trial.runs
    straight, resumed, interrupted = (runs[n] for n in ("straight", "resumed", "interrupted"))
    early = _first_different(straight.losses[:half], interrupted.losses)
    if early is not None:
        return f"the run is not repeatable even before the checkpoint (step {early})"
    if len(resumed.losses) != half:
        return (
            f"the progress is not restored: after loading, {len(resumed.losses)} steps were "
            f"made where {half} were left"
        )
    causes = []
    loaded = resumed.loaded
    if loaded is not None:
        lost = tensor_difference(interrupted.final, loaded)
        if lost is not None:
            causes.append(f"`{lost.name}` is not restored by load ({lost.note} right after it)")
        streams = _streams(interrupted.final, loaded)
        if streams:
            causes.append(f"the generator state of {', '.join(streams)} is not restored")
    if _first_different_order(trial) == half + 1:
        causes.append("the data order is not continued but starts elsewhere")
    return "; ".join(causes) or (
        "right after loading all that state() shows agreed, so something else is lost: data "
        "order, schedule, loss scaler or a generator of its own"
    )


def _state_restored(trial: Trial) -> Check:
    """Weights, optimizer state and progress right after loading, whatever follows from them."""
    saved, run = trial.runs["interrupted"].final, trial.runs["resumed"]
    lost = None if run.loaded is None else tensor_difference(saved, run.loaded)
    made = len(run.losses)
    if lost is not None:
        summary = f"`{lost.name}` is not restored by load ({lost.note} right after it)"
    elif made != trial.half:
        summary = f"after loading, {made} steps were made where {trial.half} were left"
    else:
        summary = "right after loading, weights, optimizer state and progress are those saved"
    return _check(
        "state_restored",
        good=lost is None and made == trial.half,
        summary=summary,
        evidence=run.places.get("load", run.places.get("factory")),
        measured={"steps_after_load": made},
    )


def _rng_restored(trial: Trial) -> Check:
    # Right after loading: later, other data or another length would draw other numbers as well.
    saved, run = trial.runs["interrupted"].final, trial.runs["resumed"]
    resumed = run.loaded if run.loaded is not None else run.final
    streams = _streams(saved, resumed)
    if streams:
        summary = (
            f"right after loading, the next random numbers of {', '.join(streams)} are not those "
            "that the saved run had"
        )
    else:
        summary = (
            f"right after loading, the next random numbers of {', '.join(resumed.draws)} are "
            "those that the saved run had"
        )
    return _check(
        "rng_restored",
        good=not streams,
        summary=summary,
        evidence=run.places.get("load", run.places.get("factory")),
        measured={name: name not in streams for name in saved.draws},
    )


def _data_order_continues(trial: Trial) -> Check:
    straight, resumed = trial.runs["straight"].final.order, trial.runs["resumed"].final.order
    step = _first_different_order(trial)
    if step is None:
        summary = f"steps {trial.half + 1} to {2 * trial.half} trained on the same samples"
    else:
        summary = (
            f"step {step} trained on samples {_rows(resumed, step)} after the resume, and on "
            f"{_rows(straight, step)} without it"
        )
    run = trial.runs["resumed"]
    return _check(
        "data_order_continues",
        good=step is None,
        summary=summary,
        evidence=run.places.get("load", run.places.get("factory")),
        measured={"steps_compared": trial.half, "first_different_step": step},
    )


def _same_seed_same_bits(straight: Run, interrupted: Run) -> Check:
    count = len(interrupted.losses)
    step = _first_different(straight.losses[:count], interrupted.losses)
    if step is None:
        summary = f"{count} losses of two processes with one seed agree to the bit"
    else:
        shown = _losses_at(straight.losses, interrupted.losses, step)
        summary = f"two processes with one seed: losses differ from step {step}{shown}"
    return _check(
        "same_seed_same_bits",
        good=step is None,
        summary=summary,
        evidence=straight.places.get("factory", straight.places.get("train")),
        measured={"steps_compared": count, "first_different_step": step},
    )


def _different_seed_differs(trial: Trial) -> Check:
    straight, interrupted = trial.runs["straight"], trial.runs.get("interrupted")
    other = straight.other_losses
    count = len(other)
    step = _first_different(straight.losses[:count], other)
    if straight.other_error:
        why = f"not judged: a second run in one process ended with {straight.other_error}"
        return Check("different_seed_differs", Verdict.SKIP, why)
    if interrupted is not None and _first_different(
        straight.losses[: trial.half], interrupted.losses
    ):
        # Then other losses say nothing of the seed.
        why = "not judged: one seed already gives two runs"
        return Check("different_seed_differs", Verdict.SKIP, why)
    if step is not None:
        summary = f"another seed gives other losses from step {step}"
    else:
        summary = f"another seed gives the same {count} losses to the bit: the seed is ignored"
    return _check(
        "different_seed_differs",
        good=step is not None,
        summary=summary,
        evidence=straight.places.get("factory", straight.places.get("train")),
        measured={"steps_compared": count, "first_different_step": step},
    )


def _first(flags: Iterable[bool]) -> int | None:
    """The place, from 1, of the first true one."""
    return next((place for place, flag in enumerate(flags, start=1) if flag), None)


def _first_different(one: Sequence[float], other: Sequence[float]) -> int | None:
    """The first step, from 1, at which two series differ as bits; also where one ends."""
    for place, (a, b) in enumerate(zip(one, other, strict=False), start=1):
        if struct.pack("d", a) != struct.pack("d", b):
            return place
    return None if len(one) == len(other) else min(len(one), len(other)) + 1


def _first_different_order(trial: Trial) -> int | None:
    straight, resumed = trial.runs["straight"].final.order, trial.runs["resumed"].final.order
    for step in range(trial.half + 1, 2 * trial.half + 1):
        if (straight or {}).get(step) != (resumed or {}).get(step):
            return step
    return None


def _streams(one: Snapshot, other: Snapshot) -> list[str]:
    return [name for name in one.draws if one.draws[name] != other.draws.get(name)]


def _losses_at(one: Sequence[float], other: Sequence[float], step: int) -> str:
    if step > min(len(one), len(other)):
        return f" ({len(other)} losses against {len(one)})"
    return f" ({other[step - 1]:.9g} against {one[step - 1]:.9g})"


def _rows(order: dict[int, list[int]] | None, step: int) -> str:
    rows = (order or {}).get(step)
    if rows is None:
        return "none"
    return f"{rows[:_SHOWN]}"[:-1] + (", ...]" if len(rows) > _SHOWN else "]")


def _json(number: float | None) -> float | str | None:
    """JSON has no NaN: its name instead."""
    return number if number is None or math.isfinite(number) else str(number)
