"""What a proof says where the subject is at odds with what was asked, or with itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from mutants.trainer_corpus import children

from codex_audit.outcome import Check, Verdict
from codex_audit.proofs.nursery import FIRST
from codex_audit.proofs.trainer.smoke import all_proofs, try_subject

if TYPE_CHECKING:
    from collections.abc import Iterator

    from codex_audit.proofs.children import Children
    from codex_audit.proofs.trainer.tried import Tried


@pytest.fixture(scope="module")
def where(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Children]:
    with children(tmp_path_factory.mktemp("runs")) as made:
        made.preload(FIRST)
        yield made


def tried(where: Children, kind: str, *proofs: str) -> Tried:
    chosen = {name: all_proofs()[name] for name in proofs}
    return try_subject(where, f"mutants.trainer.odd_subjects:{kind}", chosen, steps=20)


def check_of(where: Children, kind: str, proof: str) -> Check:
    found = tried(where, kind, proof)
    assert not found.failures
    (check,) = found.checks
    return check


def test_where_no_run_is_like_another_only_that_is_told(where: Children) -> None:
    proofs = ("same_seed_same_bits", "clipping_holds", "evaluation_leaves_no_trace")
    checks = {check.id: check for check in tried(where, "NeverTheSame", *proofs).checks}
    assert checks["same_seed_same_bits"].verdict is Verdict.FAIL
    for proof in proofs[1:]:
        assert checks[proof].verdict is Verdict.SKIP, checks[proof].summary
        assert "two runs with one seed already differ" in checks[proof].summary


def test_a_subject_that_breaks_on_a_setting_is_an_error(where: Children) -> None:
    check = check_of(where, "BreaksUnderSmallNorm", "clipping_holds")
    assert check.verdict is Verdict.ERROR
    assert "ArithmeticError: the norm is too small, after 1 steps" in check.summary
    assert "clip_norm=" in check.summary


def test_a_subject_may_refuse_a_setting(where: Children) -> None:
    check = check_of(where, "RefusesSmallNorm", "clipping_holds")
    assert check.verdict is Verdict.SKIP
    assert "ValueError: clip_norm must be 0.5 at least, before its first step" in check.summary


def test_what_one_process_loses_is_not_told_of_two_again(where: Children) -> None:
    check = check_of(where, "LosesMoments", "ranks")
    assert check.verdict is Verdict.SKIP
    assert "as with one process" in check.summary


def test_a_name_that_is_looked_up_at_the_start(where: Children) -> None:
    found = tried(where, "LooksUpAName", "no_network")
    ((_, failure),) = found.failures
    assert failure.message.startswith("the subject asks the network at its start: ")


def test_a_rate_that_follows_what_is_evaluated_is_no_trace(where: Children) -> None:
    check = check_of(where, "FollowsEvaluation", "evaluation_leaves_no_trace")
    assert check.verdict is Verdict.SKIP
    assert "ReduceLROnPlateau" in check.summary


def test_where_no_evaluation_is_seen_nothing_is_judged(where: Children) -> None:
    check = check_of(where, "NeverEvaluates", "evaluation_leaves_no_trace")
    assert check.verdict is Verdict.SKIP
    assert "no evaluation was seen" in check.summary


@pytest.mark.parametrize(
    ("kind", "verdict"), [("KeepsLongEpoch", Verdict.PASS), ("KeepsEachStep", Verdict.FAIL)]
)
def test_samples_that_a_data_set_keeps_are_no_leak(
    where: Children, kind: str, verdict: Verdict
) -> None:
    check = check_of(where, kind, "no_growth")
    assert check.verdict is verdict, check.summary


def test_a_run_that_cannot_read_its_own_checkpoint_fails_where_that_is_claimed(
    where: Children,
) -> None:
    proofs = ("resume_bit_exact", "weights_only_loads", "retention", "state_restored")
    checks = {check.id: check for check in tried(where, "CannotReadItsOwn", *proofs).checks}
    for proof in proofs[:2]:
        assert checks[proof].verdict is Verdict.FAIL, checks[proof].summary
        assert "argparse.Namespace" in checks[proof].summary
    for proof in proofs[2:]:
        assert checks[proof].verdict is Verdict.SKIP, checks[proof].summary
        assert "not judged: resumed after step 1: it ended with" in checks[proof].summary
