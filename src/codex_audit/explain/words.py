"""The words of `words.toml`: checks, rules, causes, steps and statuses, each in a sentence."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib.resources import files

import msgspec


class Word(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a word means; `gates` are those that print it."""

    what: str
    remedy: str = ""
    gates: tuple[str, ...] = ()


@cache
def load_words() -> dict[str, dict[str, Word]]:
    """Kind of word -> word -> what it means."""
    text = files("codex_audit.explain").joinpath("words.toml").read_text(encoding="utf-8")
    return msgspec.convert(tomllib.loads(text), dict[str, dict[str, Word]])
