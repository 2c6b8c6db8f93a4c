"""What can be said of checks, rules, causes, steps and statuses: `words.toml`, and the proofs."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

import msgspec
import tomli

from codex_audit.proofs.proof import Proof, battery

# Battery of proofs -> the gates that try it.
_BATTERIES = {
    "codex_audit.proofs.tokenizer.battery": ("tokenizer",),
    "codex_audit.proofs.trainer.battery": ("trainer-smoke-cpu", "trainer-smoke-cuda"),
}


class Word(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a word means; `gates` are those that print it, `catches` faults that it shows."""

    what: str
    remedy: str = ""
    gates: tuple[str, ...] = ()
    why: str = ""
    catches: tuple[str, ...] = ()


@cache
def load_words() -> dict[str, dict[str, Word]]:
    """Kind of word -> word -> what it means. A proof is a check, and says itself what it is."""
    text = files("codex_audit.explain").joinpath("words.toml").read_text(encoding="utf-8")
    words = msgspec.convert(tomli.loads(text), dict[str, dict[str, Word]])
    for package, gates in _BATTERIES.items():
        for proof in battery(package, Proof).values():
            words["check"][proof.id] = Word(
                what=_sentence(proof.claim),
                remedy=_sentence(proof.remedy),
                gates=gates,
                why=proof.why,
                catches=proof.catches,
            )
    return words


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:].removesuffix('.')}."
