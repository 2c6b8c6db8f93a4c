"""Threads that encode at once get the ids that one gets."""

from __future__ import annotations

import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from codex_audit.proofs.tokenizer.proof import Found, TokenizerProof, Trial, broken, holds, one_line
from codex_audit.proofs.tokenizer.search import shown

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

_THREADS = 4
_ROUNDS = 6
_SHORT = 40  # characters
_FEW = 12


def judge(trial: Trial) -> Found:
    """Four threads, each in another order, encoding and decoding all texts."""
    subject = trial.subject
    texts = list(trial.texts.values())
    expected = {text: subject.encode(text) for text in texts}
    decoded = {text: subject.decode(ids) for text, ids in expected.items()}

    short = [text for text in texts if len(text) <= _SHORT][:_FEW]

    def work(number: int, tried: list[str] = texts) -> str:
        try:
            return compared(number, tried)
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # noqa: BLE001 - alone none raised
            return f"a call raises {type(error).__name__}: {one_line(str(error), 100)}"

    def compared(number: int, tried: list[str]) -> str:
        order = tried[number * 5 :] + tried[: number * 5]
        for text in order if number % 2 else order[::-1]:
            ids = subject.encode(text)
            if ids != expected[text]:
                return f"{shown(text)} is {ids[:16]}, and {expected[text][:16]} in one thread"
            back = subject.decode(ids)
            if back != decoded[text]:
                return f"{shown(text)} is decoded to {shown(back)}, to another text in one thread"
        return ""

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)  # threads change places often, so that a race shows
    try:
        with ThreadPoolExecutor(_THREADS) as pool:
            faults = list(pool.map(work, [n for _ in range(_ROUNDS) for n in range(_THREADS)]))
        if not any(faults):
            # And after each line of Python, for on a busy machine they may take turns.
            with ThreadPoolExecutor(_THREADS, initializer=sys.settrace, initargs=(_yield,)) as pool:
                faults = list(pool.map(lambda number: work(number, short), range(_THREADS)))
    finally:
        sys.setswitchinterval(interval)
    fault = next(filter(None, faults), "")
    if fault:
        return broken(f"in {_THREADS} threads {fault}", component="state shared between calls")
    return holds(f"{_THREADS} threads get the ids and texts that one gets", compared=len(texts))


def _yield(frame: FrameType, event: str, argument: object) -> Callable[..., Any]:
    """A trace function that lets another thread go on."""
    del frame, event, argument
    time.sleep(0)
    return _yield


PROOF = TokenizerProof(
    id="threads_agree",
    claim="threads that encode and decode at once get the same as one alone",
    why="A server and a loader call one tokenizer from several threads.",
    catches=("a buffer kept on the object between steps of a call",),
    remedy="Keep what belongs to a call in local variables, or lock.",
    judge=judge,
)
