"""No id belongs to two tokens, and no token has two ids."""

from __future__ import annotations

from collections import defaultdict

from codex_audit.proofs.tokenizer.proof import Found, TokenizerProof, Trial, broken, holds


def judge(trial: Trial) -> Found:
    """All tokens that the subject lists."""
    entries = trial.subject.vocabulary()
    by_id: dict[int, list[str | bytes]] = defaultdict(list)
    by_token: dict[str | bytes, list[int]] = defaultdict(list)
    for token, number in entries:
        by_id[number].append(token)
        by_token[token].append(number)
    doubled = sorted((n, tokens) for n, tokens in by_id.items() if len(tokens) > 1)
    if doubled:
        number, tokens = doubled[0]
        names = " and ".join(map(repr, tokens))
        return broken(
            f"id {number} belongs to {names}; {len(doubled)} ids are shared",
            component="vocabulary",
            shared=len(doubled),
        )
    twice = sorted((numbers, token) for token, numbers in by_token.items() if len(numbers) > 1)
    if twice:
        numbers, token = twice[0]
        return broken(
            f"the token {token!r} has the ids {' and '.join(map(str, numbers))}; "
            f"{len(twice)} tokens have several",
            component="vocabulary",
            repeated=len(twice),
        )
    fault = _strange(trial, entries)
    if fault:
        return broken(fault, component="list of the vocabulary, or its numbering")
    holes = (max(by_id) + 1 - len(by_id)) if by_id else 0
    told = f"{len(entries)} tokens have {len(by_id)} ids"
    return holds(told + (f"; {holes} ids below the highest are nobody's" if holes else ""))


def _strange(trial: Trial, entries: list[tuple[str | bytes, int]]) -> str:
    """A letter or digit that the list has by itself, and whose id decodes to another."""
    special = set(trial.subject.special_ids.values())
    for token, number in entries:
        letter = token.decode("latin-1") if isinstance(token, bytes) else token
        if len(letter) != 1 or not letter.isascii() or not letter.isalnum() or number in special:
            continue
        back = trial.subject.decode([number]).strip()
        another = len(back) == 1 and back.isascii() and back.isalnum()
        if another and back.casefold() != letter.casefold():
            return f"the vocabulary gives {token!r} the id {number}, which decodes to {back!r}"
    return ""


PROOF = TokenizerProof(
    id="vocabulary_distinct",
    claim="no id belongs to two tokens, no token has two ids, and a letter's decodes to it",
    why="Of two tokens with one id, one decodes to the other; a repeated one is trained twice.",
    catches=(
        "a vocabulary file with a repeated line", "added tokens numbered from a wrong start",
        "a list that is numbered otherwise than encode()",
    ),
    remedy="Number tokens once, and added ones after the last.",
    judge=judge,
    of_any=True,
)  # fmt: skip
