# SPDX-License-Identifier: MIT
"""The overflow guard's decisions, against a plain count of every token."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moriep.buffers import DispatchShape
from moriep.capacity import Capacity
from moriep.dispatcher.guard import GuardMode, OverflowGuard, SendCounts
from moriep.errors import ReceiveOverflowError
from moriep.layouts import layout_for_release
from moriep.staging import combine_staging
from moriep.vocabulary import KernelType


def sends(*rows: tuple[int, ...]) -> list[SendCounts]:
    """Tokens by (sender, receiver); the tokens of each pair are the first ones of the sender."""
    return [SendCounts(row, row) for row in rows]


def guard(mode: GuardMode = GuardMode.EXACT, cap: int = 8, **options: Any) -> OverflowGuard:
    return OverflowGuard(mode, Capacity(2, 8, cap), **options)


def test_a_full_buffer_is_let_through_and_one_more_is_not() -> None:
    assert guard().check_exact(sends((4, 8), (4, 0))) == (8, 8)
    with pytest.raises(ReceiveOverflowError) as caught:
        guard().check_exact(sends((4, 8), (4, 1)))
    error = caught.value
    assert (error.counts, error.capacity, error.smallest, error.certain) == ((8, 9), 8, 10, True)
    assert "rank 1 would receive 9 tokens, its buffer has 8 rows (tokens by rank: [8, 9])" in str(error)
    assert "of at least 10, or 0 for the maximum of 16" in str(error)


counts_of = st.integers(1, 5).flatmap(
    lambda world_size: st.tuples(
        st.integers(0, 12 * world_size),
        st.lists(
            st.lists(st.integers(0, 12), min_size=world_size, max_size=world_size),
            min_size=world_size,
            max_size=world_size,
        ),
    )
)


@given(counts_of)
def test_the_exact_guard_raises_if_and_only_if_a_buffer_overflows_and_names_the_smallest_cap(
    drawn: tuple[int, list[list[int]]],
) -> None:
    cap, rows = drawn
    capacity = Capacity(len(rows), 12, cap)
    every = sends(*(tuple(row) for row in rows))
    received = [sum(column) for column in zip(*rows, strict=True)]
    exact = OverflowGuard(GuardMode.EXACT, capacity)
    if max(received) <= capacity.rows:
        assert exact.check_exact(every) == tuple(received)
        return
    with pytest.raises(ReceiveOverflowError) as caught:
        exact.check_exact(every)
    assert caught.value.counts == tuple(received)
    smallest = caught.value.smallest
    assert smallest is not None
    assert Capacity(len(rows), 12, smallest).rows >= max(received)
    assert smallest <= len(rows) or Capacity(len(rows), 12, smallest - len(rows)).rows < max(received)


def test_the_legacy_kernel_has_a_quota_for_each_pair() -> None:
    legacy = guard(kernel_type=KernelType.INTER_NODE)
    assert legacy.check_exact(sends((4, 4), (4, 4))) == (8, 8)
    with pytest.raises(ReceiveOverflowError, match="one rank sends 5 tokens to another") as caught:
        legacy.check_exact(sends((5, 0), (0, 0)))
    assert caught.value.smallest == 10


def test_rows_that_the_cut_would_lose_are_an_overflow() -> None:
    with pytest.raises(ReceiveOverflowError, match="MOE_MAX_INPUT_TOKENS=6 cuts the rest off"):
        guard(cap=0, most_rows=6).check_exact(sends((4, 0), (3, 0)))
    assert guard(cap=0, most_rows=7).check_exact(sends((4, 0), (3, 0))) == (7, 0)


def staged() -> OverflowGuard:
    shape = DispatchShape(2, 64, 0, 0, 2, 8, 4, 3, max_total_recv_tokens=10, gpu_per_node=2)
    return guard(cap=10, staging=combine_staging(shape, layout_for_release("1.2.4")))


def test_what_combine_would_stage_outside_is_refused_with_its_reason() -> None:
    # 10 rows of 156 bytes are 12 rows of 128: behind the 8 rows of rank 0 there is room for 4 tokens of rank 1.
    assert staged().check_exact(sends((0, 4), (0, 4))) == (0, 8)
    with pytest.raises(ReceiveOverflowError, match="combine: dispatch fits, but IntraNode combine") as caught:
        staged().check_exact(sends((0, 5), (0, 4)))
    assert "needs row 12" in str(caught.value)
    assert "at most 4 tokens per rank" in str(caught.value)
    assert caught.value.smallest == 12


def test_the_free_guard_lets_through_what_the_numbers_of_tokens_exclude() -> None:
    free = guard(GuardMode.FREE)
    assert free.check_free(3, [3, 5]) == 8
    with pytest.raises(ReceiveOverflowError, match="not excluded that a rank receives up to 9 tokens") as caught:
        free.check_free(3, [3, 6])
    assert not caught.value.certain
    # Without knowing the others each may send 8.
    assert guard(GuardMode.FREE, cap=10).check_free(2) == 10
    with pytest.raises(ReceiveOverflowError, match="if each other rank sends its most, 8"):
        guard(GuardMode.FREE, cap=10).check_free(3)


@given(st.lists(st.integers(0, 8), min_size=2, max_size=2), st.data())
def test_what_the_free_guard_lets_through_the_exact_one_does_too(tokens: list[int], data: st.DataObject) -> None:
    free, exact = guard(GuardMode.FREE), guard()
    try:
        free.check_free(tokens[0], tokens)
    except ReceiveOverflowError:
        return
    rows = [tuple(data.draw(st.integers(0, most)) for _ in range(2)) for most in tokens]
    exact.check_exact(sends(*rows))


@pytest.mark.parametrize("mode", list(GuardMode))
def test_a_count_above_the_buffer_is_reported_after_the_fact_in_every_mode(mode: GuardMode) -> None:
    guard(mode).check_received(8)
    with pytest.raises(ReceiveOverflowError, match="memory behind it has been overwritten"):
        guard(mode).check_received(9)


@pytest.mark.parametrize(
    ("item", "needed"),
    [
        (guard(), True),
        (guard(cap=0), False),
        (guard(cap=16), False),
        (guard(GuardMode.OFF), False),
        (guard(cap=0, most_rows=5), True),
        (staged(), True),
    ],
)
def test_nothing_is_counted_where_nothing_can_overflow(item: OverflowGuard, needed: bool) -> None:
    assert item.needed is needed
    assert item.counts_routing is (needed and item.mode is GuardMode.EXACT)
