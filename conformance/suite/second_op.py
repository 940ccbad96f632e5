# SPDX-License-Identifier: MIT
"""The op of `mori.ops.dispatch_combine_v2` on its HIP back end, called like the first one. Only ranks import this."""

from __future__ import annotations

import dataclasses
import os
from typing import Any

import torch
import torch.distributed as dist

from conformance.suite.cases import Case

__all__ = ["SecondOp"]

# Symmetric memory of a rank: these cases are small.
_MEMORY = 64 << 20


class SecondOp:
    """What the suite needs of the op: dispatch with a routing handle, and combine by it."""

    def __init__(self, case: Case, rank: int) -> None:
        """Raises:
        ModuleNotFoundError: this release has no HIP back end, and wants FlyDSL.
        """
        os.environ["MORI_V2_KERNEL_BACKEND"] = "hip"
        from mori.cco import Communicator
        from mori.ops import dispatch_combine_v2

        name = [Communicator.get_unique_id() if rank == 0 else None]
        dist.broadcast_object_list(name, src=0)
        self._communicator = Communicator.init(case.world_size, rank, name[0], per_rank_vmm=_MEMORY)
        wanted = {
            "rank": rank,
            "world_size": case.world_size,
            "hidden_dim": case.hidden,
            "max_num_inp_token_per_rank": case.most_tokens,
            "num_experts_per_rank": case.experts_per_rank,
            "num_experts_per_token": case.top_k,
            "data_type": getattr(torch, case.dtype),
            "dispatch_block_num": case.block_num,
            "combine_block_num": case.block_num,
            "warp_num_per_block": case.warps_per_block,
            "combine_warp_num_per_block": case.warps_per_block,
            "kernel_backend": "hip",
        }
        known = {field.name for field in dataclasses.fields(dispatch_combine_v2.EpDispatchCombineConfig)}
        config = dispatch_combine_v2.EpDispatchCombineConfig(**{key: wanted[key] for key in wanted if key in known})
        self._op = dispatch_combine_v2.EpDispatchCombineOp(config, self._communicator)
        self._routing: Any = None

    def dispatch(self, payload: Any, weights: Any, scales: Any, ids: Any) -> tuple[Any, ...]:
        """Payload, weights, scales and ids of the received rows, and their number."""
        *found, self._routing = self._op.dispatch(payload, weights, scales, ids, return_routing=True)
        return tuple(found)

    def combine(self, rows: Any, _: Any, ids: Any) -> tuple[Any, None]:
        """Sums for this rank's tokens. Weights are not asked for: this op adds up those that it brought itself."""
        return self._op.combine(rows, None, ids, routing=self._routing)[0], None
