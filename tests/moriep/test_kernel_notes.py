# SPDX-License-Identifier: MIT
"""What an explanation says of kernels beside what their signatures tell."""

from __future__ import annotations

from typing import Any

import pytest
from fake_mori import surface
from test_cap_note import KWARGS

from moriep.compatibility import explain


def notes(requirement: str, release: str = "1.2.4", **changes: Any) -> list[str]:
    return [note for note in explain({**KWARGS, **changes}, surface(release)).notes if requirement in note]


def test_nine_experts_of_a_token_are_one_too_many_for_the_low_latency_kernel() -> None:
    (note,) = notes("DSP-15", kernel_type="IntraNodeLL", num_experts_per_token=9)
    assert "num_experts_per_token=9" in note
    assert "IntraNode has them all" in note


@pytest.mark.parametrize(
    ("release", "kernel_type", "top_k"),
    [("1.2.4", "IntraNodeLL", 8), ("1.2.4", "IntraNode", 9), ("1.2.4", "AsyncLL", 8), ("1.1.1", "IntraNodeLL", 9)],
)
def test_nothing_is_said_where_no_expert_is_forgotten(release: str, kernel_type: str, top_k: int) -> None:
    assert notes("DSP-15", release, kernel_type=kernel_type, num_experts_per_token=top_k) == []


@pytest.mark.parametrize(
    ("top_k", "tokens", "expected"), [(9, 8, 1), (9, 7, 0), (3, 22, 1), (3, 21, 0), (8, 4096, 0), (65, 4096, 0)]
)
def test_rows_that_nobody_writes_are_told_where_top_k_does_not_divide_a_wave(
    top_k: int, tokens: int, expected: int
) -> None:
    found = notes("DSP-15", kernel_type="AsyncLL", num_experts_per_token=top_k, max_num_inp_token_per_rank=tokens)
    assert len(found) == expected
    assert all("up to 1.2.2" in note for note in found)


@pytest.mark.parametrize(
    ("kernel_type", "word"), [("InterNodeV1", "the next dispatch can hang"), ("InterNodeV1LL", "can lose")]
)
@pytest.mark.parametrize("release", ["1.1.1", "1.2.4"])
def test_nodes_whose_ranks_do_not_meet_are_warned(release: str, kernel_type: str, word: str) -> None:
    (note,) = notes("STA-5", release, kernel_type=kernel_type, world_size=16, gpu_per_node=8)
    assert word in note
    assert "ranks that meet after each dispatch" in note


@pytest.mark.parametrize(
    ("kernel_type", "world_size", "gpu_per_node"),
    [("InterNodeV1", 8, 8), ("InterNodeV1LL", 8, 8), ("IntraNode", 8, 8), ("InterNode", 16, 8), ("AsyncLL", 16, 8)],
)
def test_one_node_and_other_kernels_need_no_meeting(kernel_type: str, world_size: int, gpu_per_node: int) -> None:
    assert notes("STA-5", kernel_type=kernel_type, world_size=world_size, gpu_per_node=gpu_per_node) == []


@pytest.mark.parametrize(
    ("kernel_type", "external", "expected"),
    [("AsyncLL", False, 1), ("InterNode", False, 1), ("AsyncLL", True, 0), ("IntraNode", False, 0)],
)
def test_a_buffer_that_peers_write_over_is_told_where_combine_reads_it(
    kernel_type: str, external: bool, expected: int
) -> None:
    assert len(notes("CMB-4", kernel_type=kernel_type, use_external_inp_buf=external)) == expected


@pytest.mark.parametrize(("kernel_type", "expected"), [("AsyncLL", 1), ("InterNodeV1LL", 0)])
def test_sums_of_weights_that_are_zeros_are_told(kernel_type: str, expected: int) -> None:
    assert len(notes("CMB-3", kernel_type=kernel_type)) == expected
