# SPDX-License-Identifier: MIT
"""Receive rows: rounding, clamping, and what fits."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moriep.capacity import Capacity
from moriep.errors import CapacityError
from moriep.vocabulary import KernelType

worlds = st.integers(1, 128)
tokens = st.integers(1, 70000)
caps = st.integers(1, 2**24)


@pytest.mark.parametrize(
    ("cap", "per_rank", "rows", "clamped", "safe"),
    [
        (0, 4096, 32768, False, True),
        (1, 1, 8, False, False),
        (8, 1, 8, False, False),
        (9, 2, 16, False, False),
        (4096, 512, 4096, False, False),
        (4097, 513, 4104, False, False),
        (32760, 4095, 32760, False, False),
        (32761, 4096, 32768, False, True),
        (32768, 4096, 32768, False, True),
        (32769, 4096, 32768, True, True),
    ],
)
def test_rows_of_eight_ranks_with_4096_tokens(cap: int, per_rank: int, rows: int, clamped: bool, safe: bool) -> None:
    capacity = Capacity(8, 4096, cap)
    assert (capacity.per_rank, capacity.rows) == (per_rank, rows)
    assert (capacity.clamped, capacity.safe, capacity.worst_case) == (clamped, safe, 32768)


@given(worlds, tokens, caps)
def test_rows_are_the_smallest_multiple_of_the_world_size_that_holds_the_cap_or_the_worst_case(
    world_size: int, most: int, cap: int
) -> None:
    capacity = Capacity(world_size, most, cap)
    assert capacity.rows % world_size == 0
    if capacity.clamped:
        assert capacity.rows == capacity.worst_case
    else:
        assert cap <= capacity.rows < cap + world_size
    assert capacity.rows <= capacity.worst_case == Capacity(world_size, most).rows


@given(worlds, tokens, caps, caps)
def test_a_larger_cap_never_gives_fewer_rows(world_size: int, most: int, one: int, other: int) -> None:
    small, large = sorted((one, other))
    assert Capacity(world_size, most, small).rows <= Capacity(world_size, most, large).rows


@given(st.integers(1, 16), st.integers(1, 64), st.integers(0, 2000), st.data())
def test_what_fits_is_decided_by_the_sum_and_for_legacy_inter_node_by_the_largest_sender(
    world_size: int, most: int, cap: int, data: st.DataObject
) -> None:
    capacity = Capacity(world_size, most, cap)
    counts = data.draw(st.lists(st.integers(0, most), min_size=world_size, max_size=world_size))
    assert capacity.fits(counts) == (sum(counts) <= capacity.rows)
    assert capacity.fits(counts, KernelType.INTER_NODE) == all(count <= capacity.per_rank for count in counts)
    # Quotas are stricter than shared rows, and a safe capacity takes anything.
    assert capacity.fits(counts) or not capacity.fits(counts, KernelType.INTER_NODE)
    assert not capacity.safe or capacity.fits(counts)


@pytest.mark.parametrize("unsafe_by_one", [True, False])
def test_the_worst_routing_overflows_unless_the_capacity_is_safe(unsafe_by_one: bool) -> None:
    capacity = Capacity(8, 16, 120 if unsafe_by_one else 128)
    assert capacity.fits([16] * 8) is not unsafe_by_one


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((0, 4096), "world_size is 0"),
        ((8, 0), "max_num_inp_token_per_rank is 0"),
        ((8, -3), "max_num_inp_token_per_rank is -3"),
        ((8, 4096, -1), r"allowed: 0 \(the maximum\) or 1 … 32768"),
        ((65536, 65536), "32-bit int"),
    ],
)
def test_impossible_sizes_are_refused_by_name(arguments: tuple[int, ...], words: str) -> None:
    with pytest.raises(CapacityError, match=words):
        Capacity(*arguments)


@pytest.mark.parametrize(
    ("counts", "words"), [([1] * 7, "7 counts"), ([0] * 7 + [17], "rank 7"), ([-1] + [0] * 7, "rank 0")]
)
def test_counts_that_cannot_occur_are_refused(counts: list[int], words: str) -> None:
    with pytest.raises(CapacityError, match=words):
        Capacity(8, 16).fits(counts)
