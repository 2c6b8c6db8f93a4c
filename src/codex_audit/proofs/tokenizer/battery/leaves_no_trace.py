"""A call leaves nothing behind that changes the next one."""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING

from codex_audit.proofs.tokenizer.proof import Found, TokenizerProof, Trial, broken, holds
from codex_audit.proofs.tokenizer.search import shown
from codex_audit.proofs.tokenizer.subject import LacksError, Layout, Subject

if TYPE_CHECKING:
    from collections.abc import Callable

_LAYOUTS = (
    Layout(),
    Layout(length=64, max_length=64, padding_side="left"),
    Layout(length=5, max_length=5, truncation_side="left"),
)


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
    called = _call(subject, texts, trial.plain)
    after = [subject.encode(text, special=special) for text in texts for special in (True, False)]
    differing = [i for i, (old, new) in enumerate(zip(ids, after, strict=True)) if old != new]
    if differing:
        place = min(differing, key=lambda i: len(texts[i // 2]))
        return broken(
            f"after {called} calls {shown(texts[place // 2])} is {after[place][:16]}, and was "
            f"{ids[place][:16]}",
            component="padding, truncation or cache that a call leaves behind",
        )
    now = _state(subject)
    if before != now:
        return broken(
            f"after {called} calls its serialised form is another: {_where(before, now)}",
            component="padding, truncation or other state that a call leaves behind",
        )
    form = "its serialised form and " if before is not None else ""
    return holds(f"after {called} calls {form}the ids of {len(texts)} texts are the same")


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
    catches=("padding and truncation that leak out of a batched call", "a cache with a wrong key"),
    remedy="Restore padding and truncation after each call, also when it raises.",
    judge=judge,
)
