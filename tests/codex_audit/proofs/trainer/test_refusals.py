"""What refuses several ranks in words, and what merely breaks."""

from __future__ import annotations

import pytest

from codex_audit.failure import Failure
from codex_audit.proofs.trainer import refusals
from codex_audit.proofs.trainer.runs import Result
from codex_audit.proofs.trainer.trace import Micro, Trace


def ended(
    message: str, line: str, *, kind: str = "ValueError", file: str = "/repo/train.py"
) -> Result:
    text = (
        "Traceback (most recent call last):\n"
        '  File "/lib/run.py", line 3, in main\n    make(2)\n    ^^^^^^^\n'
        f'  File "{file}", line 7, in make\n    {line}\n    ^^^^\n{kind}: {message}\n'
    )
    return Result(trace=Trace(), failure=Failure(kind, message, text))


def test_what_every_rank_raises_on_purpose_is_a_refusal() -> None:
    one = ended("this runs in one process only", 'raise ValueError("this runs')
    assert refusals.words([one, one]) == "ValueError: this runs in one process only"


def test_so_is_an_assertion_with_words() -> None:
    one = ended("world_size must be 1: no DDP here", "assert world_size == 1, WORDS")
    assert refusals.words([one, one])


@pytest.mark.parametrize(
    "broken",
    [
        pytest.param(ended("RANK", 'port = environment["MASTER"]', kind="KeyError"), id="no raise"),
        pytest.param(ended("no such layer", "raise ValueError(name)"), id="of something else"),
        pytest.param(
            ended(
                "Default process group has not been initialized", "raise ValueError(",
                file="/v/site-packages/torch/distributed/c10d.py",
            ),
            id="raised by torch",
        ),
        pytest.param(Result(trace=Trace(), exit_code=-11), id="killed"),
    ],
)  # fmt: skip
def test_what_breaks_is_none(broken: Result) -> None:
    assert refusals.words([broken, broken]) == ""


def test_what_one_rank_alone_raises_is_none() -> None:
    one = ended("this runs in one process only", "raise ValueError(WORDS)")
    assert refusals.words([one, Result(trace=Trace())]) == ""


def test_nor_is_what_comes_after_training_began() -> None:
    one = ended("lost a rank", "raise ValueError(WORDS)")
    begun = Result(trace=Trace(pending=(Micro(loss=1.0),)), failure=one.failure)
    assert refusals.words([begun, begun]) == ""
