"""Another process with another hash seed gives the same ids."""

from __future__ import annotations

from codex_audit.proofs.tokenizer.proof import Found, TokenizerProof, Trial, broken, holds
from codex_audit.proofs.tokenizer.search import shown
from codex_audit.proofs.tokenizer.subject import LacksError


def judge(trial: Trial) -> Found:
    """The hard texts, here and there, and here a second time."""
    there = trial.elsewhere
    if there is None:
        raise LacksError("no other process reported")
    texts = trial.texts
    again = {name: trial.subject.encode(text) for name, text in texts.items()}
    for where, ids, component in (
        ("the second time", again, "random draws in encoding (dropout, sampling), or a cache"),
        ("in a new process", there, "order of a set or of hashes in building the vocabulary"),
    ):
        here = {name: trial.subject.encode(text) for name, text in texts.items()}
        failing = [name for name in texts if here[name] != ids.get(name)]
        if failing:
            name = min(failing, key=lambda name: len(texts[name]))
            return broken(
                f"{len(failing)} texts have other ids {where}; shortest: {shown(texts[name])} is "
                f"{here[name][:16]} in one and {(ids.get(name) or [])[:16]} in the other",
                component=component,
                failed=len(failing),
            )
    return holds(
        f"{len(texts)} texts have the same ids in a process with another hash seed",
        compared=len(texts),
    )


PROOF = TokenizerProof(
    id="new_process_same_ids",
    claim="a process with another hash seed gives the same ids",
    why="Ids that depend on the order of a set are others on every start: no checkpoint fits.",
    catches=("a vocabulary numbered in the order of a set", "ids made with hash()"),
    remedy="Sort before numbering, and keep the vocabulary in a file.",
    judge=judge,
    of_any=True,
)
