"""Fast and slow, or any other two implementations, give the same ids and texts."""

from __future__ import annotations

from codex_audit.proofs.tokenizer.proof import Found, TokenizerProof, Trial, broken, holds
from codex_audit.proofs.tokenizer.search import shown
from codex_audit.proofs.tokenizer.subject import LacksError


def judge(trial: Trial) -> Found:
    """Ids of every text alone and framed, and what each decodes the ids to."""
    subject, other = trial.subject, trial.other
    if other is None:
        raise LacksError("no other implementation is named in `same-as` of the settings")

    def fault(text: str) -> str:
        for special in (False, True):
            ones, others = (s.encode(text, special=special) for s in (subject, other))
            if ones != others:
                return f"is {ones[:16]} in one and {others[:16]} in the other"
        back, there = subject.decode(ones), other.decode(ones)
        if back != there:
            return f"is decoded to {shown(back)} by one and to {shown(there)} by the other"
        return ""

    found = trial.hardest(lambda text: bool(fault(text)), trial.examples)
    if found is None:
        return holds(
            f"{subject.kind} and {other.kind} agree on {len(trial.texts)} hard texts and "
            f"{trial.beside(trial.examples)}"
        )
    failing, text = found
    return broken(
        f"{len(failing)} hard texts differ between {subject.kind} and {other.kind}; shortest: "
        f"{shown(text)} {fault(text)}",
        component="conversion between the implementations",
        failed=len(failing),
    )


PROOF = TokenizerProof(
    id="implementations_agree",
    claim="the fast and the slow implementation, or any two that settings name, agree",
    why="Training with one and serving with the other is another tokenizer.",
    catches=("a conversion that loses a normalizer step", "a template that one of them lacks"),
    remedy="Use one implementation everywhere, or convert again with every step.",
    judge=judge,
)
