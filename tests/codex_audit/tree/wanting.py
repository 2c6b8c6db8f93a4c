"""Interests for tests of readers."""

from __future__ import annotations


class Everything:
    """Wants every fact."""

    def wants(self, kind: str, name: str) -> bool:
        """Yes."""
        return bool(kind or name)


class Only:
    """Wants facts of certain kinds and names."""

    def __init__(self, *wanted: tuple[str, str]) -> None:
        self._wanted = frozenset(wanted)

    def wants(self, kind: str, name: str) -> bool:
        """Whether it is one of them."""
        return (kind, name) in self._wanted
