# SPDX-License-Identifier: MIT
"""What an explanation says of a cap and IntraNode combine."""

from __future__ import annotations

from typing import Any

import pytest
from fake_mori import surface

from moriep.compatibility import explain

KWARGS: dict[str, Any] = {
    "data_type": "bfloat16",
    "rank": 0,
    "world_size": 2,
    "hidden_dim": 64,
    "scale_dim": 0,
    "scale_type_size": 0,
    "max_token_type_size": 2,
    "max_num_inp_token_per_rank": 16,
    "num_experts_per_rank": 4,
    "num_experts_per_token": 3,
    "gpu_per_node": 2,
    "max_total_recv_tokens": 24,
}


def notes(release: str, **changes: Any) -> list[str]:
    return [note for note in explain({**KWARGS, **changes}, surface(release)).notes if "CAP-7" in note]


@pytest.mark.parametrize("release", ["1.1.1", "1.2.4"])
def test_a_cap_below_the_maximum_is_named_with_what_is_safe(release: str) -> None:
    (note,) = notes(release)
    assert "writes past its 29 rows once a rank dispatches more than 13 tokens" in note


@pytest.mark.parametrize(
    "changes",
    [
        {"max_total_recv_tokens": 0},
        {"max_total_recv_tokens": 32},
        {"use_external_inp_buf": False},
        {"kernel_type": "AsyncLL"},
        {"quant_type": "fp8_direct_cast"},
    ],
)
def test_nothing_is_said_where_nothing_can_happen(changes: dict[str, Any]) -> None:
    assert notes("1.2.4", **changes) == []
    assert notes("1.0.0") == []
