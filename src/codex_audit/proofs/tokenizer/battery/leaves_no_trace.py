"""A call leaves nothing behind that changes the next one."""

from __future__ import annotations

import contextlib
import json
from functools import partial
from typing import TYPE_CHECKING

from codex_audit.proofs.tokenizer.proof import Found, TokenizerProof, Trial, broken, holds
from codex_audit.proofs.tokenizer.search import shown
from codex_audit.proofs.tokenizer.subject import LacksError, Layout, Rows, Subject

if TYPE_CHECKING:
    from collections.abc import Callable

_LAYOUTS = (
    Layout(),
    Layout(length=64, max_length=64, padding_side="left"),
    Layout(length=5, max_length=5, truncation_side="left"),
)
# Sides, lengths: what a call that asks for none of them gets.
_OWN = tuple(
    Layout(length=length, max_length=length, padding_side=None, truncation_side=None)
    for length in (None, 9)
)
_BATCH = 8


def judge(trial: Trial) -> Found:
    """The serialised form, and all ids, before and after calls of every kind."""
    subject = trial.subject
    texts = list(trial.texts.values())
    before = _state(subject)
    ids = [subject.encode(text, special=special) for text in texts for special in (True, False)]
    again = [subject.encode(text, special=special) for text in texts for special in (True, False)]
    changed = [i for i, (old, new) in enumerate(zip(ids, again, strict=True)) if old != new]
    if changed:
        place = min(changed, key=lambda i: len(texts[i // 2]))
        framed = "" if place % 2 else " with begin and end tokens"
        return broken(
            f"encoded{framed} for the second time, {shown(texts[place // 2])} is "
            f"{again[place][:16]}, and was {ids[place][:16]}",
            component="cache, or a list that is handed out and changed",
        )
    fault = _taken_for(trial, texts)
    if fault:
        return broken(fault, component="cache, whose key is not the whole text")
    fault = _sides(subject, sorted(texts, key=len)[-_BATCH:], long=not trial.domain)
    if fault:
        return broken(
            fault, component="padding or truncation side, or length, that a call leaves behind"
        )
    changes = subject.changed_argument(texts)
    if changes:
        return broken(
            f"{changes}: the caller's texts or ids are others afterwards",
            component="list that is changed in place",
        )
    called = _call(subject, texts, trial.plain)
    fault = _differs(subject, texts, ids, before)
    if fault:
        return broken(
            f"after {called} calls {fault}",
            component="padding, truncation, cache or other state that a call leaves behind",
        )
    with contextlib.suppress(LacksError):
        subject.train(trial.domain or texts)
        called += 1
        fault = _differs(subject, texts, ids, before)
    if fault:
        return broken(
            f"after another one was trained by train(), {fault}",
            component="training, which changes the tokenizer itself",
        )
    form = "its serialised form and " if before is not None else ""
    return holds(f"after {called} calls {form}the ids of {len(texts)} texts are the same")


def _differs(subject: Subject, texts: list[str], ids: list[list[int]], before: str | None) -> str:
    """What is another than before the calls: the ids of a text, or the serialised form."""
    after = [subject.encode(text, special=special) for text in texts for special in (True, False)]
    differing = [i for i, (old, new) in enumerate(zip(ids, after, strict=True)) if old != new]
    if differing:
        place = min(differing, key=lambda i: len(texts[i // 2]))
        return f"{shown(texts[place // 2])} is {after[place][:16]}, and was {ids[place][:16]}"
    now = _state(subject)
    return "" if before == now else f"its serialised form is another: {_where(before, now)}"


def _taken_for(trial: Trial, texts: list[str]) -> str:
    """Whether a text in other letters than one before comes back as that one.

    What lower-cases gives neither, since each has letters of both cases.
    """
    for text in texts if not trial.domain else ():
        twin = text.swapcase()
        if text.lower() == text or text.upper() == text or twin.swapcase() != text:
            continue
        trial.subject.encode(text)
        back = trial.counts(trial.subject.decode(trial.subject.encode(twin)))
        if back == trial.counts(text) != trial.counts(twin):
            return f"encoded after {shown(text)}, {shown(twin)} comes back as that"
    return ""


def _sides(subject: Subject, batch: list[str], *, long: bool) -> str:
    """Whether a batch that asks for no side and no length is what it was, after ones that do."""
    own = _own(subject, batch)
    for layout, given in [*((each, batch) for each in _LAYOUTS), (Layout(), [batch[-1] * 3])]:
        if given is not batch and not long:
            continue
        try:
            subject.padded(given, layout)
        except LacksError:
            continue
        for old, new in zip(own, _own(subject, batch), strict=True):
            if old == new or old is None or new is None:
                continue
            rows = zip(batch, old.ids, new.ids, strict=True)
            text, was, now = next((row for row in rows if row[1] != row[2]), (batch[0], [], []))
            cut = f"cut at the {layout.truncation_side} to {layout.max_length or 'the longest'}"
            told = f"{now[:9]}, and was {was[:9]}" if was else "masked otherwise than before"
            if len(was) != len(now):
                told = f"{len(now)} ids long, and was {len(was)}"
            return (
                f"after a batch padded at the {layout.padding_side}, {cut}, "
                f"the row of {shown(text)} in one that asks for no side is {told}"
            )
    return ""


def _own(subject: Subject, batch: list[str]) -> list[Rows | None]:
    """A padded batch, and one that is cut as well, of which no side is asked."""
    found: list[Rows | None] = []
    for layout in _OWN:
        try:
            found.append(subject.padded(batch, layout))
        except LacksError:
            found.append(None)
    return found


def _state(subject: Subject) -> str | None:
    try:
        return subject.state()
    except LacksError:
        return None


def _call(subject: Subject, texts: list[str], plain: str) -> int:
    called = 0
    calls: list[Callable[[], object]] = [
        *(partial(subject.padded, texts[:8], layout) for layout in _LAYOUTS),
        lambda: subject.encode_batch(texts, special=True),
        lambda: subject.decode_batch([subject.encode(text) for text in texts]),
        lambda: subject.decode(subject.encode(plain, special=True)),
        lambda: subject.offsets(plain),
    ]
    for call in calls:
        try:
            call()
        except LacksError:
            continue
        called += 1
    return called


def _where(before: str | None, now: str | None) -> str:
    """The first key of the serialised form that differs."""
    try:
        old, new = json.loads(before or ""), json.loads(now or "")
        return next(
            f"{key} is {json.dumps(new.get(key))[:70]}, and was {json.dumps(old[key])[:70]}"
            for key in old
            if old[key] != new.get(key)
        )
    except (ValueError, AttributeError, TypeError, StopIteration):
        return "it is no JSON that could be compared by key"


PROOF = TokenizerProof(
    id="leaves_no_trace",
    claim="no call changes the serialised form, or the ids of a later call",
    why="Truncation that one call turns on cuts the texts of the next, and is saved with them.",
    catches=(
        "padding and truncation that leak out of a batched call",
        "a side that stays what one call asked for", "a cache with a wrong key",
    ),
    remedy="Restore padding and truncation after each call, also when it raises, and copy lists "
    "before you change them.",
    judge=judge,
)  # fmt: skip
