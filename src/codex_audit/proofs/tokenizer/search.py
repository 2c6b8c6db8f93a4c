"""Texts that Hypothesis makes, and the smallest one that breaks a claim."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from hypothesis.strategies import SearchStrategy

# Pieces that are rarely drawn from all of Unicode, and between which tokenizers cut.
FRAGMENTS: tuple[str, ...] = (
    " ", "  ", "\n", "\r\n", "\r", "\t", "\x00", "\x7f", "a", "A", "the", " the", "Hello", "don't",
    " ,", " .", " !", "?", "'s", " n't", "1", "12", "\u00e9", "e\u0301", "\u0130", "\u00df",
    "\u0327\u0301", "\u200d", "\ufe0f", "\u200b", "\u200f", "\u00a0", "\u3000", "\u2581", "\ufb01",
    "\uff21", "\u4f60", "\u304b\u3099", "\uac00", "\u1112\u1161", "\u05d0", "\u0645",
    "\u0928\u094d",
    "\u0e33", "\U0001f600", "\U0001f468\u200d\U0001f469", "\U0001f44d\U0001f3fd",
    "\U0001f1eb\U0001f1f7",
    "\U00020000", "\U0010fffd", "\ue000", "\ufffd", "\ufeff", "\u2028", "##", "<", "[", "_", "-",
    "&amp;", "\\n", "%20", "aaaa", "@me", "http://a.b", "        ",
)  # fmt: skip
_FEW = 12
_SHORT = 80  # of so many characters every piece is tried
_TEXTS = 12
_SHRINKING = 5.0  # seconds


def find(fails: Callable[[str], bool], examples: int, pool: Sequence[str] = ()) -> str | None:
    """The smallest text that Hypothesis finds to fail; None where it finds none.

    The same texts are tried every time: the search is derandomized and keeps no database. Of a
    `pool` of texts, those are tried, and no others.
    """
    if pool:
        return min(filter(fails, drawn(pool, examples)), key=len, default=None)
    from hypothesis import strategies as st  # noqa: PLC0415 - heavy, and only needed in a trial

    pieces = st.one_of(st.sampled_from(FRAGMENTS), st.characters(exclude_categories=("Cs", "Cn")))
    return _search(st.lists(pieces, max_size=12).map("".join), fails, examples)


def drawn(pool: Sequence[str], examples: int) -> Sequence[str]:
    """The texts of a pool that are tried: all of few, and of many about as many as asked for."""
    return pool[:: max(1, len(pool) // max(1, examples))]


def smallest(texts: Iterable[str], fails: Callable[[str], bool], pool: Sequence[str] = ()) -> str:
    """The smallest text that fails, made of what the given failing texts hold.

    Long texts lose what they can lose, half by half; of what is left, the shortest piece is
    taken; then Hypothesis leaves characters out of it. Part of a text of a `pool` may be none.
    """
    if pool:
        return min(texts, key=len)
    deadline = time.monotonic() + _SHRINKING
    short = [_without(text, fails, deadline) for text in list(texts)[:_TEXTS]]
    best = min(short, key=len)
    for text in short:
        for length in range(min(len(best), len(text))):
            pieces = (text[i : i + length] for i in range(len(text) - length + 1))
            piece = next(filter(fails, pieces), None)
            if piece is not None:
                best = piece
                break
            if time.monotonic() > deadline:
                return best
    few = 2
    if few < len(best) <= _SHORT:
        from hypothesis import strategies as st  # noqa: PLC0415 - as above

        shorter = _search(st.text(sorted(set(best)), max_size=len(best) - 1), fails, 100)
        best = best if shorter is None or len(shorter) >= len(best) else shorter
    return best


def _without(text: str, fails: Callable[[str], bool], deadline: float) -> str:
    """A long text less all pieces, of ever smaller size, that it fails without."""
    size = len(text) // 2
    while len(text) > _SHORT and size and time.monotonic() < deadline:
        start = 0
        while start < len(text):
            rest = text[:start] + text[start + size :]
            if fails(rest):
                text = rest
            else:
                start += size
        size //= 2
    return text


def hardest(
    texts: Iterable[str],
    fails: Callable[[str], bool],
    examples: int,
    pool: Sequence[str] = (),
) -> tuple[list[str], str] | None:
    """The given texts that fail, and the smallest text found to fail; None where none does."""
    failing = [text for text in texts if fails(text)]
    if failing:
        return failing, smallest(failing, fails, pool)
    made = find(fails, examples, pool)
    return None if made is None else ([], smallest([made], fails, pool))


def shown(text: str) -> str:
    """A text as ASCII, with its code points when they are few enough to read."""
    points = " ".join(f"U+{ord(character):04X}" for character in text[:_FEW])
    more = " ..." if len(text) > _FEW else ""
    quoted = json.dumps(text if len(text) <= _SHORT else text[:_SHORT])
    cut = f" ... of {len(text)} characters" if len(text) > _SHORT else ""
    return f"{quoted}{cut} ({points}{more})" if text else '""'


def _search(
    strategy: SearchStrategy[str], fails: Callable[[str], bool], examples: int
) -> str | None:
    import random  # noqa: PLC0415

    from hypothesis import HealthCheck, Phase, settings  # noqa: PLC0415 - as above
    from hypothesis import find as search  # noqa: PLC0415
    from hypothesis.errors import NoSuchExample  # noqa: PLC0415

    options = settings(
        max_examples=examples,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        phases=(Phase.generate, Phase.shrink),
    )
    try:
        # `find` takes its randomness from here, not from the settings.
        return search(strategy, fails, settings=options, random=random.Random(0))  # noqa: S311
    except NoSuchExample:
        return None
