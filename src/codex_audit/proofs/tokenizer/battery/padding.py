"""Padded batches: sides, lengths, masks."""

from __future__ import annotations

from codex_audit.proofs.tokenizer.proof import Found, TokenizerProof, Trial, broken, holds
from codex_audit.proofs.tokenizer.search import shown
from codex_audit.proofs.tokenizer.subject import LacksError, Layout, Rows, Side, Subject


def judge(trial: Trial) -> Found:
    """To the longest and to a length, at either side where the subject offers it."""
    subject = trial.subject
    if subject.pad_id is None:
        raise LacksError("the tokenizer declares no padding token")
    texts = list(trial.texts.values())
    alone = [subject.encode(text, special=True) for text in texts]
    longest = max(map(len, alone))
    tried: list[str] = []
    lacking = ""
    for side in ("right", "left"):
        for length in (None, longest + 3):
            layout = Layout(length=length, padding_side=side)
            try:
                rows = subject.padded(texts, layout)
            except LacksError as reason:
                lacking = str(reason)
                continue
            fault = _fault(subject, texts, alone, rows, length or longest, side)
            if fault:
                where = f"padded at the {side} to {length or 'the longest'}: "
                return broken(where + fault, component=f"padding ({side} side) and its masks")
            tried.append(f"{length or longest} at the {side}")
    if not tried:
        raise LacksError(lacking)
    good = f"rows of {', '.join(tried)} are filled with id {subject.pad_id} where the mask is 0"
    return holds(good, compared=len(texts))


def _fault(
    subject: Subject, texts: list[str], alone: list[list[int]], rows: Rows, length: int, side: Side
) -> str:
    pad = subject.pad_id
    columns = [rows.ids, rows.mask, rows.special or rows.mask]
    if {len(column) for column in columns} != {len(texts)}:
        return f"{len(texts)} texts give {len(rows.ids)} rows and {len(rows.mask)} masks"
    places = sorted(range(len(texts)), key=lambda place: len(texts[place]))
    for place in places:
        ids, mask, text = rows.ids[place], rows.mask[place], shown(texts[place])
        if len(ids) != length or len(mask) != length:
            return f"the row of {text} has {len(ids)} ids and {len(mask)} masks, not {length}"
        for at, (token, kept) in enumerate(zip(ids, mask, strict=True)):
            if kept not in {0, 1}:
                return f"{text}: place {at} has the mask {kept}"
            if not kept and token != pad:
                return f"{text}: place {at} is masked and holds id {token}, not {pad}"
        own = [token for token, kept in zip(ids, mask, strict=True) if kept]
        if own != alone[place]:
            if (
                own[: len(alone[place])] == alone[place]
                or own[-len(alone[place]) :] == alone[place]
            ):
                return f"{text}: a place with mask 1 has the padding id {pad}"
            return f"{text}: masked it is {own[:12]} and alone {alone[place][:12]}"
        filled = length - len(own)
        right = [1] * len(own) + [0] * filled
        if mask != (right if side == "right" else right[::-1]):
            return f"{text}: its mask is not filled at the {side}"
        fault = _special_fault(subject, texts[place], rows, place)
        if fault:
            return fault
    return ""


def _special_fault(subject: Subject, text: str, rows: Rows, place: int) -> str:
    if rows.special is None:
        return ""
    ids, special, mask = rows.ids[place], rows.special[place], rows.mask[place]
    if len(special) != len(ids):
        return f"{shown(text)} has {len(ids)} ids and {len(special)} special-token masks"
    ordinary = [i for i, one in zip(ids, special, strict=True) if not one]
    if ordinary != subject.encode(text):
        return (
            f"{shown(text)}: where the special-token mask is 0 is {ordinary[:9]}; the text is "
            f"{subject.encode(text)[:12]}"
        )
    return "" if len(mask) == len(special) else "masks differ in length"


PROOF = TokenizerProof(
    id="padding",
    claim="rows are filled with the padding id at the asked side, exactly where the mask is 0",
    why="A model that attends to padding, or is masked where text is, trains on noise.",
    catches=(
        "padding with a real token", "a mask of ones", "left padding with a mask of right padding",
    ),
    remedy="Set the padding token and side on the tokenizer, and build the mask from lengths.",
    judge=judge,
)  # fmt: skip
