"""No two special tokens share an id, nor one with an ordinary token."""

from __future__ import annotations

from collections import defaultdict

from codex_audit.proofs.tokenizer.proof import Found, TokenizerProof, Trial, broken, holds
from codex_audit.proofs.tokenizer.subject import LacksError

_SHOWN = 8


def judge(trial: Trial) -> Found:
    """From its own file where it has one, which holds what loading it hides."""
    subject = trial.subject
    special = subject.special_ids
    if not special:
        raise LacksError("the tokenizer declares no special tokens")
    owners: dict[int, set[str]] = defaultdict(set)
    for token, number in special.items():
        owners[number].add(token)
    try:
        for name, number in subject.vocabulary():
            owners[number].add(name if isinstance(name, str) else name.decode(errors="replace"))
    except LacksError:  # then the special ones are compared among themselves
        pass
    shared = [(n, sorted(owners[n])) for n in special.values() if len(owners[n]) > 1]
    if shared:
        number, holders = shared[0]
        return broken(
            f"id {number} belongs to {' and '.join(map(repr, holders))}", component="special tokens"
        )
    ordered = sorted(special.items(), key=lambda t: t[1])
    names = ", ".join(f"{token}={number}" for token, number in ordered[:_SHOWN])
    more = f" and {len(ordered) - _SHOWN} more" if len(ordered) > _SHOWN else ""
    return holds(f"{names}{more}: no id belongs to two tokens", compared=len(special))


PROOF = TokenizerProof(
    id="special_ids_distinct",
    claim="no two special tokens share an id, nor one with an ordinary token",
    why="A padding id that is a letter's masks that letter; an end that is a word stops at it.",
    catches=("a padding token added with the id of a letter", "two special tokens of one id"),
    remedy="Give each special token an id of its own, and resize the embedding.",
    judge=judge,
    of_any=True,
)
