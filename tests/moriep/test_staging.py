# SPDX-License-Identifier: MIT
"""Where IntraNode combine stages its rows, against what was seen on the virtual GPU and against a count of every row."""

from __future__ import annotations

from typing import Any

import pytest

from moriep.buffers import DispatchShape
from moriep.capacity import Capacity
from moriep.layouts import layout_for_release
from moriep.staging import CombineStaging, combine_staging, weight_sums_fit
from moriep.vocabulary import KernelType, QuantType

LAYOUT = layout_for_release("1.2.4")


def staging(*, weights: bool = False, **changes: Any) -> CombineStaging | None:
    values: dict[str, Any] = {
        "world_size": 2,
        "gpu_per_node": changes.get("world_size", 2),
        "hidden_dim": 64,
        "scale_dim": 0,
        "scale_type_size": 0,
        "max_token_type_size": 2,
        "max_num_inp_token_per_rank": 16,
        "num_experts_per_rank": 4,
        "num_experts_per_token": 3,
        **changes,
    }
    return combine_staging(DispatchShape(**values), LAYOUT, weights=weights)


def found(*, weights: bool = False, **changes: Any) -> CombineStaging:
    item = staging(weights=weights, **changes)
    assert item is not None
    return item


# Played on 1.2.4 with 12 tokens on each rank, all weights given: out of bounds, or finished.
@pytest.mark.parametrize(
    ("quant_type", "cap", "inside"),
    [
        (QuantType.NONE, 24, False),
        (QuantType.NONE, 26, True),
        (QuantType.FP8_DIRECT_CAST, 12, False),
        (QuantType.FP8_DIRECT_CAST, 14, True),
    ],
)
def test_what_the_virtual_gpu_said_of_caps(quant_type: QuantType, cap: int, inside: bool) -> None:
    item = found(weights=True, quant_type=quant_type, max_total_recv_tokens=cap)
    assert (item.needed_rows([12, 12]) <= item.rows) is inside
    assert (item.safe_tokens >= 12) is inside


@pytest.mark.parametrize("world_size", [1, 2, 4, 8])
@pytest.mark.parametrize("weights", [False, True])
@pytest.mark.parametrize("quant_type", [QuantType.NONE, QuantType.FP8_DIRECT_CAST, QuantType.FP8_BLOCKWISE])
def test_safe_tokens_and_smallest_cap_are_the_tightest(world_size: int, weights: bool, quant_type: QuantType) -> None:
    shape: dict[str, Any] = {"weights": weights, "world_size": world_size, "quant_type": quant_type, "hidden_dim": 256}
    for cap in range(1, 16 * world_size + 1):
        item = found(max_total_recv_tokens=cap, **shape)
        # Every token to the last rank is the worst routing.
        inside = [n for n in range(17) if item.needed_rows([n] * world_size) <= item.rows]
        assert item.safe_tokens == max(inside)
        assert item.safe == (16 in inside)
        needed = item.needed_rows([0] * (world_size - 1) + [9])
        smallest = item.smallest_cap(needed)
        assert found(max_total_recv_tokens=smallest, **shape).rows >= needed
        if smallest > world_size:
            assert found(max_total_recv_tokens=smallest - world_size, **shape).rows < needed


def test_only_receivers_that_get_a_token_count() -> None:
    item = found(max_total_recv_tokens=16, world_size=2)
    assert item.needed_rows([0, 0]) == 0
    assert item.needed_rows([7, 0]) == 7
    assert item.needed_rows([16, 1]) == 17


@pytest.mark.parametrize("cap", [0, 32, 1000])
def test_the_maximum_is_safe(cap: int) -> None:
    assert found(max_total_recv_tokens=cap).safe


def test_there_is_no_danger_without_staging_by_sender() -> None:
    assert staging(kernel_type=KernelType.ASYNC_LL, max_total_recv_tokens=8) is None
    shape = DispatchShape(2, 64, 0, 0, 2, 16, 4, 3, max_total_recv_tokens=8, gpu_per_node=2)
    assert combine_staging(shape, LAYOUT, external_input=False) is None
    assert combine_staging(shape, layout_for_release("1.0.0")) is None


# Played on 1.2.4, registered buffer, 16 tokens from one rank, 8 to each: out of bounds with a cap of 8, right with 16.
@pytest.mark.parametrize(
    ("cap", "weights", "inside"), [(8, True, False), (16, True, True), (8, False, True), (0, True, True)]
)
def test_weight_sums_need_a_row_for_each_token_of_the_sender(cap: int, weights: bool, inside: bool) -> None:
    assert weight_sums_fit(Capacity(2, 16, cap), 16, weights=weights) is inside
