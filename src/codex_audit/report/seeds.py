"""Which random number generators a repository seeds, and where."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from codex_audit.outcome import Evidence
    from codex_audit.records import Seed


def seeds_by_generator(seeds: Iterable[Seed]) -> dict[str, list[Evidence]]:
    """Generator -> the lines that seed it; one line of a framework may seed several."""
    found: dict[str, list[Evidence]] = {}
    for seed in seeds:
        for rng in seed.rng.split(","):
            found.setdefault(rng.strip(), []).append(seed.evidence)
    return dict(sorted(found.items()))
