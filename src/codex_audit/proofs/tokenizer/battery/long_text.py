"""A line of a megabyte is encoded whole, in time that grows with its length."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from codex_audit.proofs.tokenizer.proof import Found, TokenizerProof, Trial, broken, holds
from codex_audit.proofs.tokenizer.search import shown
from codex_audit.proofs.tokenizer.subject import LacksError

if TYPE_CHECKING:
    from codex_audit.proofs.tokenizer.subject import Subject

_WORDS = "It was the best of times, it was the worst of times; caf\u00e9 \u4f60\u597d 3.14 (x + y) "
_WIDE = "\u4f60\u597d caf\u00e9 \u4e16\u754c \U0001f600 a\u4e2d "
_ROUND = 128
_KIB = 1024
_SIZES = (16, 64, 256, 1024)
_ENOUGH = 0.3  # below that many seconds a quotient is noise
# Sixteen times the text: linear is 16, n log n about 22, quadratic 256.
_SIXTEENFOLD = 64
# Four times the text, where waiting for more would take minutes: quadratic is 16.
_FOURFOLD, _SLOW = 11, 2.0
_PATIENCE = 60.0


def judge(trial: Trial) -> Found:
    """Four lengths, each four times the one before, in processor time."""
    subject = trial.subject
    if trial.domain:
        raise LacksError("a line of 1 MiB is no text of the domain")
    if subject.cuts_to is not None:
        return broken(
            f"encode() cuts every text to {subject.cuts_to} ids without being asked",
            component=f"truncation to {subject.cuts_to} in the file, which no_truncation() removes",
        )
    times: list[float] = []
    for size in _SIZES:
        text = (_WORDS * (size * _KIB // len(_WORDS) + 1))[: size * _KIB]
        seconds, ids = _timed(subject, text, rounds=3 if size < _SIZES[2] else 1)
        if _quadratic([*times, seconds]):  # once more, for a busy machine
            seconds = min(seconds, _timed(subject, text)[0])
        times.append(seconds)
        if _quadratic(times):
            back = min(3, len(times))
            return broken(
                f"{4 ** (back - 1)} times the text takes {seconds / times[-back]:.0f} times as long"
                f" ({size} KiB: {seconds:.2f} s): quadratic",
                component="time of encode() over a long line",
                seconds=round(seconds, 3),
            )
        fault = _cut(subject, text, ids)
        if fault:
            return broken(f"of a line of {size} KiB {fault}", component="truncation, or its end")
        if seconds > _PATIENCE:
            return broken(
                f"{size} KiB take {seconds:.0f} s", component="time of encode() over a long line"
            )
    fault = _altered(trial)
    if fault:
        return broken(fault, component="pieces that a long text is cut into for encoding")
    rate = _SIZES[-1] / _KIB / max(times[-1], 1e-9)
    return holds(
        f"a line of 1 MiB takes {times[-1]:.2f} s, one of 64 KiB {times[-3]:.3f} s",
        seconds=round(times[-1], 3),
        mib_per_second=round(rate, 2),
    )


def _altered(trial: Trial) -> str:
    """Where a long line comes back otherwise, though a short one does not.

    Half of its bytes are within a character, so that a cut between bytes meets one.
    """
    subject = trial.subject

    def differs(text: str) -> str:
        ids = subject.encode(text)
        if subject.unknown_id in ids:
            return ""
        there, back = trial.counts(text), trial.counts(subject.decode(ids))
        if there == back:
            return ""
        pairs = enumerate(zip(there, back, strict=False))
        place = next((n for n, (old, new) in pairs if old != new), min(len(there), len(back)))
        part, became = (shown(t[max(0, place - 4) : place + 4]) for t in (there, back))
        return f"from character {place} on it is {became}, and was {part}"

    if differs(_WIDE * 4):  # which is the round trip's
        return ""
    text = _WIDE * (_ROUND * _KIB // len(_WIDE))
    fault = differs(text)
    return f"a line of {_ROUND} Ki characters does not come back: {fault}" if fault else ""


def _quadratic(times: list[float]) -> bool:
    """Whether the last of the times has grown far more than its text."""
    last = times[-1]
    if len(times) > 2 and last > _ENOUGH and last > _SIXTEENFOLD * times[-3]:  # noqa: PLR2004 - two steps
        return True
    return len(times) > 1 and last > _SLOW and last > _FOURFOLD * times[-2]


def _timed(subject: Subject, text: str, rounds: int = 1) -> tuple[float, list[int]]:
    """The least processor time of several rounds: other processes are not its fault."""
    best = float("inf")
    ids: list[int] = []
    for _ in range(rounds):
        start = time.process_time()
        ids = subject.encode(text)
        best = min(best, time.process_time() - start)
    return best, ids


def _cut(subject: Subject, text: str, ids: list[int]) -> str:
    """Whether part of a long line is missing, by the ids that a short one has."""
    few = 20
    part = _WORDS * few
    density = len(subject.encode(part)) / len(part)
    half = 0.5
    if len(ids) < half * density * len(text):
        return f"only {len(ids)} ids come, where about {density * len(text):.0f} are due"
    tail = subject.decode(ids[-few:]).strip()
    if subject.unknown_id in ids[-few:]:
        return ""
    end = "".join(subject.decode(subject.encode(text[-few * 10 :])).split())
    return (
        "" if "".join(tail.split())[-3:] == end[-3:] else f"the end is lost: it is {tail[-20:]!r}"
    )


PROOF = TokenizerProof(
    id="long_text",
    claim="a line of 1 MiB is encoded whole, in time that grows with its length",
    why="One long line in a corpus otherwise stops a worker for hours, or is cut without a word.",
    catches=(
        "merging over the whole line", "a silent maximum length",
        "a character lost where a long text is cut",
    ),
    remedy="Split into words before merging, with a heap for long ones; never cut silently.",
    judge=judge,
)  # fmt: skip
