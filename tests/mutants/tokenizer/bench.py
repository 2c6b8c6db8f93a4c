"""Every proof on one subject, in this process."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from codex_audit.proofs.tokenizer import domain, loading
from codex_audit.proofs.tokenizer.proof import Trial, battery, try_proof
from codex_audit.proofs.tokenizer.run import _ids
from codex_audit.proofs.tokenizer.texts import HARD_TEXTS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from codex_audit.outcome import Check

EXAMPLES = 120


def tried(
    thing: Any,
    *,
    normalization: tuple[str, ...] = (),
    other: Any = None,
    elsewhere: Mapping[str, list[int]] | None = None,
    trained: Mapping[str, list[int]] | None = None,
    proofs: Iterable[str] | None = None,
) -> dict[str, Check]:
    """The check of each proof on `thing`, by the proof's id."""
    if isinstance(thing, Path):
        subject = loading.from_path(thing)
    else:
        subject = loading.from_object(thing, type(thing).__name__)
    own = domain.checked(subject.domain, "domain") if subject.domain else ()
    texts = domain.hard(own) if own else HARD_TEXTS
    ids = {text: [_ids(subject, text) for _ in range(2)] for text in texts.values()}
    checks = {}
    for name, proof in battery().items():
        if proofs is not None and name not in proofs:
            continue
        with tempfile.TemporaryDirectory() as scratch:
            trial = Trial(
                subject=subject,
                texts=texts,
                scratch=Path(scratch),
                normalization=(*normalization, *subject.implied),
                examples=EXAMPLES,
                other=None if other is None else loading.from_object(other, "other"),
                elsewhere=elsewhere,
                trained=trained,
                domain=own,
                raises=any(None in pair for pair in ids.values()),
                unsteady=any(first != second for first, second in ids.values()),
            )
            checks[name] = try_proof(proof, trial)
    return checks
