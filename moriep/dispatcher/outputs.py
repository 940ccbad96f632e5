# SPDX-License-Identifier: MIT
"""What the dispatcher hands out.

Unless the dispatcher was made with `copy=True`, tensors are views of the op's own buffers: the next dispatch, of any layer that
shares the op, overwrites them; `received` becomes 0 in combine on IntraNode and InterNodeV1; and from 1.2.3 on every call hands
out the very same tensor objects. Read them before the next call, or copy.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

__all__ = ["DispatchOutput"]


@dataclass(frozen=True)
class DispatchOutput:
    """What one rank received, and what its combine needs.

    Rows behind the first `received` hold whatever was there before: mask them, or hand the count to the expert kernels.

    Attributes:
        hidden_states: [rows, hidden] in the dispatch dtype (fp4: [rows, hidden / 2]); a view.
        scales: [rows, hidden / 128] float32 for fp8, [rows, hidden / 32] of one byte for mxfp8 and fp4, else None; a view.
        topk_ids: [rows, top_k] int32 **global** expert ids of each row, those of other ranks' experts included; a view.
        topk_weights: [rows, top_k] float32; a view.
        received: int32 [1] on the device: the number of valid rows; a view.
        expert_counts: int32 [experts of this rank] on the device, rows for each, if asked for, else None; a view.
        original_topk_ids: what this rank dispatched: what combine must be given, not `topk_ids`.
        tokens: tokens that this rank dispatched.
        rows: rows of the tensors above: the capacity, or less where MOE_MAX_INPUT_TOKENS or RECV_BOUND cut it.
        capacity: rows of the receive buffer.
        counts: tokens that each rank receives, if the exact guard counted them, else None.
    """

    hidden_states: Any
    scales: Any
    topk_ids: Any
    topk_weights: Any
    received: Any
    expert_counts: Any
    original_topk_ids: Any
    tokens: int
    rows: int
    capacity: int
    counts: tuple[int, ...] | None = None
