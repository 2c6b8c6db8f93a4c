"""Normalisations by name: what each makes of a text, and which of them explain a difference."""

from __future__ import annotations

import html
import re
import unicodedata
from collections import Counter
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from itertools import combinations
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

# What `clean_up_tokenization_spaces` of transformers and the WordPiece decoder take away.
_CLEAN_UP = (
    (" .", "."), (" ?", "?"), (" !", "!"), (" ,", ","), (" ' ", "'"), (" n't", "n't"),
    (" 'm", "'m"),
    (" do not", " don't"), (" 's", "'s"), (" 've", "'ve"), (" 're", "'re"),
)  # fmt: skip
_SPACE_LIKE = re.compile("[\t\n\x0c\r\u1680\u200b-\u200f\u2028\u2029\u2581\ufeff\ufffd]")
_ZERO_WIDTH = re.compile("[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufeff\ufe0e\ufe0f]")
_DROPPED = re.compile("[\x01-\x08\x0b\x0e-\x1f\x7f\x8f\x9f]")


def _lowercase(text: str) -> str:
    # Letter by letter, as the libraries do: a final sigma is a sigma.
    return "".join(letter.lower() for letter in text).replace("\u03c2", "\u03c3")


def _strip_accents(text: str) -> str:
    apart = unicodedata.normalize("NFD", text)
    # Which marks are spacing ones changes between versions of Unicode.
    kept = "".join(c for c in apart if unicodedata.category(c) not in {"Mn", "Mc"})
    return unicodedata.normalize("NFC", kept)


def _spm(text: str) -> str:
    return unicodedata.normalize("NFKC", _DROPPED.sub("", _SPACE_LIKE.sub(" ", text)))


def _clean_text(text: str) -> str:
    kept = (c for c in text if c.isspace() or not unicodedata.category(c).startswith("C"))
    return "".join(" " if c.isspace() else c for c in kept if c != "\ufffd")


def _clean_up(text: str) -> str:
    before = ""
    while before != text:
        before = text
        for old, new in _CLEAN_UP:
            text = text.replace(old, new)
    return text


def _unescaped(text: str) -> str:
    return html.unescape(html.unescape(text))


@cache
def _ftfy() -> Any:
    """The library, which is installed beside a tokenizer that uses it; else None."""
    return import_module("ftfy") if find_spec("ftfy") else None


def _mended(text: str) -> str:
    return str(_ftfy().fix_text(text)) if _ftfy() else text


def _form(name: str) -> Callable[[str], str]:
    def normalize(text: str) -> str:
        return unicodedata.normalize(name, text)  # type: ignore[arg-type]

    return normalize


# In the order in which they are tried as an explanation: a later one may subsume an earlier one.
NORMALIZATIONS: dict[str, tuple[str, Callable[[str], str]]] = {
    "lowercase": ("lower-cases", _lowercase),
    "leading-space": ("adds or drops a space at the start", lambda text: text.removeprefix(" ")),
    "trailing-space": ("adds or drops a space at the end", lambda text: text.removesuffix(" ")),
    "strip": ("strips white space at both ends", str.strip),
    "underscore-space": ("turns U+2581 into a space", lambda text: text.replace("\u2581", " ")),
    "line-ends": ("rewrites CRLF or CR as LF", lambda t: re.sub("\r\n|\r", "\n", t)),
    "punctuation-spacing": ("cleans up spaces before punctuation", _clean_up),
    "collapse-whitespace": (
        "collapses runs of white space to one space",
        lambda text: re.sub(r"\s+", " ", text),
    ),
    "nfc": ("composes characters (NFC or NFD)", _form("NFC")),
    "strip-accents": ("strips accents", _strip_accents),
    "zero-width": (
        "drops zero-width and direction marks",
        lambda text: _ZERO_WIDTH.sub("", text),
    ),
    "control-characters": (
        "drops control characters",
        lambda text: "".join(c for c in text if unicodedata.category(c) != "Cc" or c in "\t\n\r"),
    ),
    "nfkc": ("replaces compatibility characters (NFKC or NFKD)", _form("NFKC")),
    "clean-text": ("drops control characters and maps white space to spaces", _clean_text),
    "html-entities": ("unescapes HTML entities", _unescaped),
    "ftfy": ("mends text as ftfy does", _mended),
    "spacing": ("loses where white space was", lambda text: re.sub(r"\s+", "", text)),
    "nmt-nfkc": ("applies SentencePiece's nmt_nfkc", _spm),
}  # fmt: skip
# Applied before the others: what drops a character comes before what turns it into a space.
_FIRST = (
    "ftfy",
    "html-entities",
    "nmt-nfkc",
    "clean-text",
    "control-characters",
    "zero-width",
    "nfkc",
    "nfc",
)
_SAID = 4
_BROAD = frozenset({"spacing"})
# Other names under which some of them are known.
ALIASES = {"nfd": "nfc", "nfkd": "nfkc", "nmt_nfkc": "nmt-nfkc", "NFC": "nfc", "NFKC": "nfkc"}


def unknown_name(names: Iterable[str]) -> str | None:
    """The first of `names` that is no normalisation."""
    return next((n for n in names if n not in NORMALIZATIONS and n not in ALIASES), None)


def canonical(text: str, names: Iterable[str]) -> str:
    """What is left of a text when nothing counts that the named normalisations may change."""
    wanted = {ALIASES.get(name, name) for name in names}
    ordered = [*_FIRST, *(name for name in NORMALIZATIONS if name not in _FIRST)]
    functions = [NORMALIZATIONS[name][1] for name in ordered if name in wanted]
    before = None
    while before != text:  # one of them may make work for another
        before = text
        for function in functions:
            text = function(text)
    return text


def explain(pairs: Sequence[tuple[str, str]], declared: Sequence[str]) -> tuple[str, ...]:
    """The fewest normalisations, beside the declared, that explain every pair."""
    names = [name for name in NORMALIZATIONS if name not in declared]
    useful = [
        name
        for name in names
        if any(
            canonical(text, [name, *declared]) != canonical(text, declared)
            or canonical(back, [name, *declared]) != canonical(back, declared)
            for text, back in pairs
        )
    ]
    # What explains most is said last: more words that are exact are better than one that is not.
    exact = [name for name in useful if name not in _BROAD]
    tried = [c for count in (1, 2, 3, 4) for c in combinations(exact, count)]
    tried += [c for count in (1, 2, 3, 4) for c in combinations(useful, count)]
    for chosen in tried:
        every = [*chosen, *declared]
        if all(canonical(text, every) == canonical(back, every) for text, back in pairs) and not (
            "lowercase" in chosen and any(_capitals(back) - _capitals(text) for text, back in pairs)
        ):
            return chosen
    return ()


def explain_most(pairs: Sequence[tuple[str, str]], declared: Sequence[str]) -> tuple[str, ...]:
    """The fewest normalisations that explain what can be explained, where none explain all."""
    counted = Counter(name for pair in pairs for name in explain([pair], declared))
    kept = [name for name, _ in counted.most_common(_SAID)]

    def explained(names: list[str]) -> int:
        every = [*names, *declared]
        return sum(canonical(text, every) == canonical(back, every) for text, back in pairs)

    for name in reversed(list(kept)):
        others = [other for other in kept if other != name]
        if explained(others) == explained(kept):
            kept = others
    return tuple(kept)


def _capitals(text: str) -> Counter[str]:
    return Counter(letter for letter in text if letter.lower() != letter)


def said(names: Iterable[str]) -> str:
    """What the named normalisations do, in words."""
    return " and ".join(f"{NORMALIZATIONS[name][0]} ({name})" for name in names)
