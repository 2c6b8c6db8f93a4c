"""What the merges of a byte-pair encoding make of a token's own spelling."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

S = TypeVar("S", str, bytes)


def apply(symbols: Sequence[S], rank: Callable[[S, S], int | None]) -> list[S]:
    """The symbols after all merges, the lowest rank first, the leftmost first among equals."""
    parts = list(symbols)
    while len(parts) > 1:
        ranked = [
            (found, i)
            for i in range(len(parts) - 1)
            if (found := rank(parts[i], parts[i + 1])) is not None
        ]
        if not ranked:
            break
        _, place = min(ranked)
        parts[place : place + 2] = [parts[place] + parts[place + 1]]
    return parts


def unreachable(
    tokens: Iterable[S], rank: Callable[[S, S], int | None], split: Callable[[S], Sequence[S]]
) -> list[S]:
    """The tokens that the merges do not make of their own symbols, and so of no text."""
    return [token for token in tokens if apply(split(token), rank) != [token]]
