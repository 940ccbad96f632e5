# SPDX-License-Identifier: MIT
"""How many receive rows IntraNode combine needs, which can be more than dispatch fills.

Read from `src/ops/dispatch_combine/intranode.hpp` (`SendBufSlotOffset` in `common.hpp`), the same from 1.1.1 to 1.2.4: with an
external input buffer, rank r stages what it returns for token t of a peer at row r·M + t of the peer's `combineInp`. That buffer
has as many rows as the receive capacity, of the width that dispatch needs; combine packs its own, often narrower, rows into it.
So the last byte that the highest rank writes is ((W − 1)·M + n)·c, for n tokens on the fullest rank and c bytes per combined row.

With `use_external_inp_buf=False` the peers read the rows where they were received, and combine needs no more than dispatch.
"""

from __future__ import annotations

from moriep.buffers import DispatchShape, plan_buffers
from moriep.layouts import BufferLayout
from moriep.vocabulary import KernelType, QuantType

__all__ = ["combine_row_bytes", "rows_for_combine"]

_FLOAT = 4


def combine_row_bytes(shape: DispatchShape, value_bytes: int | None = None) -> int:
    """Bytes that combine stages for one token, with the weights (a call that passes none needs 4 × top-k less).

    Args:
        shape: the configuration.
        value_bytes: of one value of the tensor given to combine, where it is not quantised; the widest (`max_token_type_size`)
            if None.
    """
    scales = shape.combine_scale_dim * _FLOAT
    payload = {
        QuantType.NONE: shape.hidden_dim * (value_bytes or shape.max_token_type_size),
        QuantType.FP8_DIRECT_CAST: shape.hidden_dim,
        QuantType.FP8_BLOCKWISE: shape.hidden_dim + scales,
        QuantType.FP4_BLOCKWISE: (shape.hidden_dim + 1) // 2 + scales,
    }[shape.quant_type]
    return payload + shape.num_experts_per_token * _FLOAT


def rows_for_combine(
    shape: DispatchShape, layout: BufferLayout, tokens_per_rank: int, *, external_input: bool = True
) -> int | None:
    """The smallest number of receive rows with which combine stays inside `combineInp`, for any routing.

    Args:
        shape: the configuration; its cap is not looked at.
        layout: the release line.
        tokens_per_rank: the most tokens that one rank really sends.
        external_input: `use_external_inp_buf`, in the configuration and in the call.

    Returns:
        Rows, at most the worst case; 0 if combine asks for no more than dispatch; None for kernel types whose combine was
        neither read nor run under a cap (InterNodeV1, V1LL).
    """
    if shape.kernel_type in (KernelType.INTER_NODE_V1, KernelType.INTER_NODE_V1_LL):
        return None
    if not layout.receive_cap or shape.kernel_type not in (KernelType.INTRA_NODE, KernelType.INTRA_NODE_LL):
        return 0  # combine's buffers have the worst case whatever the cap
    if not external_input:
        return 0
    capacity = shape.capacity
    staging = plan_buffers(shape, layout).buffer("combineInp")
    rows = capacity.rows
    row_bytes = staging.size // rows if staging is not None else 0
    staged = (shape.world_size - 1) * shape.max_num_inp_token_per_rank + tokens_per_rank
    return min(-(-staged * combine_row_bytes(shape) // row_bytes), capacity.worst_case)
