"""Trained twice on the same texts, the vocabulary is the same."""

from __future__ import annotations

from codex_audit.proofs.tokenizer.proof import Found, TokenizerProof, Trial, broken, holds
from codex_audit.proofs.tokenizer.search import shown
from codex_audit.proofs.tokenizer.subject import LacksError
from codex_audit.proofs.tokenizer.texts import CORPUS


def judge(trial: Trial) -> Found:
    """Twice in one process and once in another: ids, and the vocabulary where it is listed."""
    first, second = (trial.subject.train(trial.domain or CORPUS) for _ in range(2))
    failing = [t for t in trial.texts.values() if first.encode(t) != second.encode(t)]
    if failing:
        text = min(failing, key=len)
        return broken(
            f"trained twice, {len(failing)} texts have other ids; shortest: {shown(text)} is "
            f"{first.encode(text)[:16]} and {second.encode(text)[:16]}",
            component="training of the vocabulary (a random state, or an order of ties)",
            failed=len(failing),
        )
    try:
        same = sorted(map(str, first.vocabulary())) == sorted(map(str, second.vocabulary()))
    except LacksError:
        same = True
    if trial.trained is not None:
        other = [n for n, t in trial.texts.items() if first.encode(t) != trial.trained.get(n)]
        if other:
            name = min(other, key=lambda name: len(trial.texts[name]))
            return broken(
                f"trained in a process with another hash seed, {len(other)} texts have other ids; "
                f"shortest: {shown(trial.texts[name])} is "
                f"{first.encode(trial.texts[name])[:16]} here and "
                f"{(trial.trained.get(name) or [])[:16]} there",
                component="training of the vocabulary (an order of ties that a set or hash gives)",
                failed=len(other),
            )
    if not same:
        return broken(
            "trained twice, the vocabularies differ",
            component="training of the vocabulary (a random state, or an order of ties)",
        )
    return holds(f"trained twice, {len(trial.texts)} texts have the same ids")


PROOF = TokenizerProof(
    id="training_deterministic",
    claim="the same texts give the same vocabulary",
    why="A vocabulary that cannot be made again cannot be checked or repaired.",
    catches=("ties between merges broken by a random draw or a set's order",),
    remedy="Break ties by the pair itself, and seed what draws.",
    judge=judge,
)
