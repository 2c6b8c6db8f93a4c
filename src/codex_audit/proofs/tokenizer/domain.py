"""The texts of a tokenizer that is not made for all text: proteins, moves, molecules, music."""

from __future__ import annotations

from typing import TYPE_CHECKING

from codex_audit.proofs.tokenizer.subject import MalformedError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_ENOUGH = 2
_HARD = 40
_LONG = 2000  # characters; a longer line is cut by nothing, and left out of the hard texts


def read(path: Path, name: str) -> tuple[str, ...]:
    """The lines of a file that are not empty, each once.

    Raises:
        MalformedError: it is no text in UTF-8, or has fewer than two such lines.
    """
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise MalformedError(
            f"{name}: no text in UTF-8 ({type(error).__name__}); write one text a line"
        ) from error
    return checked([line.rstrip("\r") for line in lines], name)


def checked(texts: Sequence[str], name: str) -> tuple[str, ...]:
    """The texts that are not empty, each once.

    Raises:
        MalformedError: there are fewer than two.
    """
    found = tuple(dict.fromkeys(text for text in texts if text))
    if len(found) < _ENOUGH:
        raise MalformedError(
            f"{name}: it has {len(found)} different text(s), and at least {_ENOUGH} are needed; "
            "write one text of the domain a line"
        )
    return found


def hard(texts: Sequence[str]) -> dict[str, str]:
    """Some of the texts, from the shortest to the longest, by name; and the empty one."""
    kept = sorted((t for t in texts if len(t) <= _LONG), key=len) or sorted(texts, key=len)[:1]
    step = max(1, (len(kept) - 1) // (_HARD - 1))
    chosen = dict.fromkeys([*kept[::step], kept[-1]])
    return {"empty": "", **{f"text {n} of the domain": t for n, t in enumerate(chosen, 1)}}
