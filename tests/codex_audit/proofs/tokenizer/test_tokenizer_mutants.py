"""Every mutant is caught by the proof it is meant for; nothing fails on a good tokenizer."""

from __future__ import annotations

from typing import Any

import pytest
from mutants.tokenizer import elsewhere
from mutants.tokenizer.all import MUTANTS
from mutants.tokenizer.bench import tried
from mutants.tokenizer.good_styles import GOOD
from mutants.tokenizer.table import PAGE

from codex_audit.outcome import Verdict
from codex_audit.proofs.tokenizer.normalization import NORMALIZATIONS
from codex_audit.proofs.tokenizer.proof import battery

# Judged by no mutant: it measures.
MEASURES = {"fertility"}


@pytest.mark.parametrize("name", GOOD)
def test_no_proof_fails_on_a_good_tokenizer(name: str) -> None:
    good = GOOD[name]
    checks = tried(good.make(), normalization=good.normalization)
    wrong = {
        check.id: check.summary
        for check in checks.values()
        if check.verdict not in {Verdict.PASS, Verdict.SKIP}
    }
    assert wrong == {}
    assert checks["round_trip"].verdict is Verdict.PASS


@pytest.mark.parametrize("name", MUTANTS)
def test_a_mutant_is_caught_with_its_component_named(name: str) -> None:
    mutant = MUTANTS[name]
    check = tried(
        mutant.make(),
        normalization=mutant.normalization,
        other=None if mutant.other is None else mutant.other(),
        proofs=[mutant.proof],
        **elsewhere.told(name),
    )[mutant.proof]
    assert check.verdict is Verdict.FAIL, check.summary
    assert mutant.word in check.summary
    assert "; look at the " in check.summary
    assert "\n" not in check.summary


def test_every_proof_that_judges_has_a_mutant() -> None:
    assert {mutant.proof for mutant in MUTANTS.values()} == set(battery()) - MEASURES
    assert len(MUTANTS) >= 25
    assert all(mutant.what for mutant in MUTANTS.values())


def test_the_page_has_every_mutant_and_proof() -> None:
    page = PAGE.read_text(encoding="utf-8")
    for name, mutant in MUTANTS.items():
        assert f"| {mutant.what} | `{mutant.proof}` | yes |" in page, name
    for name in GOOD:
        assert f"| {name} |" in page
    for proof in battery().values():
        assert f"| `{proof.id}` | {proof.claim} |" in page
    for name in NORMALIZATIONS:
        assert f"`{name}`" in page
    assert "| NO |" not in page
    code = page.partition("```python\n")[2].partition("```")[0]
    assert len(code.splitlines()) <= 20
    scope: dict[str, Any] = {}
    exec(code, scope)  # the example of the page
    checks = tried(scope["make"]())
    assert {c.verdict for c in checks.values()} == {Verdict.PASS, Verdict.SKIP}
    assert checks["offsets"].verdict is Verdict.PASS
