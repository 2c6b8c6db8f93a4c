"""The real Lightning on trial: careful trainers pass, defects and its own limits are named."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING

import pytest

from codex_audit.outcome import Verdict
from codex_audit.proofs.children import Children
from codex_audit.proofs.nursery import FIRST
from codex_audit.proofs.trainer.executor import Executor
from codex_audit.proofs.trainer.runs import Run
from codex_audit.proofs.trainer.smoke import all_proofs, try_subject

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from codex_audit.outcome import Check
    from codex_audit.proofs.trainer.runs import Knob, Result
    from codex_audit.proofs.trainer.tried import Tried

if importlib.util.find_spec("lightning") is None:
    pytest.skip("lightning is not installed", allow_module_level=True)

STEPS = 30
SLOW = {"crash_safe_save", "ranks"}


@pytest.fixture(scope="module")
def where(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Children]:
    root: Path = request.config.rootpath / "tests/fixtures/trainers"
    scratch = tmp_path_factory.mktemp("runs")
    with Children(root, scratch, timeout=600, nurse=True) as children:
        children.preload([*FIRST, "lightning.pytorch"])
        yield children


def tried(where: Children, subject: str, *proofs: str) -> Tried:
    known = all_proofs()
    chosen = {name: known[name] for name in proofs or known}
    return try_subject(where, f"lightning_subjects:{subject}", chosen, steps=STEPS)


def only(where: Children, subject: str, proof: str) -> Check:
    found = tried(where, subject, proof)
    assert not found.failures, found.failures
    (check,) = found.checks
    return check


def made(where: Children, until: int = 2, **knobs: Knob) -> Result:
    """A short run with settings."""
    executor = Executor(where, "lightning_subjects:knobs", 2)
    run = Run(until=until, horizon=until).with_knobs(**knobs)
    executor.make([run])
    return executor.results[run]


@pytest.mark.parametrize("subject", ["careful", "careful_steps"])
def test_no_proof_fails_on_a_careful_trainer(where: Children, subject: str) -> None:
    found = tried(where, subject, *(name for name in all_proofs() if name not in SLOW))
    assert not found.failures, found.failures
    assert found.subject is not None
    assert found.subject.adapter == "lightning"
    bad = [
        f"{check.id}: {check.summary}"
        for check in found.checks
        if check.verdict not in {Verdict.PASS, Verdict.SKIP}
    ]
    assert not bad
    passed = {check.id for check in found.checks if check.verdict is Verdict.PASS}
    assert {"resume_bit_exact", "data_order_continues", "rng_restored", "retention"} <= passed
    assert subject == "careful_steps" or "extra_restored" in passed


def test_a_plain_loader_begins_its_epoch_again(where: Children) -> None:
    check = only(where, "plain", "data_order_continues")
    assert check.verdict is Verdict.FAIL
    assert "save and restore the position in the data" in check.summary


@pytest.mark.parametrize(
    ("subject", "proof", "word"),
    [
        ("loses_moments", "state_restored", "exp_avg"),
        ("forgetful_average", "extra_restored", "ForgetfulAverage.average"),
        ("schedules_each_batch", "accumulation_equals_large_batch", "with each micro-batch"),
        ("hasty", "retention", "the only checkpoint is deleted before the next one is whole"),
    ],
)
def test_defects_of_modules_and_callbacks_are_named(
    where: Children, subject: str, proof: str, word: str
) -> None:
    check = only(where, subject, proof)
    assert check.verdict is Verdict.FAIL, check.summary
    assert word in check.summary


def test_a_run_goes_on_for_as_many_epochs_as_its_steps_need(where: Children) -> None:
    found = tried(where, "steps_by_pairs", "loss_finite", "resume_bit_exact", "state_restored")
    assert not found.failures, found.failures
    assert {check.verdict for check in found.checks} == {Verdict.PASS}, found.checks


def test_two_optimizers_that_take_turns_make_one_step(where: Children) -> None:
    proofs = ("loss_finite", "resume_bit_exact", "state_restored", "data_order_continues")
    found = tried(where, "adversaries", *proofs)
    assert not found.failures, found.failures
    assert {check.verdict for check in found.checks} == {Verdict.PASS}, found.checks


def test_knobs_reach_the_trainer_and_its_loader(where: Children) -> None:
    steps = made(where, accumulate=2, batch_size=3, clip_norm=0.01).trace.steps
    assert [step.indices for step in steps] == [(0, 1, 2, 3, 4, 5), (6, 7, 8, 9, 10, 11)]
    assert [len(step.micros) for step in steps] == [2, 2]
    assert all(step.grad_norm <= 0.01 * (1 + 1e-5) for step in steps)


def test_what_cannot_be_asked_is_told(where: Children) -> None:
    executor = Executor(where, "lightning_subjects:careful", 2)
    run = Run(until=2, horizon=2).with_knobs(batch_size=3)
    executor.make([run])
    assert executor.results[run].skip == (
        "`batch_size` cannot be tried: the loader (PlacedLoader) has batch_size None, whatever it "
        "is asked for"
    )


def test_parameters_have_the_modules_own_names(where: Children) -> None:
    (step,) = made(where, until=1).trace.steps
    assert "net.0.weight" in step.after.parameters
    assert "net.1.running_mean" in step.after.buffers
    assert "net.0.weight.exp_avg" in step.after.optimizer


def test_a_trainer_without_its_module_is_refused(where: Children) -> None:
    found = tried(where, "only_trainer", "loss_finite")
    ((_, failure),) = found.failures
    assert failure.message == (
        "the factory of a lightning Trainer returns (trainer, module), then its loaders or data "
        "module unless the module has them; after the trainer came nothing"
    )
