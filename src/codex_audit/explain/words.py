"""What checks, rules, causes, steps and statuses mean: `words.toml`, and the proofs themselves."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib.resources import files

import msgspec

from codex_audit.proofs.tokenizer.proof import battery


class Word(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a word means; `gates` are those that print it."""

    what: str
    remedy: str = ""
    gates: tuple[str, ...] = ()


@cache
def load_words() -> dict[str, dict[str, Word]]:
    """Kind of word -> word -> what it means."""
    text = files("codex_audit.explain").joinpath("words.toml").read_text(encoding="utf-8")
    words = msgspec.convert(tomllib.loads(text), dict[str, dict[str, Word]])
    for proof in battery().values():
        what = f"{proof.claim[0].upper()}{proof.claim[1:]}. {proof.why}"
        words["check"][proof.id] = Word(what, proof.remedy, ("tokenizer",))
    return words
