"""Whatever the product prints by a name of its own is explained."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import codex_audit
from codex_audit.capabilities.catalog import load_catalog
from codex_audit.explain.words import load_words
from codex_audit.gates.base import all_gates
from codex_audit.records import Answer, Proof, Status
from codex_audit.report.document import GateVerdict, Overall, PhaseStatus
from codex_audit.report.phases import NAMES

if TYPE_CHECKING:
    from collections.abc import Iterator

SOURCE = Path(codex_audit.__file__).parent


def constants(name: str, keyword: str) -> Iterator[str]:
    """The first argument of each call of `name`, or its `keyword`, where it is a constant."""
    for path in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == name:
                given = [
                    *node.args[:1],
                    *(one.value for one in node.keywords if one.arg == keyword),
                ]
                for value in given:
                    if isinstance(value, ast.Constant) and isinstance(value.value, str):
                        yield value.value


def test_every_check_that_a_gate_makes() -> None:
    made = {
        name
        for call in ("Check", "_check", "_skip", "TokenizerProof", "TrainerProof")
        for name in constants(call, "id")
    }
    assert {"resume_bit_exact", "round_trip", "ruff_check", "cuda_device"} <= made
    assert made <= set(load_words()["check"])


def test_every_cause_of_an_error() -> None:
    named = set(constants("Diagnosis", "cause"))
    assert {"out of memory", "unknown"} <= named
    assert named == set(load_words()["cause"])


def test_every_step_in_which_an_error_is_captured() -> None:
    steps = {gate.step for gate in all_gates().values()}
    steps |= {*constants("CapturedError", "step"), *constants("capture", "step")}
    assert "read_outcome" in steps
    assert steps == set(load_words()["step"])


@pytest.mark.parametrize("kind", [Answer, Proof, Status, GateVerdict, Overall, PhaseStatus])
def test_every_status(kind: type[Answer]) -> None:
    assert {str(each) for each in kind} <= set(load_words()["word"])


def test_every_phase() -> None:
    assert tuple(load_words()["phase"]) == NAMES


def test_what_proves_a_shipped_criterion_is_a_check_of_that_gate() -> None:
    checks = load_words()["check"]
    known = {f"{gate}:{name}" for name, word in checks.items() for gate in word.gates}
    named = {
        proof
        for rule in load_catalog().capabilities.values()
        for one in rule.criteria.values()
        for proof in one.proven_by
    }
    assert "trainer-smoke-cpu:rng_restored" in named
    assert named <= known


def test_every_check_names_gates_that_there_are() -> None:
    for words in load_words().values():
        for word in words.values():
            assert set(word.gates) <= set(all_gates())
            assert word.what.endswith(".")
    assert all(word.gates and word.remedy for word in load_words()["check"].values())
