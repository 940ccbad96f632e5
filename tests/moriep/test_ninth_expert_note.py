# SPDX-License-Identifier: MIT
"""What an explanation says of IntraNodeLL and more than eight experts of a token."""

from __future__ import annotations

from typing import Any

import pytest
from fake_mori import surface
from test_cap_note import KWARGS

from moriep.compatibility import explain


def notes(release: str, **changes: Any) -> list[str]:
    return [note for note in explain({**KWARGS, **changes}, surface(release)).notes if "DSP-15" in note]


def test_nine_experts_of_a_token_are_one_too_many_for_the_low_latency_kernel() -> None:
    (note,) = notes("1.2.4", kernel_type="IntraNodeLL", num_experts_per_token=9)
    assert "num_experts_per_token=9" in note
    assert "IntraNode has them all" in note


@pytest.mark.parametrize(
    ("release", "kernel_type", "top_k"),
    [("1.2.4", "IntraNodeLL", 8), ("1.2.4", "IntraNode", 9), ("1.2.4", "AsyncLL", 9), ("1.1.1", "IntraNodeLL", 9)],
)
def test_nothing_is_said_where_none_is_forgotten(release: str, kernel_type: str, top_k: int) -> None:
    assert notes(release, kernel_type=kernel_type, num_experts_per_token=top_k) == []
