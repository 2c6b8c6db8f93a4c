"""What round_trip says of a tokenizer that changes texts in several ways."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING

from codex_audit.outcome import Verdict
from codex_audit.proofs.tokenizer import normalization
from codex_audit.proofs.tokenizer.adapters.plain import PlainSubject
from codex_audit.proofs.tokenizer.proof import Trial, battery, try_proof
from codex_audit.proofs.tokenizer.texts import HARD_TEXTS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import pytest

    from codex_audit.outcome import Check


class Changing:
    """Letters as numbers, after some function."""

    def __init__(self, change: Callable[[str], str]) -> None:
        self.change = change

    def encode(self, text: str) -> list[int]:
        return [ord(letter) for letter in self.change(text)]

    def decode(self, ids: list[int]) -> str:
        return "".join(map(chr, ids))


def judged(change: Callable[[str], str], scratch: Path) -> Check:
    subject = PlainSubject(Changing(change))
    trial = Trial(subject=subject, texts=HARD_TEXTS, scratch=scratch, examples=20)
    return try_proof(battery()["round_trip"], trial)


def test_what_no_names_explain_is_shown_beside_what_they_do(tmp_path: Path) -> None:
    check = judged(lambda text: text.strip().replace("q", ""), tmp_path)
    assert check.verdict is Verdict.FAIL
    assert "beside what strips white space at both ends (strip), " in check.summary
    assert 'shortest: "q" (U+0071) becomes ""' in check.summary


def test_html_entities_have_a_name(tmp_path: Path) -> None:
    check = judged(lambda text: text.replace("&amp;", "&").replace("&lt;", "<"), tmp_path)
    assert 'declare normalization = ["html-entities"]' in check.summary


def test_ftfy_has_a_name_where_it_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    pairs = [("\u2018a\u2019", "'a'"), ("\u2018", "'")]
    assert normalization.explain(pairs, ()) == ()
    mended = SimpleNamespace(
        fix_text=lambda text: text.replace("\u2018", "'").replace("\u2019", "'")
    )
    monkeypatch.setattr(normalization, "_ftfy", lambda: mended)
    assert normalization.explain(pairs, ()) == ("ftfy",)
