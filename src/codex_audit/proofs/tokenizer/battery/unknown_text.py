"""What the vocabulary cannot spell is shown as unknown, and with bytes nothing is."""

from __future__ import annotations

import unicodedata

from codex_audit.proofs.tokenizer.proof import Found, TokenizerProof, Trial, broken, holds, one_line
from codex_audit.proofs.tokenizer.search import shown
from codex_audit.proofs.tokenizer.texts import BYTES


def judge(trial: Trial) -> Found:
    """Every character of the hard texts by itself and between others."""
    subject = trial.subject
    characters = sorted(set("".join(trial.texts.values()) + BYTES))
    unknown: list[str] = []
    neighbours = _known(trial, "a") and _known(trial, "b")
    control = set(subject.special_ids.values()) - {subject.unknown_id}
    refused = 0
    for character in characters:
        try:
            ids = subject.encode(character)
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # noqa: BLE001 - a panic is no `Exception`
            if trial.domain and isinstance(error, Exception):
                refused += 1  # a text outside of the domain
                continue
            return broken(
                f"{shown(character)} raises {type(error).__name__}: {one_line(str(error), 100)}; "
                "it is not marked as unknown",
                component="vocabulary: byte fallback, or handling of unknown text (unk_token)",
            )
        if subject.unknown_id is not None and subject.unknown_id in ids:
            unknown.append(character)
            around = subject.decode(subject.encode(f"a {character} b")).casefold()
            if neighbours and not ("a" in around and "b" in around):
                return broken(
                    f"{shown(character)} is unknown and takes its neighbours with it: "
                    f"{shown(f'a {character} b')} becomes {shown(around)}",
                    component="handling of unknown text (unk_token)",
                )
        elif control.issuperset(ids) and _visible(character):
            has = f"the control id {ids[0]} alone" if ids else "no ids"
            return broken(
                f"{shown(character)} has {has} and is not marked as unknown: it vanishes",
                component="vocabulary: byte fallback, or handling of unknown text (unk_token)",
            )
    if unknown and subject.covers_all:
        return broken(
            f"{len(unknown)} characters are unknown, {shown(unknown[0])} first, although the "
            "tokenizer works on bytes and should spell any",
            component="byte fallback: the vocabulary lacks bytes",
            unknown=len(unknown),
        )
    told = f"{len(unknown)} of {len(characters)} characters are unknown"
    if unknown:
        told += f", {shown(unknown[0])} first; they are marked with id {subject.unknown_id}"
    if refused:
        told += f"; {refused} outside of the domain are refused"
    return holds(told, unknown=len(unknown), compared=len(characters))


def _known(trial: Trial, text: str) -> bool:
    subject = trial.subject
    try:
        ids = subject.encode(text)
    except Exception:  # noqa: BLE001 - then it is outside of the domain
        return False
    return subject.unknown_id not in ids and text in subject.decode(ids).casefold()


def _visible(character: str) -> bool:
    """Whether no usual clean-up may drop it: a letter, a digit, punctuation or a symbol."""
    return unicodedata.category(character)[0] in "LNPS" and character not in "\ufffd\u2581"


PROOF = TokenizerProof(
    id="unknown_text",
    claim="no character vanishes: it has ids, or is marked as unknown; with bytes none is unknown",
    why="Text that vanishes is not even counted; nobody sees that it is gone.",
    catches=(
        "a BPE without unk_token that drops what it has not seen",
        "byte fallback without bytes",
    ),
    remedy="Train over bytes, with all 256 in the alphabet, or set the unknown token.",
    judge=judge,
    of_any=True,
)
