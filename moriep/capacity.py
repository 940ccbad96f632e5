# SPDX-License-Identifier: MIT
"""How many tokens a rank can receive: the arithmetic of `max_total_recv_tokens`.

Written from `EpDispatchCombineConfig` in `include/mori/ops/dispatch_combine/dispatch_combine.hpp` (the
functions `MaxNumTokensToSend`, `MaxNumTokensToRecvPerRank`, `MaxNumTokensToRecv`) and from the constructor of
`EpDispatchCombineHandle` in `src/ops/dispatch_combine/dispatch_combine.cpp`, as shipped in every wheel from
1.1.1 to 1.2.4. Release 1.0.0 has no cap: it always holds the worst case.

A row is one token: dispatch sends a token once to each rank that holds at least one of its experts, so the
number of rows that a rank receives is at most the sum of what all ranks send, whatever top-k is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from moriep.errors import CapacityError
from moriep.variables import INT32_MAX
from moriep.vocabulary import KernelType

__all__ = ["Capacity"]


@dataclass(frozen=True)
class Capacity:
    """The receive capacity of each rank of one expert-parallel group. All figures are rows (tokens).

    Attributes:
        world_size: ranks in the group (W).
        max_num_inp_token_per_rank: most tokens that one rank sends in one dispatch (M).
        max_total_recv_tokens: the cap that the caller asks for (T); 0 asks for the worst case.

    Raises:
        CapacityError: for a size that is not positive, a negative cap, or a worst case beyond a 32-bit int.
    """

    world_size: int
    max_num_inp_token_per_rank: int
    max_total_recv_tokens: int = 0

    def __post_init__(self) -> None:
        for name in ("world_size", "max_num_inp_token_per_rank"):
            if getattr(self, name) < 1:
                raise CapacityError(f"{name} is {getattr(self, name)}; it must be at least 1")
        if self.max_total_recv_tokens < 0:
            raise CapacityError(
                f"max_total_recv_tokens is {self.max_total_recv_tokens}; "
                f"allowed: 0 (the maximum) or 1 … {self.worst_case}"
            )
        if self.worst_case > INT32_MAX:
            raise CapacityError(
                f"world_size {self.world_size} × max_num_inp_token_per_rank "
                f"{self.max_num_inp_token_per_rank} is {self.worst_case} rows; MORI keeps row counts in a "
                f"32-bit int (at most {INT32_MAX})"
            )

    # Kept once computed: the dispatcher asks on every call.
    @cached_property
    def worst_case(self) -> int:
        """W·M: every rank sends all its tokens to this one. `MaxNumTokensToSend` in the header."""
        return self.world_size * self.max_num_inp_token_per_rank

    @property
    def clamped(self) -> bool:
        """True if the cap exceeds the worst case; the constructor then lowers it, with an INFO line."""
        return self.max_total_recv_tokens > self.worst_case

    @cached_property
    def per_rank(self) -> int:
        """Rows per sending rank: min(ceil(T / W), M), or M without a cap. `MaxNumTokensToRecvPerRank`."""
        if self.max_total_recv_tokens == 0:
            return self.max_num_inp_token_per_rank
        return min(-(-self.max_total_recv_tokens // self.world_size), self.max_num_inp_token_per_rank)

    @cached_property
    def rows(self) -> int:
        """Rows that the receive buffer really has: W × `per_rank`. `MaxNumTokensToRecv`.

        So a cap is rounded up to a multiple of the world size, and never exceeds the worst case.
        """
        return self.world_size * self.per_rank

    @property
    def safe(self) -> bool:
        """True if no routing whatsoever can overflow the buffer."""
        return self.rows == self.worst_case

    def fits(self, counts: Sequence[int], kernel_type: KernelType | None = None) -> bool:
        """True if this rank can receive these tokens in one dispatch.

        Args:
            counts: for each rank of the group, how many of its tokens come to this rank (each token once,
                however many of its experts live here).
            kernel_type: the legacy `InterNode` kernel gives each sender its own `per_rank` slots (the index
                `destPe * MaxNumTokensToRecvPerRank + n` in `src/ops/dispatch_combine/internode.hpp`), so
                there one sender can overflow a buffer that is nearly empty. All other kernels share the rows.

        Raises:
            CapacityError: unless there is one count from 0 to M for each rank.
        """
        if len(counts) != self.world_size:
            raise CapacityError(f"{len(counts)} counts for world_size {self.world_size}; there must be one per rank")
        for rank, count in enumerate(counts):
            if not 0 <= count <= self.max_num_inp_token_per_rank:
                raise CapacityError(
                    f"rank {rank} cannot send {count} tokens; allowed: 0 … {self.max_num_inp_token_per_rank} "
                    "(max_num_inp_token_per_rank)"
                )
        if kernel_type is KernelType.INTER_NODE:
            return max(counts) <= self.per_rank
        return sum(counts) <= self.rows
