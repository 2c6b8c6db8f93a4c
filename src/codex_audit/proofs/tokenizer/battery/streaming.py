"""Ids that are decoded as they arrive give the whole text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from codex_audit.proofs.tokenizer.normalization import canonical
from codex_audit.proofs.tokenizer.proof import Found, TokenizerProof, Trial, broken, holds
from codex_audit.proofs.tokenizer.search import shown
from codex_audit.proofs.tokenizer.subject import LacksError, Subject

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

_BEGINNING = 24


def judge(trial: Trial) -> Found:
    """By the subject's own streaming decoder, or else by the usual window over `decode`."""
    subject = trial.subject
    try:
        list(subject.stream(subject.encode(trial.plain)))
    except LacksError:
        way, stream = "a window over decode()", _window(subject)
    else:
        way, stream = "its streaming decoder", subject.stream

    def joined(text: str) -> str:
        return "".join(stream(subject.encode(text)))

    def fails(text: str) -> bool:
        ids = subject.encode(text)
        if subject.unknown_id is not None and subject.unknown_id in ids:
            return False
        whole = subject.decode(ids)
        if whole.endswith("\ufffd"):
            return False  # that no one can tell from a character that has not ended
        return _counts(joined(text), trial) != _counts(whole, trial)

    found = trial.hardest(fails, trial.examples // 2)
    if found is None:
        fault = _left_over(trial, stream)
        if fault:
            return broken(fault, component="state that a stream keeps for the next one")
        return holds(f"by {way}, {len(trial.texts)} texts are the same token by token as whole")
    failing, text = found
    whole = subject.decode(subject.encode(text))
    return broken(
        f"{len(failing)} texts differ; shortest: {shown(text)} is {shown(joined(text))} token by "
        f"token ({way}) and {shown(whole)} as a whole",
        component=f"streaming {subject.component('decode')}",
        failed=len(failing),
    )


def _left_over(trial: Trial, stream: Callable[[Sequence[int]], Iterable[str]]) -> str:
    """What a stream that ended amid a character leaves to the next one."""
    subject = trial.subject
    if trial.domain:
        return ""
    plain = subject.encode(trial.plain)
    whole = "".join(stream(plain))
    for text in trial.texts.values():
        ids = subject.encode(text)[:_BEGINNING]
        for end in range(1, len(ids)):
            if not subject.decode(ids[:end]).endswith("\ufffd"):
                continue
            list(stream(ids[:end]))
            now = "".join(stream(plain))
            if now != whole:
                return (
                    f"after a stream that ended amid a character of {shown(text)}, "
                    f"{shown(trial.plain)} is {shown(now)} token by token, and was {shown(whole)}"
                )
            break
    return ""


def _counts(text: str, trial: Trial) -> str:
    return canonical(text, trial.normalization)


def _window(subject: Subject) -> Callable[[Sequence[int]], Iterable[str]]:
    """What inference servers do: decode the last few ids, and show what is new and complete."""

    def stream(ids: Sequence[int]) -> Iterable[str]:
        shown_from = read = 0
        for place in range(1, len(ids) + 1):
            before = subject.decode(ids[shown_from:read])
            now = subject.decode(ids[shown_from:place])
            if len(now) > len(before) and not now.endswith("\ufffd"):
                yield now[len(before) :]
                shown_from, read = read, place
        rest = subject.decode(ids[shown_from:])
        yield rest[len(subject.decode(ids[shown_from:read])) :]

    return stream


PROOF = TokenizerProof(
    id="streaming",
    claim="ids decoded as they arrive, joined, are the text that they decode to as a whole",
    why="What a user sees being written must be what was written.",
    catches=(
        "half characters shown as U+FFFD", "spaces lost between streamed tokens",
        "a decoder that all streams share",
    ),
    remedy="Hold back incomplete characters, and decode with the ids before.",
    judge=judge,
)  # fmt: skip
