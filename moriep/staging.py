# SPDX-License-Identifier: MIT
"""Where IntraNode combine stages what it sends back, and when that stays inside the buffer.

With `use_external_inp_buf=True` the rank that computed token t of rank s writes its result into row `receiver × M + t` of s's
buffer `combineInp` (`SendBufSlotOffset` in `src/ops/dispatch_combine/common.hpp`, used by `EpCombineIntraNodeKernel`). That
is so in every release from 1.1.1 to 1.2.5.dev20261026. The buffer is allocated with as many rows as the receive capacity
(`maxStagingSize` in `dispatch_combine.cpp`), although its rows are numbered by sender and token: with W ranks and M tokens the
last row is W·M − 1 whatever was received. So a cap below W·M makes combine write outside for every token t that goes to a rank r
with r·M + t at or above the rows, even if dispatch fits.

With `use_external_inp_buf=False` combine reads the peers' registered buffers instead, row by received row, and a cap is as
safe there as dispatch is.

The rows differ in width, which gives a little slack: the buffer has room for payload, expert ids, weights, source id and scales
of each row; combine writes payload, scales of its own quantisation, and weights if it is given any.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from moriep.buffers import DispatchShape, plan_buffers
from moriep.capacity import Capacity
from moriep.errors import CapacityError
from moriep.layouts import BufferLayout
from moriep.vocabulary import KernelType, QuantType

__all__ = ["CombineStaging", "combine_staging"]

_FLOAT = 4


@dataclass(frozen=True)
class CombineStaging:
    """The staging buffer of IntraNode combine on one rank.

    Attributes:
        capacity: of dispatch.
        buffer_bytes: bytes of `combineInp`.
        row_bytes: bytes that combine writes for one token; rows lie this far apart.
    """

    capacity: Capacity
    buffer_bytes: int
    row_bytes: int

    @cached_property
    def rows(self) -> int:
        """Whole rows that the buffer has room for."""
        return self.buffer_bytes // self.row_bytes

    @property
    def safe(self) -> bool:
        """True if no routing whatsoever makes combine write outside."""
        return self.rows >= self.capacity.worst_case

    @property
    def safe_tokens(self) -> int:
        """The most tokens that every rank may dispatch so that combine stays inside, whatever the routing."""
        capacity = self.capacity
        left = self.rows - (capacity.world_size - 1) * capacity.max_num_inp_token_per_rank
        return max(0, min(left, capacity.max_num_inp_token_per_rank))

    def needed_rows(self, last_tokens: Sequence[int]) -> int:
        """Rows that one sending rank needs.

        Args:
            last_tokens: for each receiver, one more than the number of the last token sent there; 0 if none is.
        """
        tokens = self.capacity.max_num_inp_token_per_rank
        return max((receiver * tokens + last for receiver, last in enumerate(last_tokens) if last), default=0)

    def smallest_cap(self, needed_rows: int) -> int:
        """The smallest `max_total_recv_tokens` whose staging buffer has that many rows (0 ≤ needed_rows ≤ W·M)."""
        world_size, tokens = self.capacity.world_size, self.capacity.max_num_inp_token_per_rank
        wide = self.buffer_bytes // self.capacity.rows
        per_rank = max(1, -(-needed_rows * self.row_bytes // (wide * world_size)))
        return world_size * min(per_rank, tokens)


def combine_staging(
    shape: DispatchShape, layout: BufferLayout, *, external_input: bool = True, weights: bool = False
) -> CombineStaging | None:
    """The staging buffer that matters for a cap; None where combine stages nothing by sender.

    Args:
        shape, layout: what the op is built from, and the release's way of sizing buffers.
        external_input: `use_external_inp_buf`.
        weights: whether combine is given weights (SGLang gives none).
    """
    if shape.kernel_type is not KernelType.INTRA_NODE or not external_input or not layout.receive_cap:
        return None
    buffer = plan_buffers(shape, layout).buffer("combineInp")
    if buffer is None:
        raise CapacityError(f"MORI {layout.line} has no buffer combineInp for {shape.kernel_type}")
    hidden = shape.hidden_dim
    payload = {
        QuantType.NONE: hidden * shape.max_token_type_size,
        QuantType.FP8_DIRECT_CAST: hidden,
        QuantType.FP8_BLOCKWISE: hidden + shape.combine_scale_dim * _FLOAT,
        QuantType.FP4_BLOCKWISE: (hidden + 1) // 2 + shape.combine_scale_dim * _FLOAT,
    }[shape.quant_type]
    row = payload + (shape.num_experts_per_token * _FLOAT if weights else 0)
    return CombineStaging(shape.capacity, buffer.size, row)
