"""What a method of a plain subject gives is told as it is where it is of the wrong form."""

from __future__ import annotations

import re

import pytest

from codex_audit.proofs.tokenizer.adapters.plain import PlainSubject
from codex_audit.proofs.tokenizer.subject import WrongFormError


class OfAnotherLibrary:
    """Its batches are rows, a count and a time; what it cannot decode is nothing."""

    def encode(self, text: str) -> list[int]:
        return [ord(letter) for letter in text]

    def decode(self, ids: list[int]) -> str | None:
        return "".join(map(chr, ids)) or None

    def encode_batch(self, texts: list[str]) -> tuple[list[list[int]], int, float]:
        return [self.encode(text) for text in texts], len(texts), 0.1


@pytest.mark.parametrize(
    ("texts", "told"), [(["a"], "3 rows for 1 texts"), (["a"] * 3, "[[97], [97], [97]], not a list of ids")]
)  # fmt: skip
def test_rows_of_another_form(texts: list[str], told: str) -> None:
    with pytest.raises(WrongFormError, match=re.escape(told)):
        PlainSubject(OfAnotherLibrary()).encode_batch(texts)


def test_no_text() -> None:
    with pytest.raises(WrongFormError, match="None, not a text"):
        PlainSubject(OfAnotherLibrary()).decode([])
