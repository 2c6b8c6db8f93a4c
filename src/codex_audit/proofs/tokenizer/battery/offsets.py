"""Offsets point at the text that a token stands for."""

from __future__ import annotations

import unicodedata
from itertools import pairwise
from typing import TYPE_CHECKING

from codex_audit.proofs.tokenizer.normalization import canonical
from codex_audit.proofs.tokenizer.proof import Found, TokenizerProof, Trial, broken, holds
from codex_audit.proofs.tokenizer.search import shown

if TYPE_CHECKING:
    from codex_audit.proofs.tokenizer.subject import Span

_CLEAN_UP = ("punctuation-spacing",)


def judge(trial: Trial) -> Found:
    """Places are in range and in order, and hold what their tokens decode to."""
    trial.subject.offsets(trial.plain)

    def fails(text: str) -> bool:
        return bool(_fault(trial, text))

    found = trial.hardest(fails, trial.examples)
    if found is None:
        good = f"the tokens of {len(trial.texts)} hard texts and {trial.beside(trial.examples)} are"
        return holds(f"{good} where their offsets say", compared=len(trial.texts))
    failing, text = found
    return broken(f"{shown(text)}: {_fault(trial, text)}", component="offsets", failed=len(failing))


def _fault(trial: Trial, text: str) -> str:
    subject = trial.subject
    spans = subject.offsets(text)
    ids = [span.id for span in spans]
    if ids != subject.encode(text):
        return f"offsets are of the ids {ids[:12]}, the text has {subject.encode(text)[:12]}"
    before = 0
    for span in spans:
        if not 0 <= span.start <= span.end <= len(text):
            return f"id {span.id} is at {span.start} to {span.end} of {len(text)} characters"
        if span.start < before:
            return f"id {span.id} starts at {span.start}, before its predecessor at {before}"
        before = span.start
    for one, other in pairwise(spans):
        # A space is one byte, of which no two tokens have a part; but one at the start may stand
        # for a prefix, too.
        if other.start and " " in text[other.start : one.end]:
            return (
                f"ids {one.id} and {other.id} at {one.start} to {one.end} and {other.start} to "
                f"{other.end} have the same space"
            )
    waiting: list[Span] = []
    groups = _groups(spans)
    starts = [*(group[0].start for group in groups), len(text)][1:] if groups else []
    fault = ""
    for group, until in zip(groups, starts, strict=True):
        waiting = [*waiting, *group]
        fault = _group_fault(trial, text, waiting, until)
        if fault and not _expands(text, waiting):
            return fault
        waiting = waiting if fault else []
    return fault if waiting else _spaces_fault(trial, text, groups)


def _spaces_fault(trial: Trial, text: str, groups: list[list[Span]]) -> str:
    """Whether the spaces beside tokens are dealt with in one way.

    Places may leave out the space that a token begins with, as GPT-2's do, or have one that its
    token decodes without, as SentencePiece's; but for all tokens of a text alike.
    """
    subject = trial.subject
    seen: dict[str, Span] = {}
    control = {subject.unknown_id, *subject.special_ids.values()}
    for group in groups:
        span = group[0]
        # What is special at the start of a text is the prefix's.
        if len(group) > 1 or not span.start or span.start == span.end or span.id in control:
            continue
        piece, decoded = text[span.start : span.end], subject.decode([span.id])
        # A clean-up of spaces before punctuation is the round trip's.
        if not decoded.strip() or not piece.strip() or canonical(piece, _CLEAN_UP) != piece:
            continue
        begins = decoded.startswith(" "), piece.startswith(" ")
        more = piece.endswith(" ") and not decoded.endswith(" ")
        if begins == (True, False) and text[span.start - 1] == " ":
            if more:
                return (
                    f"text[{span.start}:{span.end}] is {shown(piece)}, and its token {span.id} "
                    f"decodes to {shown(decoded)}: its place is one too far"
                )
            seen.setdefault("leaves out", span)
        elif begins == (True, True):
            seen.setdefault("has", span)
        elif begins == (False, True):
            seen.setdefault("adds", span)
    if "has" not in seen or len(seen) == 1:
        return ""
    odd = seen.get("leaves out") or seen["adds"]
    does = "leaves out the space" if "leaves out" in seen else "has a space that is not in it:"
    return (
        f"the place of id {odd.id}, {odd.start} to {odd.end}, {does} before "
        f"{shown(subject.decode([odd.id]).strip())}, and that of id {seen['has'].id}, "
        f"{seen['has'].start} to {seen['has'].end}, has its own"
    )


def _groups(spans: list[Span]) -> list[list[Span]]:
    """Tokens that share a character, as the bytes of one do, are one group."""
    groups: list[list[Span]] = []
    end = 0
    for span in spans:
        # One without an extent is the beginning of a character that the next one ends.
        if groups and (span.start < end or groups[-1][0].start == groups[-1][-1].end == span.start):
            groups[-1].append(span)
        else:
            groups.append([span])
        end = max(end, span.end)
    return groups


def _expands(text: str, spans: list[Span]) -> bool:
    """Whether a character there, or next, becomes several by normalisation.

    Where those fall into several tokens, libraries share the character out among them.
    """
    around = text[spans[0].start : max(span.end for span in spans) + 1]
    few = 8
    return len(spans) <= few and any(
        len(unicodedata.normalize("NFKC", c)) > 1 or len(c.lower()) > 1 for c in around
    )


def _group_fault(trial: Trial, text: str, group: list[Span], until: int) -> str:
    subject = trial.subject
    ids = [span.id for span in group]
    # Of text that becomes control ids, `special_text_is_text` tells.
    if not {subject.unknown_id, *subject.special_ids.values()}.isdisjoint(ids):
        return ""
    decoded = subject.decode(ids)
    start, end = group[0].start, max(span.end for span in group)
    piece = text[start:end]
    if "\ufffd" in decoded and "\ufffd" not in piece:
        return f"ids {ids[:8]} at {start} to {end} are part of a character, which has other places"
    wider = text[start:until]
    if unicodedata.normalize("NFC", wider) == wider:
        wider = piece
    # Of characters that were composed, libraries give the first one's place.
    if _loose(decoded, trial) in {_loose(piece, trial), _loose(wider, trial)}:
        return ""
    if start == end:
        return f"the place of id {ids[0]}, {start} to {end}, is empty; it is {shown(decoded)}"
    return (
        f"text[{start}:{end}] is {shown(piece)}, and its token{'s' * (len(ids) > 1)} {ids[:8]} "
        f"decode{'s' * (len(ids) == 1)} to {shown(decoded)}"
    )


def _loose(text: str, trial: Trial) -> str:
    """What must agree: letters, without case, accents, white space and marks of continuation.

    What else a normalizer changes is the round trip's.
    """
    apart = unicodedata.normalize("NFKD", canonical(text, trial.normalization)).casefold()
    # Folding case can undo the decomposition.
    letters = unicodedata.normalize("NFKD", apart)
    return "".join(
        c
        for c in letters
        if not c.isspace()
        and unicodedata.category(c) not in {"Mn", "Cc", "Cf", "Zs"}
        and c not in "#\u2581\ufffd"
    )


PROOF = TokenizerProof(
    id="offsets",
    claim="offsets are in range and in order, and text[start:end] is what the token stands for",
    why="Labels of spans, highlights and answers are cut out of the text by these numbers.",
    catches=(
        "offsets in bytes where characters are meant",
        "offsets into the normalised text instead of the original",
        "offsets one too far where a token begins with a space",
    ),
    remedy="Count characters of the original text, also where it holds more bytes than characters.",
    judge=judge,
)
