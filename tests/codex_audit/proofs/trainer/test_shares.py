"""Ranks with the same samples are told from those that number or divide data of their own."""

from __future__ import annotations

from codex_audit.proofs.trainer.shares import overlap, same_samples
from codex_audit.proofs.trainer.trace import Micro, State, Step, Trace

MASK = "mask"


def trace(batches: list[tuple[tuple[int, ...] | None, tuple[str, ...], str]]) -> Trace:
    """One of steps with a micro-batch each: samples, what a loader gave, what the model had."""
    return Trace(
        steps=tuple(
            Step(
                number=number,
                micros=(Micro(1.0, content, rows, delivered=given),),
                before=State(),
                rates=(),
                scale=None,
                gradients={},
                grad_norm=0.0,
                after=State(),
            )
            for number, (rows, given, content) in enumerate(batches, start=1)
        )
    )


ROWS = [(0, 1), (2, 3), (4, 5), (6, 7)]


def rank(own: str, given: str, rows: list[tuple[int, ...] | None] | None = None) -> Trace:
    known = ROWS if rows is None else rows
    return trace([(r, (MASK, f"{given}{i}"), f"{own}{i}") for i, r in enumerate(known)])


def test_the_same_batches_that_each_rank_augments() -> None:
    assert same_samples(rank("a", "batch"), rank("b", "batch"))
    none: list[tuple[int, ...] | None] = [None] * 4
    assert same_samples(rank("a", "batch", none), rank("b", "batch", none))


def test_the_same_content_without_a_loader() -> None:
    one = trace([(None, (), f"content{i}") for i in range(4)])
    assert same_samples(one, one)
    assert not same_samples(one, trace([(None, (), f"other{i}") for i in range(4)]))


def test_equal_numbers_of_other_data() -> None:
    assert not same_samples(rank("a", "mine"), rank("b", "yours"))


def test_a_mask_that_all_batches_have_tells_nothing() -> None:
    none: list[tuple[int, ...] | None] = [None] * 4
    assert not same_samples(rank("a", "mine", none), rank("b", "yours", none))


def test_a_batch_that_is_divided_is_not_told_of() -> None:
    one, other = (trace([(r, (), f"{own}{r}") for r in ROWS]) for own in "ab")
    assert not same_samples(one, other)


def shared(one: list[int], other: list[int]) -> tuple[int, int] | None:
    left, right = (trace([((row,), (), "") for row in rows]) for rows in (one, other))
    return overlap(left, right)


def test_shares_of_two_orders_overlap() -> None:
    one, other = [0, 9, 3, 12, 6, 15, 1, 10], [0, 9, 3, 12, 5, 14, 2, 13]
    assert shared(one * 2, other * 2) == (4, 8)


def test_shares_of_one_order_do_not() -> None:
    evens, odds = list(range(0, 16, 2)), list(range(1, 16, 2))
    assert shared(evens * 2, odds * 2) is None


def test_ranks_that_go_through_all_data_or_count_their_own_from_0_have_no_shares() -> None:
    rows = list(range(8))
    assert shared(rows * 2, rows * 2) is None
