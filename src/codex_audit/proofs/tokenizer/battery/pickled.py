"""What was pickled is the same tokenizer."""

from __future__ import annotations

import copy
import pickle  # nosec B403 - it is what is tried
from functools import partial

from codex_audit.proofs.tokenizer.proof import Found, TokenizerProof, Trial, broken, holds, one_line
from codex_audit.proofs.tokenizer.search import shown
from codex_audit.proofs.tokenizer.subject import LacksError, Subject


def judge(trial: Trial) -> Found:
    """Pickled, and copied deeply, as worker processes and trainers do."""
    subject = trial.subject
    if subject.inner is None:
        raise LacksError("the subject has no object to pickle")
    try:
        data = pickle.dumps(subject.inner)
    except Exception as error:  # libraries refuse with what they like
        said = " ".join(str(error).split())[:120]
        raise LacksError(f"it cannot be pickled ({type(error).__name__}: {said})") from error
    copies = {
        "pickled": partial(pickle.loads, data),  # its own pickle, made above
        "copied": partial(copy.deepcopy, subject.inner),
    }
    for way, make in copies.items():
        try:
            again = subject.around(make())
        except Exception as error:  # noqa: BLE001 - whatever it is, a copy cannot be made
            return broken(
                f"{way}, it cannot be made again: {type(error).__name__}: "
                f"{one_line(str(error), 120)}",
                component="pickling (__getstate__ and __setstate__, or __reduce__)",
            )
        for special in (True, False):

            def fails(text: str, *, special: bool = special, again: Subject = again) -> bool:
                return again.encode(text, special=special) != subject.encode(text, special=special)

            failing = list(filter(fails, trial.texts.values()))
            if failing:
                text = trial.smallest(failing, fails)
                return broken(
                    f"{way}, {len(failing)} texts have other ids; shortest: {shown(text)} was "
                    f"{subject.encode(text, special=special)[:16]} and is "
                    f"{again.encode(text, special=special)[:16]}",
                    component="pickling (__getstate__ and __setstate__, or __reduce__)",
                    failed=len(failing),
                )
    return holds(f"pickled and copied, {len(trial.texts)} texts have the same ids")


PROOF = TokenizerProof(
    id="pickled",
    claim="a pickled and a deeply copied tokenizer give the same ids",
    why="Loader workers and multi-process preprocessing work with a pickled copy.",
    catches=("added tokens lost by pickling", "settings that __getstate__ forgets"),
    remedy="Pickle every part that changes ids, or refuse to be pickled.",
    judge=judge,
)
