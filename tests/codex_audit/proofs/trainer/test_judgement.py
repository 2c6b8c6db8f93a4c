"""Each check and each likely cause, from runs written down by hand."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import msgspec
import pytest

from codex_audit.outcome import Check, Verdict
from codex_audit.proofs.trainer.bits import Bits, Snapshot
from codex_audit.proofs.trainer.judgement import Run, Trial, judge, likely_cause, mann_kendall

if TYPE_CHECKING:
    from pathlib import Path

HALF = 10
LOSSES = tuple(2.0 - step / 20 for step in range(2 * HALF))
DRAWS = {"python": "aa", "torch": "bb"}
ORDER = {step: [step, step + 1] for step in range(1, 2 * HALF + 1)}


def snapshot(**changes: object) -> Snapshot:
    weight = Bits("float32", (2,), 0, 8, "same", finite=True)
    moment = Bits("float32", (2,), 8, 8, "same", finite=True)
    taken = Snapshot("", {"weight": weight, "exp_avg": moment}, DRAWS, ORDER)
    return msgspec.structs.replace(taken, **changes)


def changed(file: Path, name: str) -> Snapshot:
    bits = Bits("bfloat16", (4,), 0, 8, "other", finite=True)
    file.write_bytes(bytes(8))
    good = snapshot(file=str(file))
    return msgspec.structs.replace(good, tensors={**good.tensors, name: bits})


def run_of(losses: tuple[float, ...], final: Snapshot | None = None, **more: object) -> Run:
    return msgspec.structs.replace(Run(losses, final or snapshot(), {}), **more)


def trial(**changed_runs: Run) -> Trial:
    runs = {
        "straight": run_of(LOSSES, other_losses=(9.0, 8.0)),
        "interrupted": run_of(LOSSES[:HALF]),
        "resumed": run_of(LOSSES[HALF:], loaded=snapshot()),
    }
    return Trial(HALF, runs | changed_runs, exit_code=-9, steps_past=3)


def verdicts(subject: Trial) -> dict[str, Verdict]:
    return {check.id: check.verdict for check in judge(subject)}


def failed(subject: Trial) -> set[str]:
    return {name for name, verdict in verdicts(subject).items() if verdict is Verdict.FAIL}


def summary(subject: Trial, name: str) -> str:
    check: Check = next(check for check in judge(subject) if check.id == name)
    return check.summary


def test_runs_that_agree_pass_everything() -> None:
    assert set(verdicts(trial()).values()) == {Verdict.PASS}
    assert len(judge(trial())) == 8


def test_one_bit_of_one_loss_fails_resume_and_names_the_step() -> None:
    late = list(LOSSES[HALF:])
    late[4] = math.nextafter(late[4], 2)
    subject = trial(resumed=run_of(tuple(late), loaded=snapshot()))
    assert failed(subject) == {"resume_bit_exact"}
    assert "losses differ from step 15" in summary(subject, "resume_bit_exact")
    assert "something else is lost" in likely_cause(subject)


def test_a_run_that_ended_by_itself_is_no_proof_of_resuming() -> None:
    subject = msgspec.structs.replace(trial(), exit_code=0)
    assert failed(subject) == {"resume_bit_exact"}
    assert "not by a kill" in summary(subject, "resume_bit_exact")


def test_lost_progress_is_named() -> None:
    subject = trial(resumed=run_of(LOSSES, loaded=snapshot()))
    assert "20 steps were made where 10 were left" in likely_cause(subject)
    assert "resume_bit_exact" in failed(subject)


def test_a_tensor_that_load_forgets_is_named_with_its_distance(tmp_path: Path) -> None:
    loaded = changed(tmp_path / "bits", "exp_avg")
    subject = trial(resumed=run_of(LOSSES[HALF:], loaded, loaded=loaded))
    assert failed(subject) == {"resume_bit_exact", "state_restored"}
    assert "`exp_avg` is not restored by load" in likely_cause(subject)
    assert "first `exp_avg` (bfloat16[4]" in summary(subject, "resume_bit_exact").replace(
        "float32[2] against ", ""
    )


def test_a_tensor_that_is_gone_is_a_difference() -> None:
    less = snapshot(tensors={"weight": snapshot().tensors["weight"]})
    subject = trial(resumed=run_of(LOSSES[HALF:], less, loaded=less))
    assert "it exists in one run only" in summary(subject, "resume_bit_exact")


def test_a_generator_that_is_not_restored_is_named() -> None:
    other = snapshot(draws={**DRAWS, "torch": "cc"})
    subject = trial(resumed=run_of(LOSSES[HALF:], other, loaded=other))
    assert failed(subject) == {"resume_bit_exact", "rng_restored"}
    assert "generator state of torch is not restored" in likely_cause(subject)
    assert "numbers of torch are not" in summary(subject, "rng_restored")


def test_an_order_that_starts_again_is_named() -> None:
    again = {step: ORDER[step - HALF] for step in range(HALF + 1, 2 * HALF + 1)}
    subject = trial(resumed=run_of(LOSSES[HALF:], snapshot(order=again), loaded=snapshot()))
    assert failed(subject) == {"data_order_continues"}
    assert "step 11 trained on samples [1, 2] after the resume, and on [11, 12]" in summary(
        subject, "data_order_continues"
    )
    assert "data order is not continued" in likely_cause(subject)


def test_without_an_order_there_is_no_such_check() -> None:
    subject = trial(straight=run_of(LOSSES, snapshot(order=None)))
    assert "data_order_continues" not in verdicts(subject)


def test_two_processes_that_differ_in_one_bit_fail_and_the_seed_is_not_judged() -> None:
    losses = (*LOSSES[:3], math.nextafter(LOSSES[3], 2), *LOSSES[4:HALF])
    subject = trial(interrupted=run_of(losses))
    assert failed(subject) == {"same_seed_same_bits", "resume_bit_exact"}
    assert "losses differ from step 4" in summary(subject, "same_seed_same_bits")
    assert "not repeatable even before the checkpoint (step 4)" in likely_cause(subject)
    assert verdicts(subject)["different_seed_differs"] is Verdict.SKIP


def test_a_seed_without_effect_fails() -> None:
    subject = trial(straight=run_of(LOSSES, other_losses=LOSSES[:5]))
    assert failed(subject) == {"different_seed_differs"}


def test_a_second_run_that_a_process_does_not_allow_is_said_and_no_pass() -> None:
    subject = trial(straight=run_of(LOSSES, other_error="RuntimeError: already initialized"))
    assert verdicts(subject)["different_seed_differs"] is Verdict.SKIP
    assert "already initialized" in summary(subject, "different_seed_differs")


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_fails(bad: float) -> None:
    subject = trial(straight=run_of((*LOSSES[:6], bad, *LOSSES[7:])))
    assert "loss_finite" in failed(subject)
    assert f"the loss is {bad} at step 7" in summary(subject, "loss_finite")


def test_a_weight_that_is_not_finite_fails_though_losses_are() -> None:
    bits = msgspec.structs.replace(snapshot().tensors["weight"], finite=False)
    final = snapshot(tensors={**snapshot().tensors, "weight": bits})
    assert "`weight` holds NaN" in summary(trial(straight=run_of(LOSSES, final)), "loss_finite")


def test_too_few_losses_fail() -> None:
    assert "returned 3 losses" in summary(trial(straight=run_of(LOSSES[:3])), "loss_finite")


@pytest.mark.parametrize(
    "losses",
    [
        (1.0,) * 20,
        tuple(1 + step / 20 for step in range(20)),
        tuple(1 + (step * 7 % 20) / 20 for step in range(20)),
    ],
)
def test_losses_that_do_not_fall_fail(losses: tuple[float, ...]) -> None:
    assert "loss_falls" in failed(trial(straight=run_of(losses)))


def test_the_shape_of_a_falling_loss_does_not_matter() -> None:
    for losses in (
        tuple(math.exp(-step) for step in range(20)),
        tuple(100 - step for step in range(20)),
        (9.0, 7.0, 5.0, 3.0),
    ):
        trend, needed = mann_kendall(losses)
        assert -trend >= needed


def test_without_a_straight_run_nothing_is_judged() -> None:
    assert judge(Trial(HALF, {"interrupted": run_of(LOSSES)})) == ()
