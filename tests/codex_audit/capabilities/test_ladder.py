"""The ladder on whole trees: mentioned, coded, tested, and what a gate proves of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from codex_audit.capabilities import ladder as module
from codex_audit.records import Answer, Criterion, Proof
from codex_audit.scan import scan
from codex_audit.settings import load_settings

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Make = Callable[[dict[str, str]], Path]

TRAIN = """\
import torch


def clip(model, most):
    torch.nn.utils.clip_grad_norm_(model.parameters(), most)


def train(model, optimizer, data):
    for batch in data:
        loss = model(batch).sum()
        loss.backward()
        clip(model, 1.0)
        optimizer.step()
    if len(data) > 2:
        torch.save(model.state_dict(), "model.pt")
"""
TEST = """\
from pkg.train import train


def test_train():
    train(None, None, [])
"""


def criterion(root: Path, key: str) -> Criterion:
    found = scan(root, load_settings(root), cached=False)
    assert found.errors == ()
    capability, _, name = key.partition(".")
    return found.capabilities[capability].criteria[name]


def test_code_that_a_test_calls_is_tested_and_says_from_where(make_repository: Make) -> None:
    root = make_repository({"pkg/train.py": TRAIN, "tests/test_train.py": TEST})
    clipping = criterion(root, "training_engine.gradient_clipping")
    assert (clipping.answer, clipping.proof, clipping.rung) == (Answer.MET, Proof.TESTED, "tested")
    test = clipping.tested_by
    assert test is not None
    assert str(test.evidence) == "tests/test_train.py:5"
    assert test.snippet == "train(None, None, [])"
    assert test.reaches == "pkg/train.py:5"
    assert test.through == ("train",)


def test_code_under_a_condition_is_only_coded(make_repository: Make) -> None:
    root = make_repository({"pkg/train.py": TRAIN, "tests/test_train.py": TEST})
    saved = criterion(root, "checkpointing_resume.model_state_saved")
    assert (saved.answer, saved.proof, saved.tested_by) == (Answer.MET, Proof.STATIC, None)
    assert saved.rung == "coded"


def test_an_import_is_no_test(make_repository: Make) -> None:
    root = make_repository({"pkg/train.py": TRAIN, "tests/test_x.py": "import pkg.train\n"})
    alone = criterion(root, "training_engine.gradient_clipping")
    assert (alone.proof, alone.tested_by) == (Proof.STATIC, None)


def test_a_test_that_is_the_evidence_does_not_test_itself(make_repository: Make) -> None:
    root = make_repository({"pkg/train.py": TRAIN, "tests/test_train.py": TEST})
    tests = criterion(root, "internal_ci_test.tests")
    assert (tests.answer, tests.proof) == (Answer.MET, Proof.STATIC)


def test_what_only_documents_speak_of_is_mentioned_and_unmet(make_repository: Make) -> None:
    readme = "# x\n\nIt supports gradient accumulation, and clips gradients: gradient clipping.\n"
    root = make_repository({"pkg/train.py": TRAIN, "README.md": readme})
    accumulated = criterion(root, "training_engine.gradient_accumulation")
    assert (accumulated.answer, accumulated.proof) == (Answer.UNMET, Proof.STATIC)
    assert accumulated.rung == "mentioned"
    assert str(accumulated.mentioned) == "README.md:3"
    clipping = criterion(root, "training_engine.gradient_clipping")
    assert (clipping.answer, clipping.mentioned) == (Answer.MET, None)  # it is there
    assert criterion(root, "training_engine.non_finite_guard").rung == ""


def test_a_gap_has_the_nearest_miss_with_what_it_lacks(make_repository: Make) -> None:
    found = criterion(
        make_repository({"pkg/train.py": TRAIN}), "checkpointing_resume.optimizer_state_saved"
    )
    assert str(found.nearest) == "pkg/train.py:15"
    assert found.miss.startswith("saves weights, but the optimizer's state was not found")


def test_what_a_framework_lacks_is_not_said_of_own_code(make_repository: Make) -> None:
    code = (
        "from transformers import Trainer\n\ntrainer = Trainer(model=model, args=args)\n"
        "trainer.train()\n"
    )
    root = make_repository({"train.py": code, "requirements.txt": "transformers>=4.28\n"})
    found = criterion(root, "checkpointing_resume.atomic_write")
    assert "requirements.txt:1" in found.gap
    assert (str(found.nearest), found.miss) == ("requirements.txt:1", "")


@pytest.mark.parametrize("path", ["CHANGELOG.md", "tests/README.md", "pkg/notes.py", "LICENSE.md"])
def test_a_list_of_changes_a_test_s_notes_and_comments_are_no_documents(
    make_repository: Make, path: str
) -> None:
    text = "# gradient accumulation\n"
    found = criterion(
        make_repository({"pkg/train.py": TRAIN, path: text}),
        "training_engine.gradient_accumulation",
    )
    assert (found.answer, found.mentioned) == (Answer.UNMET, None)


def test_a_fault_in_reading_tests_leaves_the_answers_and_is_shown(
    make_repository: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_files: object, _symbols: object) -> None:
        raise RuntimeError("no way through")

    monkeypatch.setattr(module, "Reach", broken)
    root = make_repository({"pkg/train.py": TRAIN, "tests/test_train.py": TEST})
    found = scan(root, load_settings(root), cached=False)
    (error,) = found.errors  # once, not for each criterion
    assert "no way through" in error.message
    assert "whether tests or documents" in error.context
    clipping = found.capabilities["training_engine"].criteria["gradient_clipping"]
    assert (clipping.answer, clipping.proof) == (Answer.MET, Proof.STATIC)


def test_what_was_kept_of_files_says_the_same_as_reading_them(
    make_repository: Make, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
    root = make_repository({"pkg/train.py": TRAIN, "tests/test_train.py": TEST})
    settings = load_settings(root)
    first, again = scan(root, settings).capabilities, scan(root, settings).capabilities
    assert first == again
    assert again["training_engine"].criteria["gradient_clipping"].proof is Proof.TESTED
