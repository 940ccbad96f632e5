# SPDX-License-Identifier: MIT
"""How many receive rows combine needs, which can be more than dispatch fills: `moriep.staging` for every routing at once.

Two buffers of IntraNode combine have as many rows as the receive capacity, and are filled by another count:

- `combineInp`, with an external input buffer: numbered by sender and token (`moriep.staging`);
- `shmemCombineOutWeightsMemObj`, if combine is given weights: one row for each token that this rank dispatched, with a registered
  input buffer too.
"""

from __future__ import annotations

from dataclasses import replace

from moriep.buffers import DispatchShape
from moriep.layouts import BufferLayout
from moriep.staging import combine_staging
from moriep.vocabulary import KernelType

__all__ = ["rows_for_combine"]


def rows_for_combine(
    shape: DispatchShape,
    layout: BufferLayout,
    tokens_per_rank: int,
    *,
    external_input: bool = True,
    weights: bool = True,
) -> int | None:
    """The smallest receive capacity with which combine stays inside its buffers, for any routing.

    Args:
        shape: the configuration; its cap is not looked at.
        layout: the release line.
        tokens_per_rank: the most tokens that one rank really sends.
        external_input: `use_external_inp_buf`, in the configuration and in the call.
        weights: whether combine is given weights; SGLang and vLLM give none.

    Returns:
        Rows, at most the worst case; 0 if combine asks for no more than dispatch; None for kernel types whose combine was
        neither read nor run under a cap (InterNodeV1, V1LL).
    """
    if shape.kernel_type in (KernelType.INTER_NODE_V1, KernelType.INTER_NODE_V1_LL):
        return None
    # IntraNodeLL dispatches by a kernel of its own and combines by IntraNode's.
    kernels = (KernelType.INTRA_NODE, KernelType.INTRA_NODE_LL)
    if not layout.receive_cap or shape.kernel_type not in kernels:
        return 0  # combine's buffers have the worst case whatever the cap
    needed = tokens_per_rank if weights else 0
    plain = replace(shape, kernel_type=KernelType.INTRA_NODE, max_total_recv_tokens=0)
    staging = combine_staging(plain, layout, external_input=external_input, weights=weights)
    if staging is not None:
        capacity = plain.capacity
        staged = (capacity.world_size - 1) * capacity.max_num_inp_token_per_rank + tokens_per_rank
        needed = max(needed, -(-staged * staging.row_bytes // (staging.buffer_bytes // capacity.rows)))
    return min(needed, plain.capacity.worst_case)
