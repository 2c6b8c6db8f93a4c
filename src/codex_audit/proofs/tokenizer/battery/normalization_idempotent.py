"""What decoding gave once, it gives again."""

from __future__ import annotations

from codex_audit.proofs.tokenizer.normalization import canonical
from codex_audit.proofs.tokenizer.proof import Found, TokenizerProof, Trial, broken, holds
from codex_audit.proofs.tokenizer.search import shown
from codex_audit.proofs.tokenizer.subject import LacksError

_PASSES = 6


def judge(trial: Trial) -> Found:
    """A second pass over what the first gave changes nothing; nor does normalising twice."""
    subject = trial.subject

    def once(text: str) -> str | None:
        ids = subject.encode(text)
        unknown = subject.unknown_id is not None and subject.unknown_id in ids
        return None if unknown else subject.decode(ids)

    def counts(text: str) -> str:
        return canonical(text, trial.normalization)

    def fails(text: str) -> bool:
        first = once(text)
        if first is None:
            return False
        second = once(first)
        # What is declared may find work again where something was dropped in between.
        return second is not None and counts(second) != counts(first)

    found = trial.hardest(fails, trial.examples)
    if found is not None:
        failing, text = found
        first = once(text) or ""
        return broken(
            f"{shown(text)} becomes {shown(first)}, and that becomes {shown(once(first) or '')}",
            component=f"{subject.component('encode')} or {subject.component('decode')}",
            failed=len(failing),
        )

    def drifts(text: str) -> bool:
        """Whether it still changes after some passes, if only in what is declared."""
        for _ in range(_PASSES):
            now = once(text)
            if now is None or now == text:
                return False
            text = now
        return True

    drifting = trial.hardest(drifts, trial.examples // 4)
    if drifting is not None:
        return broken(
            f"{shown(drifting[1])} becomes {shown(once(drifting[1]) or '')}, and still changes "
            f"after {_PASSES} passes",
            component=f"{subject.component('encode')} or {subject.component('decode')}",
            failed=len(drifting[0]),
        )
    try:
        subject.normalize("")
    except LacksError:
        pass
    else:
        twice = trial.hardest(
            lambda text: subject.normalize(subject.normalize(text)) != subject.normalize(text),
            trial.examples,
        )
        if twice is not None:
            return broken(
                f"normalising {shown(twice[1])} twice is not normalising it once",
                component="normalizer (order of its steps)",
            )
    return holds(f"{len(trial.texts)} texts are the same after a second pass as after the first")


PROOF = TokenizerProof(
    id="normalization_idempotent",
    claim="encoding and decoding what decoding gave changes nothing more",
    why="Text that drifts at every pass never has one spelling, and caches never hit.",
    catches=(
        "a space that grows at every pass",
        "lower-casing before compatibility folding",
        "a step that does less than it is declared to, and more at every pass",
    ),
    remedy="Order the normalizer's steps so that a second run finds nothing to do.",
    judge=judge,
)
