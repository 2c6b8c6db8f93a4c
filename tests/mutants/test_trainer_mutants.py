"""Every mutant is caught by the proof meant for it, by name; no proof fails on a good subject."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from codex_audit.outcome import Verdict
from codex_audit.proofs.nursery import FIRST
from codex_audit.proofs.trainer.smoke import all_proofs
from mutants.trainer_corpus import COSTLY, Entry, children, good_subjects, mutants, try_entry

if TYPE_CHECKING:
    from collections.abc import Iterator

    from codex_audit.proofs.children import Children


@pytest.fixture(scope="module")
def where(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Children]:
    with children(tmp_path_factory.mktemp("runs")) as made:
        made.preload(FIRST)
        yield made


def named(entries: list[Entry]) -> list[pytest.param]:  # type: ignore[valid-type]
    return [pytest.param(entry, id=entry.name) for entry in entries]


@pytest.mark.parametrize("entry", named(mutants()))
def test_the_mutant_is_caught(where: Children, entry: Entry) -> None:
    assert entry.caught_by in all_proofs(), f"no such proof: {entry.caught_by}"
    tried = try_entry(where, entry, [entry.caught_by])
    assert not tried.failures, tried.failures
    (check,) = tried.checks
    assert check.verdict is Verdict.FAIL, f"{check.verdict}: {check.summary}"
    for word in entry.names:
        assert word.lower() in check.summary.lower(), f"{word!r} not in: {check.summary}"


@pytest.mark.parametrize("entry", named(good_subjects()))
def test_no_proof_fails_on_a_good_subject(where: Children, entry: Entry) -> None:
    # The table has all on each; here those that kill dozens of runs are tried on the plainest.
    costly = set() if entry.name == "Plain" else COSTLY - set(entry.also)
    proofs = set(all_proofs()) - costly
    tried = try_entry(where, entry, sorted(proofs))
    assert not tried.failures, tried.failures
    assert {check.id for check in tried.checks} == proofs
    bad = [
        f"{check.id}: {check.summary}"
        for check in tried.checks
        if check.verdict not in {Verdict.PASS, Verdict.SKIP}
    ]
    assert not bad
    assert sum(check.verdict is Verdict.PASS for check in tried.checks) >= len(proofs) // 3


def test_a_newest_that_is_sought_by_time_is_told(where: Children) -> None:
    entry = next(each for each in good_subjects() if each.name == "SeeksNewestByTime")
    (check,) = try_entry(where, entry, ["retention"]).checks
    assert check.verdict is Verdict.PASS
    assert "of a copy with other times of its files step 9 would" in check.summary


def test_every_proof_has_a_mutant() -> None:
    assert set(all_proofs()) - {entry.caught_by for entry in mutants()} == set()
