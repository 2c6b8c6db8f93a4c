"""transformers.Trainer itself stands trial, and trainers derived from it that lose something."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
from transformers import Trainer, TrainingArguments

from codex_audit.outcome import Verdict
from codex_audit.proofs.children import Children
from codex_audit.proofs.nursery import FIRST
from codex_audit.proofs.trainer.adapters import huggingface
from codex_audit.proofs.trainer.runs import Faults, Run
from codex_audit.proofs.trainer.session import Session, UnableError
from codex_audit.proofs.trainer.smoke import all_proofs, try_subject

if TYPE_CHECKING:
    from collections.abc import Iterator

    from codex_audit.proofs.trainer.tried import Tried

FIXTURES = Path(__file__).resolve().parents[3] / "fixtures" / "huggingface"
STEPS = 12


@pytest.fixture(scope="module")
def where(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Children]:
    scratch = tmp_path_factory.mktemp("runs")
    with Children(FIXTURES, scratch, timeout=600, limit=2, nurse=True) as children:
        children.preload([*FIRST, "transformers.trainer"])
        yield children


def tried(where: Children, function: str, *names: str) -> Tried:
    proofs = {name: all_proofs()[name] for name in names}
    return try_subject(where, f"counting:{function}", proofs, steps=STEPS)


def test_the_trainer_itself_passes(where: Children) -> None:
    resume = ("resume_bit_exact", "state_restored", "rng_restored", "data_order_continues")
    found = tried(where, "make", "loss_falls", *resume, "same_seed_same_bits")
    assert not found.failures
    assert {check.id: check.summary for check in found.checks if check.verdict != "pass"} == {}
    assert found.subject is not None
    assert found.subject.adapter == "huggingface"
    assert {"accumulate", "clip_norm", "evaluate_every", "keep", "keep_best", "workers"} <= (
        found.subject.knobs
    )
    assert {"evaluate", "distributed"} <= found.subject.abilities
    order = next(check for check in found.checks if check.id == "data_order_continues")
    assert "the same samples" in order.summary  # and not contents: the look-ahead hides no index


@pytest.mark.parametrize(
    ("function", "proof", "word"),
    [
        ("loses_generators", "rng_restored", "generator"),
        ("loses_moments", "state_restored", "exp_avg"),
        ("loses_average", "extra_restored", "Average.average"),
        ("loses_position", "data_order_continues", "position in the data"),
        ("prefers_the_worst", "retention", "best"),
        ("repeats_its_order", "epochs_differ", "same order"),
    ],
)
def test_a_trainer_that_loses_something_is_refuted(
    where: Children, function: str, proof: str, word: str
) -> None:
    (check,) = tried(where, function, proof).checks
    assert check.verdict is Verdict.FAIL
    assert word in check.summary
    if function == "loses_generators":
        assert check.evidence[0].path == "counting.py"
        assert "_load_rng_state" in check.evidence[0].snippet


class _Recorder:
    steps = 0

    def state(self) -> None:
        raise AssertionError("nothing is recorded here")


def session(tmp_path: Path, run: Run) -> Session:
    return Session(run, tmp_path, None, _Recorder())  # type: ignore[arg-type] # it records nothing


def arguments(tmp_path: Path, run: Run, **given: Any) -> TrainingArguments:
    with huggingface.prepare(session(tmp_path, run)):
        return TrainingArguments(output_dir="elsewhere", **given)


def test_settings_become_arguments(tmp_path: Path) -> None:
    run = Run(until=5, horizon=9).with_knobs(
        accumulate=3,
        batch_size=5,
        clip_norm=None,
        keep=2,
        precision="bf16",
        save_every=4,
        workers=0,
    )
    made = arguments(tmp_path, run, max_steps=70, dataloader_num_workers=2, save_strategy="no")
    assert made.max_steps == 9
    assert made.gradient_accumulation_steps == 3
    assert made.per_device_train_batch_size == 5
    assert made.max_grad_norm == 0
    assert made.save_total_limit == 2
    assert (made.bf16, made.fp16) == (True, False)
    assert (made.save_strategy, made.save_steps) == ("steps", 4)
    assert made.dataloader_num_workers == 0
    assert made.report_to == []
    assert made.use_cpu
    assert Path(str(made.output_dir)).is_relative_to(tmp_path)


def test_without_settings_the_subjects_own_arguments_stay(tmp_path: Path) -> None:
    given = {"max_grad_norm": 0.5, "save_total_limit": 7, "learning_rate": 0.3}
    made = arguments(tmp_path, Run(until=5, horizon=9), eval_strategy="epoch", **given)
    assert {name: getattr(made, name) for name in given} == given
    assert made.eval_strategy == "epoch"


def test_a_strategy_that_is_asked_for_need_not_match_that_of_the_best(tmp_path: Path) -> None:
    run = Run(until=5, horizon=9).with_knobs(evaluate_every=2)
    given = {"load_best_model_at_end": True, "eval_strategy": "epoch", "save_strategy": "epoch"}
    made = arguments(tmp_path, run, **given)
    assert (made.eval_strategy, made.eval_steps) == ("steps", 2)
    assert made.load_best_model_at_end is False


def test_a_relative_directory_is_spelled_as_users_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    made = arguments(tmp_path, Run(until=5, horizon=9, apart=False, relative=True))
    assert str(made.output_dir).startswith("./")
    assert str(made.output_dir).endswith("/")


def test_fp16_is_not_offered_on_the_cpu(tmp_path: Path) -> None:
    with pytest.raises(UnableError, match="fp16"):
        arguments(tmp_path, Run(until=5, horizon=9).with_knobs(precision="fp16"))


def test_arguments_made_before_the_factory_was_called_are_told_too(tmp_path: Path) -> None:
    before = TrainingArguments(output_dir=str(tmp_path / "own"), use_cpu=True, max_steps=70)
    run = Run(until=5, horizon=9, faults=Faults())
    with huggingface.prepare(session(tmp_path, run)):
        trainer = Trainer(model=torch.nn.Linear(2, 2), args=before)
    assert trainer.args.max_steps == 9
    assert before.max_steps == 70


def test_what_is_no_trainer_is_not_driven(tmp_path: Path) -> None:
    plain = session(tmp_path, Run(until=5, horizon=9))
    assert huggingface.adapt(torch.nn.Linear(2, 2), lambda: None, plain) is None
