"""Begin and end tokens are the same around every text, and nothing else changes."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from codex_audit.proofs.tokenizer.proof import Found, TokenizerProof, Trial, broken, holds
from codex_audit.proofs.tokenizer.search import shown
from codex_audit.proofs.tokenizer.subject import is_refused

if TYPE_CHECKING:
    from collections.abc import Iterator

    from codex_audit.proofs.tokenizer.subject import Subject


def judge(trial: Trial) -> Found:
    """The frame of the empty text is around every other text."""
    subject = trial.subject
    frame = subject.encode("", special=True)
    inner = subject.encode("")
    if inner:
        return broken(
            f'the empty text "" is encoded as {inner}', component="pre-tokenizer or begin token"
        )
    repeated = [a for a, b in pairwise(frame) if a == b]
    if repeated:
        return broken(
            f"the frame around a text is {frame}: id {repeated[0]} comes twice in a row",
            component="post-processor (template of special tokens)",
        )
    texts = [*trial.texts.values(), *([] if trial.domain else _spelled(subject))]
    found = trial.hardest(
        lambda text: _split(subject, text, frame) is None, trial.examples // 4, texts
    )
    if found is not None:
        failing, text = found
        return broken(
            f"{shown(text)} between special tokens is {_few(subject.encode(text, special=True))}; "
            f"alone it is {_few(subject.encode(text))}, and the empty text is {frame}",
            component="post-processor (template of special tokens)",
            failed=len(failing),
        )
    splits = {_split(subject, text, frame) for text in trial.texts.values() if text}
    common = set.intersection(*({s} if isinstance(s, int) else set(s or ()) for s in splits))
    if not common:
        return broken(
            f"the frame {frame} is not cut at one place: begin tokens differ between texts",
            component="post-processor (template of special tokens)",
        )
    stranger = [number for number in frame if number not in set(subject.special_ids.values())]
    if subject.special_ids and stranger:
        return broken(
            f"the frame around a text is {frame}, and id {stranger[0]} is no special token",
            component="post-processor (template of special tokens)",
        )
    cut = min(common)
    told = f"{frame[:cut]} before and {frame[cut:]} after" if frame else "nothing around"
    return holds(f"{told} each of {len(trial.texts)} texts", compared=len(trial.texts))


def _spelled(subject: Subject) -> Iterator[str]:
    """Texts that begin or end as if they had their special tokens already."""
    for token in subject.special_ids:
        if not is_refused(subject, token):
            yield from (token, f"{token} a", f"a {token}")


def _split(subject: Subject, text: str, frame: list[int]) -> tuple[int, ...] | None:
    """After how many ids of the frame the text's own may come; None where they do not."""
    whole, inner = subject.encode(text, special=True), subject.encode(text)
    places = range(len(frame) + 1)
    return tuple(i for i in places if [*frame[:i], *inner, *frame[i:]] == whole) or None


def _few(ids: list[int]) -> str:
    few = 12
    return str(ids) if len(ids) <= few else f"{ids[:few]}...".replace("]...", ", ...]")


PROOF = TokenizerProof(
    id="special_frame",
    claim="begin and end tokens are the same around every text, once, and are special tokens",
    why="A text without its end never teaches to stop; one that begins twice teaches noise.",
    catches=("a begin token that is added twice", "an end token that is left out of some texts"),
    remedy="Correct the template in the post-processor, and add special tokens in one place only.",
    judge=judge,
)
