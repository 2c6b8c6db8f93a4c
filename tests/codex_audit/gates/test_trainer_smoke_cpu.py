"""The gate with real processes: the reference kit passes, each broken trainer fails its check."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import time
import venv
from pathlib import Path

import pytest

from codex_audit.gates.base import Context, GateUsageError, Report
from codex_audit.gates.runner import run_gate
from codex_audit.gates.trainer_smoke_cpu import GATE, run
from codex_audit.outcome import Check, Verdict, conclude, read_outcome
from codex_audit.proofs.trainer import smoke
from codex_audit.proofs.trainer.smoke import all_proofs
from codex_audit.settings import Settings, TrainerSettings

REPOSITORY = Path(__file__).resolve().parents[3]
FIXTURES = REPOSITORY / "tests" / "fixtures"
BASIC = [
    "loss_finite", "loss_falls", "resume_bit_exact", "state_restored", "rng_restored",
    "data_order_continues", "same_seed_same_bits", "different_seed_differs",
]  # fmt: skip


def context_of(root: Path, scratch: Path, factory: str | None, timeout: float = 300) -> Context:
    scratch.mkdir(exist_ok=True)
    return Context(root, Settings(trainer=TrainerSettings(factory=factory)), (), scratch, timeout)


def trial(
    tmp_path_factory: pytest.TempPathFactory, name: str, factory: str | None
) -> tuple[Path, Report, dict[str, Check]]:
    where = tmp_path_factory.mktemp(name)
    root = where / "repository"
    shutil.copytree(FIXTURES / name, root)
    report = run(context_of(root, where / "scratch", factory))
    return root, report, {check.id: check for check in report.checks}


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Report:
    return run(context_of(REPOSITORY, tmp_path_factory.mktemp("reference"), None))


@pytest.fixture(scope="module")
def weights_only(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Check]:
    _, report, checks = trial(tmp_path_factory, "trainers", "broken:restores_weights_only")
    assert report.errors == ()
    subject = {"name": "broken:restores_weights_only", "in_tree": True, "adapter": "protocol"}
    assert report.facts["subject"] == subject
    return checks


@pytest.fixture(scope="module")
def ignores_seed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Check]:
    return trial(tmp_path_factory, "trainers", "broken:ignores_seed")[2]


@pytest.fixture(scope="module")
def unseeded(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Check]:
    return trial(tmp_path_factory, "trainers", "broken:unseeded_and_nan")[2]


def test_nothing_fails_on_the_reference_kit(reference: Report) -> None:
    assert reference.errors == ()
    verdicts = {check.id: check.verdict for check in reference.checks}
    assert {verdicts[name] for name in BASIC} == {Verdict.PASS}
    assert set(verdicts) == set(all_proofs())
    assert set(verdicts.values()) <= {Verdict.PASS, Verdict.SKIP}
    subject = {"name": "codex_ml", "in_tree": True, "adapter": "protocol"}
    assert reference.facts["subject"] == subject
    assert "torch" in reference.tools


def test_the_interrupted_run_was_really_killed_past_its_checkpoint(reference: Report) -> None:
    resume = next(check for check in reference.checks if check.id == "resume_bit_exact")
    assert resume.measured["killed"] is True
    assert resume.measured["resumed_at"] == "1, 3, 7, 9"
    assert resume.evidence[0].path == "src/codex_ml/training.py"
    assert "def load" in resume.evidence[0].snippet


def test_all_three_generators_of_the_reference_are_compared(reference: Report) -> None:
    restored = next(check for check in reference.checks if check.id == "rng_restored")
    assert {"python", "numpy", "torch"} <= set(restored.measured)


def test_a_trainer_that_restores_only_weights_is_told_what_it_lost(
    weights_only: dict[str, Check],
) -> None:
    failed = {name for name in BASIC if weights_only[name].verdict is Verdict.FAIL}
    assert failed == {
        "resume_bit_exact", "state_restored", "rng_restored", "data_order_continues",
    }  # fmt: skip
    resume = weights_only["resume_bit_exact"]
    assert resume.measured["first_different_step"] == 2
    assert "`momentum.weight`" in resume.summary
    assert "ULP" in resume.summary
    assert "is not restored by load" in resume.summary
    assert "Python's generator, the state of torch's CPU generator is not restored" in (
        resume.summary
    )
    assert resume.evidence[0].path == "broken.py"
    assert resume.evidence[0].snippet == "def load(self, directory):"
    assert weights_only["rng_restored"].measured == {"python": False, "torch": False}
    assert weights_only["data_order_continues"].measured["first_different_step"] == 2
    assert "2 samples are skipped and 4 come again" in weights_only["data_order_continues"].summary


def test_an_ignored_seed_and_a_flat_loss_fail(ignores_seed: dict[str, Check]) -> None:
    failed = {name for name in BASIC if ignores_seed[name].verdict is Verdict.FAIL}
    assert failed == {"different_seed_differs", "loss_falls"}
    assert "the seed is ignored" in ignores_seed["different_seed_differs"].summary


def test_a_nan_and_an_unseeded_run_fail(unseeded: dict[str, Check]) -> None:
    assert unseeded["loss_finite"].verdict is Verdict.FAIL
    assert unseeded["loss_finite"].summary == "the loss is nan at step 7"
    assert unseeded["same_seed_same_bits"].verdict is Verdict.FAIL
    assert "seed every generator" in unseeded["same_seed_same_bits"].summary
    assert unseeded["different_seed_differs"].verdict is Verdict.SKIP
    assert "not repeatable even before" in unseeded["resume_bit_exact"].summary
    # What the run that saved had is restored, whatever other runs do.
    assert unseeded["state_restored"].verdict is Verdict.PASS


def test_a_shadowed_torch_is_captured_and_diagnosed(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    root, _, _ = trial(tmp_path_factory, "shadowed_torch", None)
    outcome = run_gate("trainer-smoke-cpu", root)
    assert outcome.verdict is Verdict.ERROR
    (error,) = outcome.errors
    assert (error.phase, error.step) == (5, "trainer_smoke_test")
    assert error.message == "cannot import name 'nn' from 'torch' (torch/__init__.py)"
    assert error.diagnosis.startswith(
        "the directory `torch/` of this repository shadows the installed package torch 2."
    )
    assert error.remedy == "rename or move `torch/` out of the import path"
    assert str(root) not in error.traceback


def environment_without(package: str, where: Path) -> Path:
    """The interpreter of an environment that has what this one has, but for `package`."""
    venv.create(where, symlinks=True, with_pip=False)
    python = where / "bin" / "python"
    printed = subprocess.check_output(
        [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], text=True
    )
    for entry in Path(sysconfig.get_path("purelib")).iterdir():
        if not entry.name.startswith((package, "__pycache__")):
            (Path(printed.strip()) / entry.name).symlink_to(entry)
    return python


def test_an_experiment_without_mlflow_is_captured_and_diagnosed(tmp_path: Path) -> None:
    root = tmp_path / "repository"
    shutil.copytree(FIXTURES / "missing_mlflow", root)
    done = subprocess.run(
        [environment_without("mlflow", tmp_path / "venv"), "-m", "codex_audit", "gate",
         "trainer-smoke-cpu"],
        cwd=root, env={**os.environ, "PYTHONPATH": str(REPOSITORY / "src")},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    outcome = read_outcome(root / ".audit" / "outcomes" / "trainer-smoke-cpu.json")
    assert (done.returncode, outcome.verdict) == (2, Verdict.ERROR)
    (error,) = outcome.errors
    assert error.message == "No module named 'mlflow'"
    assert "mlflow is not installed" in error.diagnosis
    assert "pip install" in error.remedy
    assert "tracking" in error.remedy


def test_a_subject_that_exits_is_an_error(tmp_path: Path) -> None:
    report = run(context_of(FIXTURES / "trainers", tmp_path, "leaves:create"))
    assert report.checks == ()
    assert conclude(report.checks, report.errors) is Verdict.ERROR
    assert report.errors[0].message == "usage: train.py CONFIG"


def test_a_run_past_its_time_is_ended_and_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(smoke, "FIRST", ())  # this subject needs no torch, so it starts at once
    root = tmp_path / "repository"
    shutil.copytree(FIXTURES / "trainers", root)
    report = run(context_of(root, tmp_path / "scratch", "sleepy:create", timeout=6))
    assert "did not end within 6 s" in report.errors[0].message
    pids = [int(path.suffix[1:]) for path in root.glob("pid.*")]
    assert len(pids) == 1
    assert not any(alive(pid) for pid in pids)


def test_children_end_with_a_gate_that_is_killed(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; "
        "from codex_audit.gates.base import Context; "
        "from codex_audit.gates.trainer_smoke_cpu import run; "
        "from codex_audit.settings import Settings, TrainerSettings; "
        "run(Context(Path(sys.argv[1]), Settings(trainer=TrainerSettings(factory='sleepy:create')),"
        " (), Path(sys.argv[2]), 100))"
    )
    root = tmp_path / "repository"
    shutil.copytree(FIXTURES / "trainers", root)
    gate = subprocess.Popen([sys.executable, "-c", code, root, tmp_path])
    deadline = time.monotonic() + 120
    pids: list[Path] = []
    while not pids and time.monotonic() < deadline:
        time.sleep(0.05)
        pids = list(root.glob("pid.*"))
    gate.send_signal(signal.SIGKILL)
    gate.wait()
    started = [int(path.suffix[1:]) for path in pids]
    assert len(started) == 1
    while any(alive(pid) for pid in started) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(alive(pid) for pid in started)


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{pid}/stat")
    return not (stat.exists() and stat.read_text().split()[2] == "Z")


def test_arguments_and_malformed_factories_are_refused(tmp_path: Path) -> None:
    good = context_of(tmp_path, tmp_path / "scratch", None)
    said = "takes --thorough and names of proofs; leave out '--fast'"
    with pytest.raises(GateUsageError, match=said):
        run(Context(good.root, good.settings, ("--fast",), good.scratch, 10))
    with pytest.raises(GateUsageError, match=r"'train\.create' is not of the form"):
        run(context_of(tmp_path, tmp_path / "scratch", "train.create"))


def test_the_gate_process_never_imports_torch() -> None:
    code = "import sys, codex_audit.gates.trainer_smoke_cpu; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_it_declares_phase_and_step() -> None:
    assert (GATE.name, GATE.phase, GATE.step) == ("trainer-smoke-cpu", 5, "trainer_smoke_test")
