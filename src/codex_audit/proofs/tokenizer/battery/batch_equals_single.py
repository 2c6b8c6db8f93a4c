"""A text has the same ids in any batch as alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from codex_audit.proofs.tokenizer.proof import Found, TokenizerProof, Trial, broken, holds
from codex_audit.proofs.tokenizer.search import shown
from codex_audit.proofs.tokenizer.subject import LacksError

if TYPE_CHECKING:
    from collections.abc import Iterator

_SIZES = (1, 2, 3, 7)


def judge(trial: Trial) -> Found:
    """In several orders, batch sizes, with repeats; framed and not; decoded likewise."""
    subject = trial.subject
    texts = list(trial.texts.values())
    batches = 0
    for special in (False, True):
        alone = {text: subject.encode(text, special=special) for text in texts}
        for order, batch in _batches(texts):
            rows = subject.encode_batch(batch, special=special)
            batches += 1
            if len(rows) != len(batch):
                return broken(
                    f"a batch of {len(batch)} texts gives {len(rows)} rows ({order})",
                    component="batch encoding",
                )
            failing = [(t, r) for t, r in zip(batch, rows, strict=True) if r != alone[t]]
            if failing:
                text, row = min(failing, key=lambda pair: len(pair[0]))
                text, row = _shortest(trial, text, row, special=special)
                own = subject.encode(text, special=special)
                return broken(
                    f"{len(failing)} texts have other ids in a batch than alone ({order}); "
                    f"shortest: {shown(text)} is {row[:16]} in one and {own[:16]} alone",
                    component="batch encoding",
                    failed=len(failing),
                )
    again = [t for t in texts if subject.encode(t, special=True) != alone[t]]
    if again:
        return broken(
            f"after batches, {shown(min(again, key=len))} alone has other ids than before",
            component="state that batch encoding leaves behind",
        )
    fault = _decoding(trial, texts)
    if fault:
        return broken(fault, component="batch decoding")
    return holds(
        f"{len(texts)} texts have the same ids in {batches} batches as alone", compared=len(texts)
    )


def _batches(texts: list[str]) -> Iterator[tuple[str, list[str]]]:
    yield "all in one batch", texts
    yield "in reverse", texts[::-1]
    yield "the longest first", sorted(texts, key=len, reverse=True)
    yield "each twice", [text for text in texts for _ in range(2)]
    for size in _SIZES:
        for start in range(0, len(texts), size):
            yield f"batches of {size}", texts[start : start + size]


def _shortest(trial: Trial, text: str, row: list[int], *, special: bool) -> tuple[str, list[int]]:
    """A smaller text that differs in a batch of itself twice, where there is one."""

    def batched(each: str) -> list[int]:
        return trial.subject.encode_batch([each, each], special=special)[0]

    def fails(each: str) -> bool:
        return batched(each) != trial.subject.encode(each, special=special)

    if not fails(text):
        return text, row
    text = trial.smallest([text], fails)
    return text, batched(text)


def _decoding(trial: Trial, texts: list[str]) -> str:
    rows = [trial.subject.encode(text, special=n % 2 == 0) for n, text in enumerate(texts)]
    texts, rows = [*texts, ""], [*rows, []]
    try:
        together = trial.subject.decode_batch(rows)
    except LacksError:
        return ""
    if len(together) != len(rows):
        return f"{len(rows)} rows are decoded to {len(together)} texts"
    for text, row, decoded in zip(texts, rows, together, strict=True):
        alone = trial.subject.decode(row)
        if decoded != alone:
            return (
                f"the ids {row[:12]} of {shown(text)} are decoded to {shown(decoded)} in a batch "
                f"and to {shown(alone)} alone"
            )
    return ""


PROOF = TokenizerProof(
    id="batch_equals_single",
    claim="a text has the same ids in a batch of any size and order as alone",
    why="What is trained in batches and served alone must be the same text.",
    catches=("a batch that inherits truncation", "rows that come back in another order"),
    remedy="Encode alone and in batches in one way, and reset truncation and padding after it.",
    judge=judge,
)
