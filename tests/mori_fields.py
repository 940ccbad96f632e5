# SPDX-License-Identifier: MIT
"""The fields of `EpDispatchCombineConfig` as 1.2.4 has them, in one place: tests make stand-ins for the class from them."""

from __future__ import annotations

from typing import Any

__all__ = ["OPTIONAL", "REQUIRED"]

REQUIRED = (
    "data_type",
    "rank",
    "world_size",
    "hidden_dim",
    "scale_dim",
    "scale_type_size",
    "max_token_type_size",
    "max_num_inp_token_per_rank",
    "num_experts_per_rank",
    "num_experts_per_token",
)
# With their defaults; kernel_type's is the first member of an enumeration that each stand-in makes for itself.
OPTIONAL: dict[str, Any] = {
    "warp_num_per_block": 8,
    "block_num": 80,
    "max_total_recv_tokens": 0,
    "use_external_inp_buf": True,
    "kernel_type": 0,
    "gpu_per_node": 8,
    "rdma_block_num": 0,
    "num_qp_per_pe": 1,
    "quant_type": "none",
}
