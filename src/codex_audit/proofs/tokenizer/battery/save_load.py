"""What was saved and loaded is the same tokenizer."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from codex_audit.proofs.tokenizer.proof import Found, TokenizerProof, Trial, broken, holds
from codex_audit.proofs.tokenizer.search import shown
from codex_audit.proofs.tokenizer.subject import LacksError, Layout, Subject

if TYPE_CHECKING:
    from pathlib import Path


def judge(trial: Trial) -> Found:
    """The same ids, special tokens and batches, and saved again the same bytes."""
    subject = trial.subject
    places = [trial.scratch / name for name in ("first", "second", "third")]
    for place in places:
        place.mkdir()
    subject.save(places[0])
    loaded = subject.load(places[0])
    # At once: what later calls leave behind is `leaves_no_trace`'s.
    loaded.save(places[1])
    subject.load(places[1]).save(places[2])
    for special in (True, False):

        def fails(text: str, *, special: bool = special) -> bool:
            return loaded.encode(text, special=special) != subject.encode(text, special=special)

        failing = list(filter(fails, trial.texts.values()))
        if failing:
            text = trial.smallest(failing, fails)
            return broken(
                f"{len(failing)} texts have other ids after saving and loading; shortest: "
                f"{shown(text)} was {subject.encode(text, special=special)[:16]} and is "
                f"{loaded.encode(text, special=special)[:16]}",
                component="saving or loading",
                failed=len(failing),
            )
    fault = _attributes(subject, loaded) or _texts(trial, subject, loaded)
    if fault:
        return broken(f"after saving and loading {fault}", component="saving or loading")
    first, second, third = map(_digests, places)
    # A library may add a note of its own to what it loads; that must then stay.
    drifting = [n for n in sorted(second.keys() | third.keys()) if second.get(n) != third.get(n)]
    if drifting:
        return broken(
            f"saved, loaded and saved again and again, {drifting[0]} differs each time",
            component="saving or loading",
        )
    return holds(
        f"saved and loaded, {len(trial.texts)} texts have the same ids; saved again, "
        f"{len(first)} file{'s' * (len(first) != 1)} {'are' if len(first) != 1 else 'is'} the same",
        compared=len(trial.texts),
    )


def _attributes(before: Subject, after: Subject) -> str:
    for name in ("special_ids", "pad_id", "unknown_id", "size"):
        old, new = getattr(before, name), getattr(after, name)
        if old != new:
            return f"{name} is {new}, and was {old}"
    return ""


def _texts(trial: Trial, before: Subject, after: Subject) -> str:
    for text in trial.texts.values():
        ids = before.encode(text)
        if before.decode(ids) != after.decode(ids):
            return (
                f"the ids of {shown(text)} are decoded to {shown(after.decode(ids))}, and were to "
                f"{shown(before.decode(ids))}"
            )
    if before.pad_id is None:
        return ""
    try:
        batch = list(trial.texts.values())[:4]
        same = before.padded(batch, Layout()) == after.padded(batch, Layout())
    except LacksError:
        return ""
    return "" if same else "a padded batch has other ids or masks"


def _digests(directory: Path) -> dict[str, str]:
    return {
        path.relative_to(directory).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in directory.rglob("*")
        if path.is_file()
    }


PROOF = TokenizerProof(
    id="save_load",
    claim="what was saved and loaded gives the same ids and texts, and saves the same bytes",
    why="A model that is served with another tokenizer than it was trained with answers nonsense.",
    catches=("added tokens that are not saved", "merges saved in another order"),
    remedy="Save every part that changes ids: vocabulary, merges, normalizer, added tokens.",
    judge=judge,
)
