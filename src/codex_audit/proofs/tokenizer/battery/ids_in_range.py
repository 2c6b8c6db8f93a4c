"""Every id is an index into the embedding that the vocabulary's size promises."""

from __future__ import annotations

from codex_audit.proofs.tokenizer.proof import Found, TokenizerProof, Trial, broken, holds
from codex_audit.proofs.tokenizer.search import shown


def judge(trial: Trial) -> Found:
    """The ids of all texts, of special tokens and of padding, against the size."""
    subject = trial.subject
    size = subject.size

    def outside(text: str) -> list[int]:
        ids = subject.encode(text, special=True)
        return [i for i in ids if i < 0 or (size is not None and i >= size)]

    for name, number in [*subject.special_ids.items(), ("padding", subject.pad_id)]:
        if number is None:
            if name != "padding":
                return broken(f"the special token {name!r} has no id", component="special tokens")
        elif number < 0 or (size is not None and number >= size):
            return broken(
                f"{name!r} has id {number}, outside 0 to {size}", component="special tokens"
            )
    found = trial.hardest(lambda text: bool(outside(text)), trial.examples // 2)
    if found is not None:
        failing, text = found
        return broken(
            f"{shown(text)} has id {outside(text)[0]}, and the vocabulary's size is {size}",
            component="vocabulary (its size, or the ids of added tokens)",
            failed=len(failing),
        )
    most = max(max(subject.encode(text), default=0) for text in trial.texts.values())
    if size is None:
        return holds(f"ids are 0 to {most}; the tokenizer tells no size", highest=most)
    return holds(f"ids are 0 to {most}, below the vocabulary's size {size}", highest=most)


PROOF = TokenizerProof(
    id="ids_in_range",
    claim="every id is at least 0 and below the vocabulary's size",
    why="An id past the embedding's end stops training, or on a GPU ends the process later.",
    catches=("added tokens that the size does not count", "a padding id of -1"),
    remedy="Count added tokens in the size, and resize the embedding after tokens are added.",
    judge=judge,
)
