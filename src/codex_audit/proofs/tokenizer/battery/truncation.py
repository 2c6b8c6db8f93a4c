"""Truncated rows: length, side, special tokens kept."""

from __future__ import annotations

from codex_audit.proofs.tokenizer.proof import Found, TokenizerProof, Trial, broken, holds
from codex_audit.proofs.tokenizer.search import shown
from codex_audit.proofs.tokenizer.subject import LacksError, Layout, Rows, Side, Subject


def judge(trial: Trial) -> Found:
    """Rows cut at several lengths and both sides are the text's own ids, cut, in their frame."""
    subject = trial.subject
    texts = [text for text in trial.texts.values() if text]
    frame = subject.encode("", special=True)
    longest = max(len(subject.encode(text, special=True)) for text in texts)
    # Where there is a frame, also to it alone: no id of the text is left then.
    least = max(1, len(frame))
    lengths = sorted({least, least + 1, least + 2, max(least + 1, longest // 2), longest})
    tried: list[str] = []
    lacking = ""
    for side in ("right", "left"):
        for length in lengths:
            layout = Layout(
                length=None if subject.pad_id is None else length,
                max_length=length,
                truncation_side=side,
            )
            try:
                rows = subject.padded(texts, layout)
            except LacksError as reason:
                lacking = str(reason)
                break
            except Exception:
                if length > len(frame):
                    raise
                continue  # it may refuse to leave no room for text
            fault = _fault(subject, texts, rows, frame, (length, side))
            if fault:
                return broken(
                    f"cut at the {side} to {length}: {fault}", component=f"truncation ({side} side)"
                )
        else:
            tried.append(side)
    if not tried:
        raise LacksError(lacking)
    cut = ", ".join(map(str, lengths))
    return holds(f"rows cut to {cut} ids at the {' and '.join(tried)} keep text and frame")


def _fault(
    subject: Subject, texts: list[str], rows: Rows, frame: list[int], cut: tuple[int, Side]
) -> str:
    length, side = cut
    room = length - len(frame)
    if {len(rows.ids), len(rows.mask)} != {len(texts)}:
        return f"{len(texts)} texts give {len(rows.ids)} rows and {len(rows.mask)} masks"
    for text, ids, mask in zip(texts, rows.ids, rows.mask, strict=True):
        if len(ids) != len(mask):
            return f"the row of {shown(text)} has {len(ids)} ids and {len(mask)} masks"
        own = [token for token, kept in zip(ids, mask, strict=True) if kept]
        inner = subject.encode(text)
        left = len(inner) - room
        kept = inner if left <= 0 else (inner[:room] if side == "right" else inner[left:])
        if len(own) > length:
            return f"{shown(text)} has {len(own)} ids"
        framed = [[*frame[:i], *kept, *frame[i:]] for i in range(len(frame) + 1)]
        if own not in framed:
            return (
                f"{shown(text)} is {own[:12]}; its own ids are {inner[:12]} and its frame {frame}"
            )
    return ""


PROOF = TokenizerProof(
    id="truncation",
    claim="a cut row keeps its begin and end tokens and the asked side of the text, and its length",
    why="A row that is cut through its end token, or at the wrong side, teaches other text.",
    catches=("truncation that drops the end token", "a truncation side that is ignored"),
    remedy="Cut the text's own ids to the length less the special tokens, then add those.",
    judge=judge,
)
