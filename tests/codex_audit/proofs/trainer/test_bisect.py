"""Where two hand-made runs part, and which fault is named."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from codex_audit.proofs.trainer.bisect import diverge
from codex_audit.proofs.trainer.bits import NOT_KEPT, Bits
from codex_audit.proofs.trainer.pairs import Pair
from codex_audit.proofs.trainer.trace import Micro, State, Step, Trace

EPOCH = ((0, 1), (2, 3), (4, 5))
LATER = ((5, 0), (3, 4), (1, 2))
ORDER = (*EPOCH, *LATER)
SAVED = 4


def bits(name: str) -> dict[str, Bits]:
    return {"w": Bits("float32", (1,), NOT_KEPT, 4, name, finite=True)}


def state(number: int, **changes: Any) -> State:
    base = State(
        parameters=bits(f"p{number}"),
        buffers=bits(f"b{number}"),
        optimizer=bits(f"o{number}"),
        rng={"torch": f"t{number}"},
        modes="training",
    )
    return msgspec.structs.replace(base, **changes)


def step(number: int, rows: tuple[int, ...], **changes: Any) -> Step:
    base = Step(
        number=number,
        micros=(Micro(loss=float(number), content=str(rows), indices=rows),),
        before=state(number - 1),
        rates=(0.1 * number,),
        scale=1024.0,
        gradients=bits(f"g{number}"),
        grad_norm=1.0,
        after=state(number),
    )
    return msgspec.structs.replace(base, **changes)


ONE = Trace(steps=tuple(step(n, rows) for n, rows in enumerate(ORDER, 1)))


def cause(*, at: int = SAVED, restored: bool = True, **changes: Any) -> str:
    """What is named where the first step after a resume has changed."""
    rows = changes.pop("rows", ORDER[at])
    first = step(at + 1, rows, **changes)
    other = Trace(steps=(first, *ONE.steps[at + 1 :]))
    streams = frozenset({"torch"})
    kept = streams if restored else frozenset()
    found = diverge(Pair(ONE, other, at, resumed=True, streams=streams, restored=kept))
    assert found is not None
    assert found.step == at + 1
    return found.cause


def test_equal_runs_do_not_part() -> None:
    assert diverge(Pair(ONE, msgspec.structs.replace(ONE, steps=ONE.steps[2:]), 2)) is None


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (ORDER[3], "the epoch begins again"),
        (ORDER[0], "restarts at the beginning of the first epoch"),
        (ORDER[1], "the order of the epoch before"),
        (ORDER[5], "2 samples of the data are skipped"),
        ((4, 3), "the order within the batch"),
        ((0, 4), "its permutation is drawn anew"),
    ],
)
def test_another_batch_is_found_in_the_sequence(rows: tuple[int, ...], words: str) -> None:
    assert words in cause(rows=rows)
    # The other batch draws other numbers: the generator is not blamed.
    moved = state(SAVED, rng={"torch": "elsewhere"})
    assert "torch" not in cause(rows=rows, before=moved)


def test_a_part_that_was_not_called_yet_is_no_other_mode() -> None:
    later = state(SAVED, modes="training evaluation")
    first = step(SAVED + 1, ORDER[SAVED], before=later)
    other = Trace(steps=(first, *ONE.steps[SAVED + 1 :]))
    assert diverge(Pair(ONE, other, SAVED, resumed=True)) is None


def test_the_last_batch_repeated_is_told_from_a_restart() -> None:
    assert "the last batch is repeated" in cause(at=5, rows=ORDER[4])


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"optimizer": bits("lost")}, "the optimizer's state is not restored"),
        ({"buffers": bits("lost")}, "buffers of the model are not restored"),
        ({"parameters": bits("lost")}, "the weights are not restored"),
        ({"parameters": bits("p0")}, "the run begins anew"),
        ({"modes": "other"}, "another mode"),
    ],
)
def test_a_lost_state_is_named(changes: dict[str, Any], words: str) -> None:
    assert words in cause(before=state(SAVED, **changes))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"rates": (0.1,)}, "the learning-rate schedule is not restored"),
        ({"scale": 65536.0}, "the gradient scaler's state is not restored"),
        ({"gradients": bits("other")}, "the same loss gives other gradients"),
        ({"after": state(5, parameters=bits("other"))}, "another update"),
        ({"micros": (Micro(loss=9.0, content=str(ORDER[4]), indices=ORDER[4]),)}, "not determ"),
        (
            {"micros": (Micro(loss=9.0, content="drawn", indices=ORDER[4]),)},
            "no generator was lost",
        ),
    ],
)
def test_what_differs_within_the_step_is_named(changes: dict[str, Any], words: str) -> None:
    assert words in cause(**changes)


def test_a_lost_generator_is_told_from_one_that_is_drawn_from_too_early() -> None:
    other = {"rng": {"torch": "elsewhere"}}
    micros = (Micro(loss=9.0, content=str(ORDER[4]), indices=ORDER[4]),)
    changes: dict[str, Any] = {"before": state(SAVED, **other), "micros": micros}
    assert "is not restored" in cause(restored=False, **changes)
    assert "draws from it before the first step" in cause(restored=True, **changes)


def test_content_of_a_lost_generator_is_told_from_that_of_a_lost_count() -> None:
    micros = (Micro(loss=9.0, content="other", indices=ORDER[4]),)
    changes: dict[str, Any] = {"before": state(SAVED, rng={"torch": "elsewhere"}), "micros": micros}
    assert "content is drawn anew" in cause(restored=False, **changes)
    assert "no generator was lost" in cause(restored=True, **changes)


def test_a_parameter_that_takes_part_in_one_run_only_is_named() -> None:
    both = {**bits("g5"), "frozen": bits("g5")["w"]}
    assert "`frozen` takes part in one of the runs only" in cause(gradients=both)


def test_a_change_between_two_steps_is_blamed_on_what_runs_there() -> None:
    steps = list(ONE.steps)
    steps[2] = step(3, ORDER[2], before=state(2, parameters=bits("other")))
    found = diverge(Pair(ONE, Trace(steps=tuple(steps))))
    assert found is not None
    assert (found.step, "between two steps" in found.cause) == (3, True)


def test_steps_too_many_are_lost_progress() -> None:
    found = diverge(Pair(ONE, Trace(steps=(*ONE.steps[4:], ONE.steps[5])), 4, resumed=True))
    assert found is not None
    assert "progress is not restored" in found.cause
