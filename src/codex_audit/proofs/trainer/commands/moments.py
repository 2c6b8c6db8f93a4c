"""Texts that name the moment at which they were made, such as `run2026_11_23_08-54`.

Two runs that begin in one minute write the same such text, so that comparing them does not show
that it differs by itself.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

_DIGITS = re.compile(r"\d+")
_NO_DIGIT = re.compile(r"\D+")
_LONGEST = 1440  # minutes after which a trial is not looked at


def only_moments_differ(one: str, other: str, since_ns: int, until_ns: int) -> bool:
    """Whether two texts are the same but for their digits, and both tell a time of the trial.

    The texts were made between the two times.
    """
    if not since_ns or _DIGITS.sub("0", one) != _DIGITS.sub("0", other):
        return False
    told = _told_within(since_ns, until_ns)
    return all(any(moment in _NO_DIGIT.sub("", text) for moment in told) for text in (one, other))


def _told_within(since_ns: int, until_ns: int) -> set[str]:
    """The digits of day, hour and minute as dates are written, by the local clock and by UTC."""
    first = datetime.fromtimestamp(since_ns / 1e9, UTC)
    minutes = min(int((until_ns - since_ns) / 60e9) + 1, _LONGEST)
    told = set()
    for each in [first + timedelta(minutes=number) for number in range(minutes + 1)]:
        for moment in (each, each.astimezone()):
            told |= {f"{moment.day}{moment:%H%M}", f"{moment:%Y%H%M}"}
    return told
