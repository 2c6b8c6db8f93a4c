"""Which row belongs to which split, decided by hashes and not by the order of rows."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Mapping


def split_of(key: str, fractions: Mapping[str, float], *, salt: str = "") -> str:
    """The split that `key` belongs to, whatever other keys there are.

    The key's SHA-256 is read as a number in [0, 1), and the splits lie side by side on that
    line, so adding rows moves none from one split to another.

    Args:
        key: identifies a row for good (an id, a path; for a grouped split the group's id).
        fractions: split -> its share; they add up to 1.
        salt: another salt gives another, independent split.

    Raises:
        ValueError: the fractions do not add up to 1.
    """
    _check(fractions)
    digest = hashlib.sha256(f"{salt}\0{key}".encode()).digest()
    place = int.from_bytes(digest[:8], "big") / 2**64
    end = 0.0
    for name, fraction in fractions.items():
        end += fraction
        if place < end:
            return name
    return name  # the sum may round to just below 1


def grouped_split(
    groups: Mapping[str, str], fractions: Mapping[str, float], *, salt: str = ""
) -> dict[str, str]:
    """Row -> split, all rows of a group (a patient, an author, a document) in the same one.

    Args:
        groups: row's key -> its group's id.
        fractions: split -> its share of the groups; they add up to 1.
        salt: another salt gives another, independent split.

    Raises:
        ValueError: the fractions do not add up to 1.
    """
    return {key: split_of(group, fractions, salt=salt) for key, group in groups.items()}


def stratified_split(
    strata: Mapping[str, str],
    fractions: Mapping[str, float],
    *,
    salt: str = "",
    previous: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """Row -> split, each stratum (a label, a language) divided by the same shares.

    In the order of their hashes, a stratum's rows each go to the split that lacks most of its
    share. Shares that are exact for every number of rows cannot also stay put when rows are
    added, so a data set that grows needs `previous`: what it assigned stays, and new rows
    fill what is lacking.

    Args:
        strata: row's key -> its stratum.
        fractions: split -> its share of every stratum; they add up to 1.
        salt: another salt gives another split.
        previous: what this function returned for fewer rows; rows that are gone are ignored.

    Raises:
        ValueError: the fractions do not add up to 1, or `previous` names another split.
    """
    _check(fractions)
    kept = {key: split for key, split in (previous or {}).items() if key in strata}
    unknown = sorted(set(kept.values()) - set(fractions))
    if unknown:
        raise ValueError(f"`previous` has split {unknown[0]!r}, and the fractions {[*fractions]}")
    members = defaultdict(list)
    for key, stratum in strata.items():
        members[stratum].append(key)
    assigned: dict[str, str] = {}
    for keys in members.values():
        counts = Counter(kept[key] for key in keys if key in kept)
        new = [key for key in keys if key not in kept]
        for key in sorted(new, key=lambda key: hashlib.sha256(f"{salt}\0{key}".encode()).digest()):
            size = counts.total() + 1
            split = max(fractions, key=lambda name: fractions[name] * size - counts[name])
            counts[split] += 1
            assigned[key] = split
    return {key: kept[key] if key in kept else assigned[key] for key in strata}


def _check(fractions: Mapping[str, float]) -> None:
    total = sum(fractions.values())
    if abs(total - 1) > 1e-9 or min(fractions.values()) < 0:  # noqa: PLR2004 - rounding of a sum
        raise ValueError(f"the fractions {dict(fractions)} must be positive and add up to 1")
