"""Added tokens that are text come back as they were, and leave what is around them alone."""

from __future__ import annotations

from codex_audit.proofs.tokenizer.normalization import canonical
from codex_audit.proofs.tokenizer.proof import Found, TokenizerProof, Trial, broken, holds
from codex_audit.proofs.tokenizer.search import shown
from codex_audit.proofs.tokenizer.subject import LacksError


def judge(trial: Trial) -> Found:
    """Each alone, inside a word, between words, and twice."""
    subject = trial.subject
    if not subject.added:
        raise LacksError("the tokenizer has no added tokens that are text")

    def became(text: str) -> str:
        return subject.decode(subject.encode_added(text))

    def fails(text: str) -> bool:
        back = became(text)
        return canonical(back, trial.normalization) != canonical(text, trial.normalization)

    around = (("", ""), ("a", "b"), ("a ", " b")) if not trial.domain else (("", ""),)
    frames = [(a, b) for a, b in around if not fails(f"{a}{b}")]
    texts = [f"{a}{token}{b}" for token in subject.added for a, b in frames]
    texts += [] if trial.domain else [token * 2 for token in subject.added]
    failing = [text for text in texts if fails(text)]
    if not failing:
        split = [token for token in subject.added if not _whole(trial, token)]
        if split:
            ids = subject.encode_added(split[0])
            return broken(
                f"{len(split)} of {len(subject.added)} added tokens are not found in text, "
                f"{shown(split[0])} first: it is encoded as {len(ids)} ids, {ids[:12]}, and none "
                "of them decodes to it",
                component="added tokens (looking for them before text is split)",
                failed=len(split),
            )
        return holds(f"{len(subject.added)} added tokens come back amid text", compared=len(texts))
    text = trial.smallest(failing, lambda t: any(x in t for x in subject.added) and fails(t))
    back = became(text)
    lost = subject.encode_added(text) == subject.encode_added(back)
    return broken(
        f"{len(failing)} of {len(texts)} texts with added tokens do not come back; shortest: "
        f"{shown(text)} becomes {shown(back)}",
        component="encoding of added tokens (white space that they strip)"
        if lost
        else "decoding of added tokens",
        failed=len(failing),
    )


def _whole(trial: Trial, token: str) -> bool:
    """Whether some id of an added token, encoded by itself, is its own."""
    subject = trial.subject

    def counts(text: str) -> str:
        return canonical(text, trial.normalization).strip()

    return any(counts(subject.decode([i])) == counts(token) for i in subject.encode_added(token))


PROOF = TokenizerProof(
    id="added_tokens",
    claim="an added token stays whole and comes back as it was, and so does the text around it",
    why="Domain words are added so that they stay whole; they must not come back broken.",
    catches=(
        "an added token with a non-ASCII letter, decoded as if its letters were bytes",
        "an added token that strips the spaces beside it",
        "an added token that is cut like other text",
    ),
    remedy="Decode added tokens as they are written, and turn lstrip and rstrip off.",
    judge=judge,
)
