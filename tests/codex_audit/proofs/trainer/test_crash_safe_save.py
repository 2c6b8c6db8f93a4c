"""Saves that are whole, in other styles than the plain trainer's: none is blamed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from mutants.trainer_corpus import children

from codex_audit.outcome import Verdict
from codex_audit.proofs.nursery import FIRST
from codex_audit.proofs.trainer.smoke import all_proofs, try_subject

if TYPE_CHECKING:
    from collections.abc import Iterator

    from codex_audit.proofs.children import Children


@pytest.fixture(scope="module")
def where(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Children]:
    with children(tmp_path_factory.mktemp("runs")) as made:
        made.preload(FIRST)
        yield made


@pytest.mark.parametrize("kind", ["InTheBackground", "PassesDamageBy", "BehindALink"])
def test_a_careful_save_is_not_blamed(where: Children, kind: str) -> None:
    chosen = {proof: all_proofs()[proof] for proof in ("crash_safe_save", "retention")}
    tried = try_subject(where, f"mutants.trainer.careful_saves:{kind}", chosen, steps=20)
    assert not tried.failures, tried.failures
    assert [(c.id, c.verdict, c.summary) for c in tried.checks if c.verdict != Verdict.PASS] == []
    told = {check.id: check.summary for check in tried.checks}
    noted = "without an os.fsync" in told["crash_safe_save"]
    assert noted is (kind == "InTheBackground"), told  # the others sync, or rename nothing
