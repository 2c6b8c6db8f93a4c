"""Every merge can come about."""

from __future__ import annotations

from codex_audit.proofs.tokenizer.proof import Found, TokenizerProof, Trial, broken, holds
from codex_audit.proofs.tokenizer.subject import LacksError

_LIMIT = 4000


def judge(trial: Trial) -> Found:
    """Merged from its own spelling, in the order of merges, each token comes out whole."""
    tried, lost = trial.subject.unreachable_merges(_LIMIT)
    if not tried:
        raise LacksError("its merges are none")
    unmade = trial.subject.unmade_tokens()
    if unmade:
        return broken(
            f"{len(unmade)} token{'s' * (len(unmade) > 1)} of the vocabulary, {unmade[0]!r} first, "
            "no merge makes: no text is encoded with them",
            component="merges, of which some are missing",
            unmade=len(unmade),
        )
    if lost:
        return broken(
            f"{len(lost)} of {tried} merged tokens are never reached, {lost[0]!r} first: merges of "
            "lower rank cut its spelling otherwise",
            component="merges and their order",
            unreachable=len(lost),
        )
    return holds(f"all {tried} merged tokens are reached from their own spelling", compared=tried)


PROOF = TokenizerProof(
    id="merges_reachable",
    claim="every token comes out of the merges of its own spelling",
    why="A merge that never comes about is a row of the embedding that is never trained.",
    catches=(
        "merges in another order than they were learnt", "merges of parts that no text has",
        "words that were put into the vocabulary without merges",
    ),
    remedy="Keep merges in the order in which they were learnt; leave out those no merge leads to; "
    "add words as added tokens.",
    judge=judge,
    of_any=True,
)  # fmt: skip
