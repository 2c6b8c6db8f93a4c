"""Real scripts with one fault each, and sound ones, through the trial of commands."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from codex_audit.diagnosis import diagnose
from codex_audit.outcome import Check, Verdict
from codex_audit.proofs.children import Children
from codex_audit.proofs.trainer.commands.plan import plan_of
from codex_audit.proofs.trainer.commands.trial import JUDGED, try_command
from codex_audit.proofs.trainer.smoke import all_proofs
from codex_audit.settings import LossFile, SettingsError, TrainerSettings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from codex_audit.proofs.trainer.tried import Tried

SCRIPTS = Path(__file__).resolve().parents[3] / "fixtures" / "commands"
LOSSES = r"step (?P<step>\d+): loss (?P<loss>[^,]+),"
RESUME, CRASH = "resume_bit_exact", "crash_safe_save"


def settings_of(name: str, losses: str | LossFile | None = LOSSES) -> TrainerSettings:
    script = "sound.py" if name == "sound" else f"faulty.py {name}"
    return TrainerSettings(
        command=f"python {script} --steps={{steps}} --out={{dir}} --seed={{seed}}",
        resume="... --resume",
        losses=losses,
        checkpoints="*.npz",
    )


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    where = tmp_path_factory.mktemp("commands") / "repository"
    shutil.copytree(SCRIPTS, where)
    return where


@pytest.fixture(scope="module")
def children(root: Path) -> Iterator[Children]:
    scratch = root.with_name("scratch")
    scratch.mkdir()
    with Children(root, scratch, timeout=900, nurse=True) as made:
        yield made


def tried(children: Children, root: Path, settings: TrainerSettings, *only: str) -> Tried:
    plan = plan_of(settings, root, "cpu")
    assert plan is not None
    proofs = {name: proof for name, proof in all_proofs().items() if name in (only or JUDGED)}
    return try_command(children, plan, proofs, root=root, steps=28, seconds=200)


def check_of(children: Children, root: Path, name: str, proof: str) -> Check:
    return tried(children, root, settings_of(name), proof).checks[0]


def test_every_judgement_is_of_a_proof_of_the_battery() -> None:
    assert set(JUDGED) <= set(all_proofs())


def test_a_sound_script_passes_every_proof_that_a_command_can_be_tried_by(
    children: Children, root: Path
) -> None:
    found = tried(children, root, settings_of("sound"), *all_proofs())
    verdicts = {check.id: check.verdict for check in found.checks}
    assert found.failures == ()
    passed = {name for name, verdict in verdicts.items() if verdict is Verdict.PASS}
    assert passed == set(JUDGED) - {"weights_only_loads"}, found.checks
    hidden = [c for c in found.checks if c.id not in JUDGED]
    assert all(c.verdict is Verdict.SKIP for c in hidden)
    assert all(c.summary.startswith("a command does not show ") for c in hidden)
    resume = next(check for check in found.checks if check.id == RESUME)
    assert resume.measured["resumes"] == 3
    assert "killed at step" in resume.summary
    assert "ckpt.npz to the bit" in resume.summary
    assert str(resume.evidence[0]) == "sound.py:32"  # the call of load
    assert found.subject is not None
    assert found.subject.adapter == "command"
    assert found.subject.versions["python"]


@pytest.mark.parametrize(
    ("name", "proof", "words"),
    [
        ("OptimizerLost", RESUME, "the optimizer's state or the learning rate is not restored"),
        ("WeightsLost", RESUME, "the weights are not restored"),
        ("FromStepZero", RESUME, "the progress is not restored, though the weights seem to be"),
        ("Anew", RESUME, "it trained anew from the seed: `resume` does not load the checkpoint"),
        ("InPlace", CRASH, "ckpt.npz is half-written"),
        ("CountApart", CRASH, "parts of two checkpoints come together"),
        ("ForgetsPatience", RESUME, "the run stops early by itself at"),
        ("DeletesAndRenames", CRASH, "no checkpoint was left. Delete the old one only when"),
        ("DeletesFirst", "retention", "a moment without any checkpoint"),
        ("SeedIgnored", "different_seed_differs", "the seed is ignored"),
        ("Unseeded", "same_seed_same_bits", "two runs with one seed differ: step 1: the loss is"),
        ("NaNInTheWeights", "loss_finite", "`weights` holds NaN or infinity though every logged"),
        ("NeedsTheNetwork", "no_network", "without a network the command ends with exit code 1"),
    ],
)
def test_a_fault_is_caught_by_its_proof_and_named(
    children: Children, root: Path, name: str, proof: str, words: str
) -> None:
    check = check_of(children, root, name, proof)
    assert check.verdict is Verdict.FAIL, check
    assert words in check.summary


@pytest.mark.parametrize(
    ("name", "proof", "words"),
    [
        ("Unseeded", RESUME, "two runs with one seed already differ"),
        ("ScheduleOverSteps", RESUME, "its course depends on {steps}"),
        ("Rarely", CRASH, "it writes no second checkpoint"),
    ],
)
def test_what_cannot_be_told_is_no_failure(
    children: Children, root: Path, name: str, proof: str, words: str
) -> None:
    check = check_of(children, root, name, proof)
    assert check.verdict is Verdict.SKIP, check
    assert words in check.summary


def test_a_lost_state_is_no_fault_of_the_other_proofs(children: Children, root: Path) -> None:
    found = tried(children, root, settings_of("NoGenerators"))
    failed = [check for check in found.checks if check.verdict is Verdict.FAIL]
    assert [check.id for check in failed] == [RESUME]
    assert "the batch order or a generator is not restored" in failed[0].summary
    row = found.details[RESUME]["rows"][-1]
    assert row["loss"] != row["other_loss"]


@pytest.mark.parametrize(
    ("name", "losses"),
    [
        ("Rarely", LOSSES),
        ("Late", LOSSES),
        ("SumsItsLog", LOSSES),
        ("Silent", None),
        ("WritesAFile", LossFile(file="{dir}/log.jsonl", key="train.loss", step="step")),
        ("sound", r"loss (?P<loss>[^,]+),"),
    ],
)
def test_sound_scripts_of_other_habits_pass(
    children: Children, root: Path, name: str, losses: str | LossFile | None
) -> None:
    found = tried(children, root, settings_of(name, losses), RESUME, "same_seed_same_bits")
    verdicts = {check.id: check.verdict for check in found.checks}
    assert Verdict.FAIL not in verdicts.values(), found.checks
    assert verdicts[RESUME] is Verdict.PASS, found.checks


def test_a_script_that_writes_where_it_runs_is_tried_in_copies(
    children: Children, root: Path
) -> None:
    old = root / "out"
    old.mkdir()
    (old / "ckpt.npz").write_text("of a run before")
    settings = TrainerSettings(
        command="python faulty.py WhereItRuns --steps={steps} --seed={seed} --out=unused",
        resume="... --resume",
        losses=LOSSES,
        checkpoints="out/*.npz",
        copy=True,
    )
    found = tried(children, root, settings, RESUME, CRASH, "retention", "different_seed_differs")
    assert {check.verdict for check in found.checks} == {Verdict.PASS}, found.checks
    assert (old / "ckpt.npz").read_text() == "of a run before"
    shutil.rmtree(old)


def endless(name: str) -> TrainerSettings:
    return TrainerSettings(
        command=f"python faulty.py {name} --steps=0 --seed={{seed}} --out={{dir}}",
        resume="... --resume",
        losses=r"Epoch (?P<epoch>\d+)|(?P<step>\d+)/5 loss (?P<loss>[^,]+),",
        checkpoints="*.npz",
        endless=True,
        terminal=True,
    )


def test_a_script_that_never_ends_is_ended_after_so_many_losses(
    children: Children, root: Path
) -> None:
    found = tried(children, root, endless("AsksTheTerminal"))
    assert not found.failures
    others = [check for check in found.checks if check.verdict is not Verdict.PASS]
    assert [check.id for check in others] == ["weights_only_loads"]  # .npz, no file of torch
    logged = next(check for check in found.checks if check.id == "loss_finite").measured
    assert logged["losses"] == 28
    found = tried(children, root, endless("ForgetsItsGenerators"))
    failed = [check for check in found.checks if check.verdict is Verdict.FAIL]
    assert [check.id for check in failed] == [RESUME]
    assert "a generator is not restored" in failed[0].summary


def test_a_checkpoint_that_is_written_elsewhere_is_cut_off_there(
    children: Children, root: Path
) -> None:
    check = check_of(children, root, "WritesElsewhere", CRASH)
    assert check.verdict is Verdict.PASS, check


def test_what_needs_no_repetition_is_judged_of_a_script_without_a_seed(
    children: Children, root: Path
) -> None:
    found = tried(children, root, settings_of("Unseeded"), RESUME, CRASH)
    verdicts = {check.id: check for check in found.checks}
    assert verdicts[RESUME].verdict is Verdict.SKIP
    assert "it went on at its step" in verdicts[RESUME].summary
    assert verdicts[CRASH].verdict is Verdict.PASS, verdicts[CRASH]
    found = tried(children, root, settings_of("UnseededFromStepZero"), RESUME, CRASH)
    verdicts = {check.id: check for check in found.checks}
    assert verdicts[RESUME].verdict is Verdict.FAIL
    assert "it logged again from step 1" in verdicts[RESUME].summary
    assert "the progress is not restored" in verdicts[RESUME].summary
    assert verdicts[CRASH].verdict is Verdict.SKIP


def test_a_script_that_wants_a_terminal_is_told_of_the_setting(
    children: Children, root: Path
) -> None:
    settings = msgspec.structs.replace(endless("AsksTheTerminal"), terminal=False)
    ((_, failure),) = tried(children, root, settings, "loss_finite").failures
    assert "trainer.terminal = true" in diagnose(failure, root).remedy


def test_a_resume_may_be_given_the_newest_checkpoint(children: Children, root: Path) -> None:
    settings = TrainerSettings(
        command="python faulty.py NamesEach --steps={steps} --seed={seed} --out={dir}",
        resume="... --resume={checkpoint}",
        losses=LOSSES,
        checkpoints="ckpt-*.npz",
    )
    found = tried(children, root, settings, RESUME, CRASH)
    assert {check.verdict for check in found.checks} == {Verdict.PASS}, found.checks


def test_a_resume_that_fails_is_no_fault_of_saving(children: Children, root: Path) -> None:
    found = tried(children, root, settings_of("CannotResume"), RESUME, CRASH)
    verdicts = {check.id: check for check in found.checks}
    assert verdicts[RESUME].verdict is Verdict.FAIL
    assert "`resume` ended with exit code 1: " in verdicts[RESUME].summary
    assert "KeyError: 'optimizer'" in verdicts[RESUME].summary
    assert verdicts[CRASH].verdict is Verdict.SKIP
    assert "it does not go on after a plain kill either" in verdicts[CRASH].summary


def test_steps_that_have_no_effect_are_told(children: Children, root: Path) -> None:
    found = tried(children, root, settings_of("StepsIgnored"), "loss_finite")
    (where, failure) = found.failures[0]
    assert where == "runs of 28 and 14 steps"
    assert failure.message.endswith("as many for 14: it ignores {steps}")
    assert "the option that is given {steps}" in diagnose(failure, root).diagnosis


def test_a_command_that_fails_is_captured_with_its_own_exception(
    children: Children, root: Path
) -> None:
    settings = TrainerSettings(command="python faulty.py Nothing --out={dir}", losses=LOSSES)
    found = tried(children, root, settings)
    assert found.checks == ()
    (_, failure) = found.failures[0]
    assert (failure.type, failure.message) == ("KeyError", "'Nothing'")
    assert "Traceback" in failure.traceback


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"losses": r"epoch (?P<loss>\d+)"},
            "losses: no line of the output fits; it ends with: step 26: loss ",
        ),
        (
            {"losses": r"(?P<loss>loss) "},
            "losses: caught 'loss' as loss, which is no number; correct the expression",
        ),
        (
            {"losses": LossFile(file="{dir}/log.jsonl", key="loss")},
            "losses: 'log.jsonl' below {dir} holds no loss; correct file or key",
        ),
        (
            {"checkpoints": "*.pt"},
            "checkpoints: '*.pt' finds nothing below {dir} after 28 steps; there is: ckpt.npz;",
        ),
    ],
)
def test_what_is_not_where_the_settings_say_is_told_at_once(
    children: Children, root: Path, changes: dict[str, Any], words: str
) -> None:
    told: dict[str, Any] = {"losses": LOSSES, "checkpoints": "*.npz", **changes}
    command = "python sound.py --steps={steps} --out={dir}"
    settings = TrainerSettings(command=command, **told)
    before = children.count
    with pytest.raises(SettingsError) as refused:
        tried(children, root, settings)
    assert str(refused.value).startswith(f"pyproject.toml: [tool.codex-audit.trainer] {words}")
    assert children.count - before <= 3
