# SPDX-License-Identifier: MIT
"""`mori.ops` with the signatures of 1.2.4, on the reference semantics."""

from __future__ import annotations

import os
from dataclasses import dataclass
from enum import IntEnum
from types import SimpleNamespace
from typing import Any

import torch
import torch.distributed as dist

from . import shmem
from .semantics import Returned, Semantics, Sent, Source
from .witness_table import WITNESS_SEMANTICS

_QUANT_TYPES = ("none", "fp8_direct_cast", "fp8_blockwise", "fp4_blockwise")


class EpDispatchCombineKernelType(IntEnum):
    IntraNode = 0
    InterNode = 1
    InterNodeV1 = 2
    InterNodeV1LL = 3
    AsyncLL = 4
    IntraNodeLL = 5


@dataclass
class EpDispatchCombineConfig:
    data_type: Any
    rank: int
    world_size: int
    hidden_dim: int
    scale_dim: int
    scale_type_size: int
    max_token_type_size: int
    max_num_inp_token_per_rank: int
    num_experts_per_rank: int
    num_experts_per_token: int
    warp_num_per_block: int = 8
    block_num: int = 80
    max_total_recv_tokens: int = 0
    use_external_inp_buf: bool = True
    kernel_type: EpDispatchCombineKernelType = EpDispatchCombineKernelType.IntraNode
    gpu_per_node: int = 8
    rdma_block_num: int = 0
    num_qp_per_pe: int = 1
    quant_type: str = "none"


@dataclass
class SecondConfig(EpDispatchCombineConfig):
    """The configuration of an op that was made through `dispatch_combine_v2`."""

    second: bool = True


@dataclass
class EpDispatchRoutingHandle:
    """What a dispatch leaves for those that repeat it."""

    sources: tuple[Source, ...]
    total_recv_token_num: Any
    cur_rank_num_token: int = 0


def _gather(value: Any) -> list[Any]:
    found: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(found, value)
    return found


def _rows_or_zeros(weights: Any, rows: int) -> Any:
    """The first rows. A caller may hand over fewer, and a device then reads whatever lies behind: here, zeros."""
    missing = max(0, rows - int(weights.shape[0]))
    return torch.cat([weights[:rows], torch.zeros(missing, weights.shape[1], dtype=weights.dtype)])


class EpDispatchCombineOp:
    def __init__(self, config: EpDispatchCombineConfig) -> None:
        if config.quant_type not in _QUANT_TYPES:
            raise ValueError(f"invalid quant_type '{config.quant_type}', expected one of {list(_QUANT_TYPES)}")
        self.config = config
        self.semantics: Semantics = WITNESS_SEMANTICS[os.environ.get("MORI_REFERENCE_WITNESS", "correct")](config)
        self.semantics.check_config()
        self.semantics.check_node()
        rows, top_k = self.semantics.capacity(), config.num_experts_per_token
        width = config.hidden_dim * config.max_token_type_size
        self._payload = torch.zeros(rows * width, dtype=torch.uint8)
        self._weights = torch.zeros(rows, top_k)
        self._ids = torch.zeros(rows, top_k, dtype=torch.int32)
        scale_bytes = config.scale_dim * config.scale_type_size
        self._scale_bytes = torch.zeros(self.semantics.scale_rows() * scale_bytes, dtype=torch.uint8)
        # A row of combine's input has room for everything that may come back with a token.
        self._combine_input = torch.zeros(
            self.semantics.staging_rows() * (width + 8 * top_k + 4 + scale_bytes), dtype=torch.uint8
        )
        self._count = torch.zeros(1, dtype=torch.int32)
        self._sources: tuple[Source, ...] = ()
        self._sending: tuple[Any, Any] | None = None
        self.local_expert_count = torch.zeros(config.num_experts_per_rank, dtype=torch.int32)
        self._dispatched = 0
        self._heap = self.semantics.heap_bytes()
        shmem.account(self._heap)
        dist.barrier()

    def __del__(self) -> None:
        shmem.account(-getattr(self, "_heap", 0))

    def max_num_tokens_to_recv(self) -> int:
        return self.semantics.reported_capacity()

    def max_num_tokens_to_recv_per_rank(self) -> int:
        return self.semantics.rows_per_rank()

    def max_num_tokens_to_send(self) -> int:
        return self.config.world_size * self.config.max_num_inp_token_per_rank

    def max_num_tokens_to_send_per_rank(self) -> int:
        return self.config.max_num_inp_token_per_rank

    def decode_send_flat_idx(self, flat_idx: Any) -> tuple[int, int]:
        return divmod(int(flat_idx), self.max_num_tokens_to_send())

    def get_registered_combine_input_buffer(self, dtype: Any, hidden_dim: int = -1) -> Any:
        rows, hidden = self.semantics.capacity(), self.config.hidden_dim if hidden_dim < 0 else hidden_dim
        return self._combine_input[: rows * hidden * dtype.itemsize].view(dtype).reshape(rows, hidden)

    def get_dispatch_src_token_pos(self) -> Any:
        return torch.tensor([self.semantics.position(source) for source in self._sources], dtype=torch.int32)

    def dispatch(
        self,
        input: Any,
        weights: Any,
        scales: Any,
        indices: Any,
        block_num: int = -1,
        rdma_block_num: int = -1,
        warp_per_block: int = -1,
        call_local_expert_count: bool = False,
        *,
        routing: EpDispatchRoutingHandle | None = None,
        return_routing: bool = False,
    ) -> Any:
        if routing is not None and self.semantics.replayed_count(routing.cur_rank_num_token) != input.shape[0]:
            raise ValueError(f"replay dispatch input has {input.shape[0]} tokens")
        semantics = self.semantics
        # Bytes: torch does not pickle every dtype.
        mine = semantics.sending(Sent(input.view(torch.uint8), weights, scales, indices))
        sent: list[Sent] = _gather(mine)
        if routing is not None:
            rows = semantics.kept_from_before(list(routing.sources))
        else:
            every = [semantics.arrivals(sent, receiver) for receiver in range(self.config.world_size)]
            semantics.check_room(every)
            rows = every[self.config.rank]
        size = input.dtype.itemsize
        capacity, columns = semantics.capacity(), int(input.shape[1])
        payload = self._payload[: capacity * columns * size].view(input.dtype).reshape(capacity, columns)
        out_scales = None
        self._sending = (mine, payload.view(torch.uint8))
        semantics.store(payload.view(torch.uint8), [semantics.payload(sent, row) for row in rows], "payload")
        semantics.store(self._weights, [semantics.weights(sent, row) for row in rows], "weights")
        semantics.store(self._ids, [semantics.ids(sent, row) for row in rows], "ids")
        if scales is not None and self.config.scale_dim > 0:
            out_scales = self._scale_bytes.view(scales.dtype).reshape(-1, self.config.scale_dim)[:capacity]
            semantics.store(out_scales, [semantics.scales(sent, row) for row in rows], "scales")
        self._sources = tuple(rows)
        semantics.remember(rows)
        if call_local_expert_count:
            self.local_expert_count.copy_(semantics.count_experts(self._ids[: len(rows)]))
        self._dispatched = int(input.shape[0])
        self._count = torch.tensor([semantics.count_of_call(rows, mine)], dtype=torch.int32)
        semantics.after_dispatch(sent, mine)
        semantics.calls += 1
        view = semantics.view
        base = (
            view(payload),
            view(self._weights),
            None if out_scales is None else view(out_scales),
            view(self._ids),
            self._count,
        )
        if return_routing:
            return (*base, EpDispatchRoutingHandle(semantics.handle_sources(rows), self._count, self._dispatched))
        return base

    def dispatch_send(self, *arguments: Any, **options: Any) -> Any:
        return self.dispatch(*arguments, **options)

    def dispatch_recv(
        self, block_num: int = -1, warp_per_block: int = -1, call_local_expert_count: bool = False
    ) -> None:
        semantics = self.semantics
        if semantics.reads_late and self._sending is not None:
            mine, payload = self._sending
            sent: list[Sent] = _gather(mine)
            semantics.store(payload, [semantics.payload(sent, row) for row in self._sources], "payload")
        if call_local_expert_count:
            self.local_expert_count.copy_(semantics.count_experts(self._ids[: len(self._sources)]))

    def combine(
        self,
        input: Any,
        weights: Any,
        indices: Any,
        block_num: int = -1,
        rdma_block_num: int = -1,
        warp_per_block: int = -1,
        use_external_inp_buf: int = -1,
        call_reset: bool = False,
        *,
        routing: EpDispatchRoutingHandle | None = None,
    ) -> Any:
        semantics, config = self.semantics, self.config
        semantics.check_ids(int(indices.shape[0]), self._dispatched)
        sources = semantics.remembered(self._sources) if routing is None else routing.sources
        rows = len(sources)
        returned: list[Returned] = _gather(
            Returned(sources, semantics.cast(input[:rows]), None if weights is None else _rows_or_zeros(weights, rows))
        )
        out = torch.zeros(config.max_num_inp_token_per_rank, input.shape[1], dtype=input.dtype)
        kept = torch.zeros(max(config.max_num_inp_token_per_rank, semantics.capacity()), config.num_experts_per_token)
        out_weights = kept[: config.max_num_inp_token_per_rank]
        for token in range(self._dispatched):
            found = semantics.contributions(returned, (config.rank, token))
            out[token] = semantics.sum_rows(returned, found, out).to(input.dtype)
            if weights is not None:
                out_weights[token] = semantics.sum_weights(returned, found, out_weights)
        semantics.after_combine(self._count)
        return out, None if weights is None else out_weights

    def combine_send(self, *arguments: Any, **options: Any) -> Any:
        return self.combine(*arguments, **options)

    def combine_recv(self, block_num: int = -1, warp_per_block: int = -1) -> None:
        return None

    def reset(self) -> None:
        return None


@dataclass
class _SecondEpDispatchCombineConfig:
    rank: int
    world_size: int
    hidden_dim: int
    max_num_inp_token_per_rank: int
    num_experts_per_rank: int
    num_experts_per_token: int
    data_type: Any
    kernel_backend: str | None = None


class _SecondEpDispatchCombineOp:
    """`dispatch_combine_v2.EpDispatchCombineOp`: the first op, called the other way."""

    def __init__(self, config: _SecondEpDispatchCombineConfig, communicator: Any) -> None:
        self._op = EpDispatchCombineOp(
            SecondConfig(
                config.data_type,
                config.rank,
                config.world_size,
                config.hidden_dim,
                0,
                0,
                config.data_type.itemsize,
                config.max_num_inp_token_per_rank,
                config.num_experts_per_rank,
                config.num_experts_per_token,
                gpu_per_node=config.world_size,
            )
        )

    def dispatch(self, input: Any, weights: Any, scales: Any, indices: Any, *, return_routing: bool = False) -> Any:
        return self._op.dispatch(input, weights, scales, indices, return_routing=return_routing)

    def combine(self, input: Any, weights: Any, indices: Any, *, routing: EpDispatchRoutingHandle) -> Any:
        out, out_weights = self._op.combine(input, weights, indices, routing=routing)
        return out[: routing.cur_rank_num_token], out_weights


dispatch_combine_v2 = SimpleNamespace(
    EpDispatchCombineConfig=_SecondEpDispatchCombineConfig, EpDispatchCombineOp=_SecondEpDispatchCombineOp
)
