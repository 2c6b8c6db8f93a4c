"""Hand-made losses and checkpoints: what is compared, what is left out, and which cause is named."""

from __future__ import annotations

import struct
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from msgspec.structs import replace

from codex_audit.proofs.trainer.bits import BitsFile
from codex_audit.proofs.trainer.commands.asked import Asked, Opened, Ran, Written
from codex_audit.proofs.trainer.commands.causes import Before, Resumed, resumed
from codex_audit.proofs.trainer.commands.compare import after_resume, side_by_side
from codex_audit.proofs.trainer.commands.losses import Logged

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

STEPS = 10
WHOLE = [8.0, 7.0, 6.0, 5.0, 4.0, 3.0, 2.5, 2.0, 1.5, 1.0]
WEIGHTS = "model.weight"


def logged(losses: Sequence[float], first: int | None = 1) -> tuple[Logged, ...]:
    if first is None:
        return tuple(Logged(loss) for loss in losses)
    return tuple(Logged(loss, number) for number, loss in enumerate(losses, first))


class Maker:
    """Makes what runs have written; each checkpoint's tensors are single floats."""

    def __init__(self, where: Path) -> None:
        self._where = where
        self._made = 0

    def __call__(
        self,
        losses: Sequence[Logged],
        tensors: dict[str, float] | None = None,
        leaves: dict[str, str] | None = None,
    ) -> Written:
        self._made += 1
        path = self._where / f"{self._made}.bits"
        bits = BitsFile(path)
        given = {WEIGHTS: 1.0} if tensors is None else tensors
        found = {
            name: bits.raw(struct.pack("f", value), "float32", ()) for name, value in given.items()
        }
        bits.close()
        opened = Opened(
            path="a.pt", fresh=True, modified_ns=1, kind="torch", tensors=found, leaves=leaves or {}
        )
        ran = Ran(exit_code=0, losses=tuple(losses))
        return Written(asked=Asked(steps=STEPS), ran=ran, opened=(opened,), bits=str(path))


@pytest.fixture
def make(tmp_path: Path) -> Maker:
    return Maker(tmp_path)


def judged(make: Maker, later: Written, **parts: Written) -> Resumed:
    whole = parts.get("whole", make(logged(WHOLE)))
    again = parts.get("again", whole)
    interrupted = parts.get("interrupted", make(logged(WHOLE[:7]), {WEIGHTS: 0.5}))
    return resumed(Before(whole, again, interrupted, done=5), later)


@pytest.mark.parametrize("first", [6, None])
def test_losses_after_a_resume_stand_beside_those_of_the_same_steps(first: int | None) -> None:
    whole = logged(WHOLE, None if first is None else 1)
    found = after_resume(whole, logged(WHOLE[5:], first), done=5, steps=STEPS)
    assert [row.step for row in found.rows] == [f"step {n}" for n in range(6, 11)]
    assert (found.different, found.anew, found.again, found.end) == ((), False, 0, "")
    found = after_resume(whole, logged([9.0, *WHOLE[6:]], first), done=5, steps=STEPS)
    assert [row.step for row in found.different] == ["step 6"]


def test_steps_that_are_made_again_or_not_at_all_are_seen() -> None:
    whole = logged(WHOLE)
    assert after_resume(whole, logged(WHOLE[2:], 3), done=5, steps=STEPS).again == 2
    assert after_resume(whole, whole, done=5, steps=STEPS).anew
    assert after_resume(logged(WHOLE, None), logged(WHOLE, None), done=5, steps=STEPS).anew
    beyond = after_resume(whole, logged([*WHOLE[5:], *WHOLE[:5]], 6), done=5, steps=STEPS)
    assert beyond.end == "it ended at step 15, not at 10"


def test_losses_of_some_steps_without_their_number_are_not_compared() -> None:
    found = after_resume(logged(WHOLE[:3], None), logged(WHOLE[:1], None), done=1, steps=STEPS)
    assert found.rows == ()
    assert "a group `step` would tell" in found.why


def bar(*places: tuple[int | None, int], of: int = 4) -> list[Logged]:
    """Losses of some places in epochs of so many steps."""
    return [Logged(100.0 - of * (epoch or 1) - step, step, epoch) for epoch, step in places]


def test_what_a_progress_bar_leaves_out_is_no_difference() -> None:
    one = bar((1, 1), (1, 3), (1, 4), (2, 1), (2, 4))
    other = bar((1, 2), (1, 3), (1, 4), (2, 4))
    found = side_by_side(one, other)
    assert [row.step for row in found.rows] == [
        "epoch 1 step 3",
        "epoch 1 step 4",
        "epoch 2 step 4",
    ]
    assert not found.different
    assert not found.end
    assert side_by_side(one, other[:3]).end == "it ended at epoch 1 step 4, not at epoch 2 step 4"
    assert side_by_side(bar((1, 1), (1, 2)), bar((1, 2), (1, 1))).end  # a step back is a new round
    both = [Logged(2.0), Logged(1.0)]
    assert side_by_side(both, both[:1]).end == "1 losses are logged instead of 2"


def test_steps_that_begin_again_need_their_epoch() -> None:
    places = [(epoch, step) for epoch in (1, 2, 3) for step in range(4)]
    whole, late = bar(*places), bar(*places[6:])
    found = after_resume(whole, late, done=5, steps=3)
    assert found.rows[0].step == "epoch 2 step 2"
    assert (found.every, found.different, found.again, found.end) == (True, (), 0, "")
    assert after_resume(whole, bar(*places[2:]), done=5, steps=3).again == 2
    assert after_resume(whole, whole, done=5, steps=3).anew
    told = after_resume(
        *([replace(x, epoch=None) for x in y] for y in (whole, late)), done=5, steps=3
    )
    assert "a group `epoch` would tell it" in told.why
    rarely = bar((1, 0), (2, 0), (3, 0))
    assert after_resume(rarely, rarely[1:], done=1, steps=3).every  # a loss of each epoch
    rarely = bar((1, 0), (1, 10), (2, 0), (2, 10))
    assert not after_resume(rarely, rarely[2:], done=1, steps=3).every


def test_a_resume_may_begin_within_the_losses_of_one_epoch() -> None:
    whole = [Logged(9.0 - number, None, number // 3) for number in range(9)]
    within = after_resume(whole, whole[2:], done=2, steps=9)
    assert (within.different, within.anew, within.again) == ((), False, 0)
    twice = after_resume(whole, whole[:], done=3, steps=9)
    assert (twice.anew, twice.again) == (False, 2)  # its checkpoint is of the first epoch's end
    assert after_resume(whole, whole[:], done=4, steps=9).anew
    # a step that was logged before its checkpoint, and is made after it
    steps = bar((0, 1), (0, 2), (0, 3), (0, 4))
    assert not after_resume(steps, steps[1:], done=2, steps=4).again
    assert after_resume(steps, steps, done=1, steps=4).anew


def test_nan_is_the_same_as_nan() -> None:
    nan = float("nan")
    assert side_by_side(logged([nan, 1.0]), logged([nan, 1.0])).different == ()
    assert [r.step for r in side_by_side(logged([nan]), logged([1.0])).different] == ["step 1"]


def test_an_equal_resume_has_no_problem(make: Maker) -> None:
    found = judged(make, make(logged(WHOLE[5:], 6)))
    assert found.problem == ""
    assert found.compared == 5
    assert found.found.files == ("a.pt",)


@pytest.mark.parametrize(
    ("losses", "tensors", "leaves", "cause"),
    [
        ([3.2, 2.6, 2.1, 1.6, 1.1], {WEIGHTS: 2.0}, {}, "the batch order or a generator"),
        ([7.9, 7.0, 6.0, 5.0, 4.0], {WEIGHTS: 2.0}, {}, "the weights are not restored: the first"),
        ([3.0, 2.6, 2.1, 1.6, 1.1], {WEIGHTS: 2.0}, {}, "the checkpoint holds no state of an opt"),
        ([3.0, 2.5, 2.0, 1.6, 1.1], {WEIGHTS: 2.0}, {}, "what comes into play at step 9"),
        (WHOLE[5:], {WEIGHTS: 2.0}, {}, "the weights (`model.weight`) is not restored to the bit"),
        (
            [3.2, 2.6, 2.1, 1.6, 1.1],
            {WEIGHTS: 2.0, "optimizer.state.0.step": 5.0},
            {},
            "the optimizer began anew (`optimizer.state.0.step` is 5 instead of 10)",
        ),
        (
            [3.0, 2.6, 2.1, 1.6, 1.1],
            {WEIGHTS: 2.0},
            {"scheduler.last_epoch": "5"},
            "the schedule began anew (`scheduler.last_epoch` is 5 instead of 10)",
        ),
        (WHOLE[5:], {WEIGHTS: 1.0}, {"best": "inf"}, "`best` is saved and not restored"),
    ],
)
def test_causes(
    make: Maker,
    losses: Sequence[float],
    tensors: dict[str, float],
    leaves: dict[str, str],
    cause: str,
) -> None:
    state = {WEIGHTS: 1.0} | ({"optimizer.state.0.step": 10.0} if len(tensors) > 1 else {})
    values = {"scheduler.last_epoch": "10", "best": "1.0"}
    whole = make(logged(WHOLE), state, {name: values[name] for name in leaves})
    early = make(logged(WHOLE[:7]), {WEIGHTS: 0.5}, dict.fromkeys(leaves, "4"))
    later = make(logged(losses, 6), tensors, leaves)
    found = judged(make, later, whole=whole, interrupted=early)
    assert found.problem
    assert cause in found.cause


def test_times_and_settings_do_not_count(make: Maker) -> None:
    def leaves(seconds: str, init: str, done: str) -> dict[str, str]:
        return {"seconds": seconds, "config.init_from": init, "iter_num": done}

    parts = {
        "whole": make(logged(WHOLE), leaves=leaves("1.5", "'scratch'", "10")),
        "again": make(logged(WHOLE), leaves=leaves("1.6", "'scratch'", "10")),
        "interrupted": make(logged(WHOLE[:7]), leaves=leaves("0.7", "'scratch'", "5")),
    }
    later = make(logged(WHOLE[5:], 6), leaves=leaves("0.8", "'resume'", "10"))
    assert judged(make, later, **parts).problem == ""
    lost = make(logged(WHOLE[5:], 6), leaves=leaves("0.8", "'resume'", "5"))
    assert judged(make, lost, **parts).problem == "`iter_num` is 5 instead of 10"


@pytest.mark.parametrize(
    ("name", "later", "counts"),
    [
        ("'run2026_11_23_08_54_20'", "'run2026_11_23_08_56_02'", False),
        ("'logs/Nov23_08-54-20_host'", "'logs/Nov23_08-56-02_host'", False),
        ("'23/11/2026 8:54'", "'23/11/2026 8:56'", True),  # hours are written with two digits
        ("'epoch=3-step=300.ckpt'", "'epoch=2-step=200.ckpt'", True),
        ("'run2026_11_23_08_54'", "'run2026_11_23_08_54_resumed'", True),
        ("300", "200", True),
    ],
)
def test_a_text_that_tells_when_a_process_began_does_not_count(
    make: Maker, name: str, later: str, *, counts: bool
) -> None:
    def of(losses: Sequence[Logged], text: str, minute: int) -> Written:
        made = make(losses, leaves={"name": text})
        began = datetime(2026, 11, 23, 8, minute, 10, tzinfo=UTC).timestamp()
        return replace(made, ran=replace(made.ran, started_ns=int(began * 1e9), seconds=20.0))

    whole = of(logged(WHOLE), name, 54)  # the second run began in the same minute
    early = of(logged(WHOLE[:7]), "0", 55)
    found = judged(make, of(logged(WHOLE[5:], 6), later, 56), whole=whole, interrupted=early)
    assert bool(found.problem) is counts, found.problem


def test_checkpoints_of_other_steps_are_not_compared(make: Maker) -> None:
    whole = make(logged(WHOLE), {WEIGHTS: 1.0}, {"step": "10"})
    early = make(logged(WHOLE[:7]), {WEIGHTS: 0.5}, {"step": "5"})
    later = make(logged(WHOLE[5:], 6), {WEIGHTS: 0.9}, {"step": "9"})
    found = judged(make, later, whole=whole, interrupted=early)
    assert found.problem == ""
    assert found.notes == ("its checkpoints were written after other steps, and are not compared",)


def test_a_mean_over_the_interruption_counts_only_if_the_training_differs(make: Maker) -> None:
    def means(*pairs: tuple[int, float]) -> tuple[Logged, ...]:
        return tuple(Logged(loss, step) for step, loss in pairs)

    whole = make(means((2, 7.5), (4, 5.5), (6, 3.5), (8, 2.2), (10, 1.2)))
    before = Before(whole, whole, make(means((2, 7.5), (4, 5.5)), {WEIGHTS: 0.5}), done=2)
    found = resumed(before, make(means((6, 3.1), (8, 2.2), (10, 1.2))))
    assert found.problem == ""
    assert "step 6 spans the interruption" in found.notes[0]
    other = resumed(before, make(means((6, 3.1), (8, 2.2), (10, 1.2)), {WEIGHTS: 1.1}))
    assert other.problem.startswith("step 6: the loss is 3.1 instead of 3.5")


def test_weights_that_are_saved_with_fewer_digits_than_the_optimizer_keeps(make: Maker) -> None:
    before = make(logged(WHOLE[:7]), {WEIGHTS: 0.5, "optimizer.state.0.exp_avg": 0.1})
    (opened,) = before.opened
    weights, moment = opened.tensors.values()
    half = replace(weights, dtype="float16", shape=(1,))
    full = replace(moment, shape=(1,))
    tensors = {WEIGHTS: half, "optimizer.state.0.exp_avg": full}
    rounded = replace(before, opened=(replace(opened, tensors=tensors),))
    later = make(logged([3.0, 2.6, 2.1, 1.6, 1.1], 6), {WEIGHTS: 2.0})
    found = judged(make, later, interrupted=rounded)
    assert "holds the weights (`model.weight`) in float16" in found.cause
    assert "float16" not in judged(make, later, interrupted=before).cause


@pytest.mark.parametrize(
    ("losses", "states", "cause"),
    [
        # A coin of Python's that is not tossed alike: the first losses may well agree.
        ([3.0, 2.5, 2.1, 1.6, 1.1], ("a", "b"), "checkpoints after the resume (`python_rng`)"),
        ([3.2, 2.6, 2.1, 1.6, 1.1], ("a", "b"), "checkpoints after the resume (`python_rng`)"),
        ([3.2, 2.6, 2.1, 1.6, 1.1], ("a", "a"), "are as they should be: look at the position in"),
        ([3.0, 2.6, 2.1, 1.6, 1.1], ("a", "a"), "the optimizer's state or the learning rate is"),
    ],
)
def test_the_states_of_generators_in_later_checkpoints_tell_whether_they_were_restored(
    make: Maker, losses: Sequence[float], states: tuple[str, str], cause: str
) -> None:
    whole = make(logged(WHOLE), leaves={"python_rng": states[0]})
    early = make(logged(WHOLE[:7]), {WEIGHTS: 0.5}, {"python_rng": "0"})
    later = make(logged(losses, 6), {WEIGHTS: 2.0}, {"python_rng": states[1]})
    found = judged(make, later, whole=whole, interrupted=early)
    assert cause in found.cause
    assert ("the update was another" in found.cause) == ("the optimizer's" in cause)
    assert "is not drawn at each step" not in found.cause


def test_a_loss_that_differs_later_may_be_of_a_generator_that_is_not_saved(make: Maker) -> None:
    found = judged(make, make(logged([3.0, 2.6, 2.1, 1.6, 1.1], 6), {WEIGHTS: 2.0}))
    assert "a number was drawn that is not drawn at each step" in found.cause


def test_a_rate_that_is_another_in_the_checkpoints_is_named(make: Maker) -> None:
    name = "optimizer.param_groups.0.lr"
    whole = make(logged(WHOLE), leaves={name: "0.1"})
    early = make(logged(WHOLE[:7]), {WEIGHTS: 0.5}, {name: "0.4"})
    later = make(logged([3.0, 2.6, 2.1, 1.6, 1.1], 6), {WEIGHTS: 2.0}, {name: "0.3"})
    found = judged(make, later, whole=whole, interrupted=early)
    assert f"the learning rate was another (`{name}` is 0.3 instead of 0.1)" in found.cause


@pytest.mark.parametrize(
    ("at_the_checkpoint", "later", "cause"),
    [
        (4.0, 9.0, "1 of the updates that were counted are not in the checkpoint"),
        (5.0, 5.0, "the optimizer began anew"),
    ],
)
def test_an_update_that_is_missing_is_told_from_a_lost_state(
    make: Maker, at_the_checkpoint: float, later: float, cause: str
) -> None:
    name = "optimizer.state.0.step"
    whole = make(logged(WHOLE), {WEIGHTS: 1.0, name: 10.0})
    early = make(logged(WHOLE[:7]), {WEIGHTS: 0.5, name: at_the_checkpoint})
    resumed_run = make(logged([3.2, 2.6, 2.1, 1.6, 1.1], 6), {WEIGHTS: 2.0, name: later})
    found = judged(make, resumed_run, whole=whole, interrupted=early)
    assert found.cause.startswith(cause)
    assert ("the batch order" in found.cause) == (later == at_the_checkpoint)
