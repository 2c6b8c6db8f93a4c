"""Hypothesis finds and shrinks what fails; normalisations are found and named."""

from __future__ import annotations

import unicodedata

import pytest

from codex_audit.proofs.tokenizer.normalization import (
    NORMALIZATIONS,
    canonical,
    explain,
    unknown_name,
)
from codex_audit.proofs.tokenizer.search import find, hardest, shown, smallest
from codex_audit.proofs.tokenizer.texts import CORPUS, HARD_TEXTS, SCRIPTS


def test_the_smallest_failing_text_is_found_and_found_again() -> None:
    def fails(text: str) -> bool:
        return "\u200d" in text and len(text) > 1

    assert find(fails, 300) == find(fails, 300)
    found = hardest([], fails, 300)
    assert found is not None
    assert found[0] == []
    assert len(found[1]) == 2
    assert find(lambda text: len(text) > 100000, 50) is None


def test_a_failing_text_is_cut_to_what_fails_also_where_that_is_not_in_one_piece() -> None:
    def fails(text: str) -> bool:
        return text.count("x") >= 2

    assert smallest(["one x, two x, three x"], fails) == "xx"
    assert hardest(["abc", "a x b x"], fails, 50) == (["a x b x"], "xx")
    assert hardest(["abc"], lambda text: text == "\u0130" * 3, 20) is None


def test_a_text_is_shown_in_ascii_with_code_points() -> None:
    assert shown("T\u00e9") == r'"T\u00e9" (U+0054 U+00E9)'
    assert shown("") == '""'
    assert shown("\ud800") == r'"\ud800" (U+D800)'
    assert shown("ab" * 500).endswith("of 1000 characters (" + "U+0061 U+0062 " * 6 + "...)")


@pytest.mark.parametrize(
    ("pairs", "names"),
    [
        ([("Ab", "ab")], ("lowercase",)),
        ([("e\u0301", "\u00e9")], ("nfc",)),
        ([("\ufb01", "fi")], ("nfkc",)),
        ([("\u00e9", "e")], ("strip-accents",)),
        ([(" a ", "a")], ("strip",)),
        ([("a", " a")], ("leading-space",)),
        ([("a  b", "a b")], ("collapse-whitespace",)),
        ([("Hi , I 'm", "Hi, I'm")], ("punctuation-spacing",)),
        ([("a\r\nb", "a\nb")], ("line-ends",)),
        ([("a\x07", "a")], ("control-characters",)),
        ([("A\u00e9", "a\u00e9"), ("\ufb01", "fi")], ("lowercase", "nfkc")),
        ([("abc", "ab")], ()),
    ],
)
def test_what_changed_a_text_is_named(pairs: list[tuple[str, str]], names: tuple[str, ...]) -> None:
    assert explain(pairs, ()) == names


@pytest.mark.parametrize("name", NORMALIZATIONS)
def test_what_is_canonical_stays_so(name: str) -> None:
    for text in HARD_TEXTS.values():
        once = canonical(text, [name])
        assert canonical(once, [name]) == once


def test_names_are_known_or_told() -> None:
    assert unknown_name(["lowercase", "NFC", "nmt_nfkc"]) is None
    assert unknown_name(["lowercase", "upper"]) == "upper"


def test_the_texts_are_distinct_and_hold_what_they_promise() -> None:
    assert len(set(HARD_TEXTS.values())) == len(HARD_TEXTS)
    joined = "".join(HARD_TEXTS.values())
    for needed in ("\u200d", "\r\n", "\u0301", "\u05d0", "\u4f60", " ,", "\U00020000", "\x00"):
        assert needed in joined
    assert HARD_TEXTS["empty"] == ""
    sent = set(HARD_TEXTS["every UTF-8 byte"].encode())
    assert set(range(256)) - sent == {0xC0, 0xC1, *range(0xF5, 0x100)}
    assert len(set(SCRIPTS.values())) == len(SCRIPTS)
    assert all(unicodedata.is_normalized("NFC", text) for text in SCRIPTS.values())
    assert set(HARD_TEXTS.values()) < set(CORPUS)
