"""A gate has its say on criteria that a repository added to the catalog."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest
from status_factory import outcome, provenance

from codex_audit.outcome import Check, Verdict, write_outcome
from codex_audit.report.merge import merge
from codex_audit.scan import scan
from codex_audit.settings import load_settings

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Make = Callable[[dict[str, str]], Path]

RULES = """
id = "house"
title = "House rules"
why = "We agreed on them."
[criteria.card]
question = "Is a card written?"
why = "It is found again."
gap = "no card"
remedy = "Write one."
impact = 2
effort = 1
required = true
proven_by = ["tests:card_written"]
met = [{ call = "*write_card" }]
"""


@pytest.mark.parametrize(
    ("verdict", "proof", "status"),
    [(Verdict.PASS, "proven", "Implemented"), (Verdict.FAIL, "refuted", "Missing")],
)
def test_a_gate_proves_or_refutes_an_added_criterion(
    make_repository: Make, verdict: Verdict, proof: str, status: str
) -> None:
    root = make_repository(
        {
            "pyproject.toml": '[tool.codex-audit]\ncatalog = ["house.toml"]\n',
            "house.toml": RULES,
            "a.py": "write_card(1)\n",
        }
    )
    settings = load_settings(root)
    found = scan(root, settings)
    made = msgspec.structs.replace(
        outcome("tests", verdict),
        checks=(Check("card_written", verdict, "the card was looked for"),),
        facts={"subject": {"in_tree": True}},
        provenance=provenance(tree_digest=found.provenance.tree_digest),
    )
    write_outcome(root / "out", made)
    house = merge(found, root / "out", settings).capabilities["house"]
    assert (house.criteria["card"].proof, house.status) == (proof, status)
