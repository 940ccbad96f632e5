# SPDX-License-Identifier: MIT
"""The reference semantics in small steps, each of which a witness may break."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

# Blocks of a row that have a scale of their own in combine.
_BLOCKS = 56
OVERFLOW = "Total recv token overflow: increase maxTotalRecvTokens"
# (source rank, token)
Source = tuple[int, int]


@dataclass(frozen=True)
class Sent:
    """What one rank hands to dispatch."""

    payload: Any
    weights: Any
    scales: Any
    ids: Any


@dataclass(frozen=True)
class Returned:
    """What one rank hands to combine: for each row it received, where it came from, and the row."""

    sources: tuple[Source, ...]
    rows: Any
    weights: Any


class Semantics:
    """The correct behaviour. `calls` counts the dispatches of this op."""

    # Whether what is sent is taken from the caller's tensors in the second half of a call only.
    reads_late = False

    def __init__(self, config: Any) -> None:
        self.config = config
        self.calls = 0

    def sending(self, mine: Sent) -> Sent:
        """What dispatch takes of what this rank hands over."""
        return mine

    # Capacity

    def rows_per_rank(self) -> int:
        cap, most = self.config.max_total_recv_tokens, self.config.max_num_inp_token_per_rank
        if cap <= 0:
            return int(most)
        return min(int(-(-cap // self.config.world_size)), int(most))

    def capacity(self) -> int:
        return self.rows_per_rank() * int(self.config.world_size)

    def reported_capacity(self) -> int:
        return self.capacity()

    def heap_bytes(self) -> int:
        """Symmetric memory: the receive buffers, and combine's input."""
        config = self.config
        row = 2 * config.hidden_dim * config.max_token_type_size + 2 * 4 * config.num_experts_per_token
        return self.capacity() * int(row + config.scale_dim * config.scale_type_size + 4)

    def check_config(self) -> None:
        """Called when an op is made, before anything else."""

    def scale_rows(self) -> int:
        """Rows of the buffer for received scales."""
        return self.capacity()

    def staging_rows(self) -> int:
        """Rows of combine's input, which the cap does not make smaller for every kernel type."""
        if self.config.kernel_type.name in ("AsyncLL", "InterNode"):
            return int(self.config.world_size) * int(self.config.max_num_inp_token_per_rank)
        return self.capacity()

    def check_node(self) -> None:
        """The real constructor aborts the process here."""
        gpus, ranks = self.config.gpu_per_node, self.config.world_size
        if gpus & (gpus - 1) or ranks % gpus:
            raise AssertionError(f"gpu_per_node {gpus} is no power of two that divides world_size {ranks}")

    def check_room(self, arrivals: Sequence[Sequence[Source]]) -> None:
        if any(len(rows) > self.capacity() for rows in arrivals):
            raise RuntimeError(OVERFLOW)

    # Dispatch

    def rank_of(self, expert: int) -> int | None:
        if 0 <= expert < self.config.num_experts_per_rank * self.config.world_size:
            return expert // int(self.config.num_experts_per_rank)
        return None

    def destinations(self, ids: Sequence[int]) -> list[int]:
        return sorted({rank for rank in map(self.rank_of, ids) if rank is not None})

    def arrivals(self, sent: Sequence[Sent], receiver: int) -> list[Source]:
        return [
            (rank, token)
            for rank, item in enumerate(sent)
            for token, ids in enumerate(item.ids.tolist())
            if receiver in self.destinations(ids)
        ]

    def kept_from_before(self, rows: list[Source]) -> list[Source]:
        """What a replay does with the rows of the dispatch that it repeats."""
        return rows

    def payload(self, sent: Sequence[Sent], source: Source) -> Any:
        return sent[source[0]].payload[source[1]]

    def weights(self, sent: Sequence[Sent], source: Source) -> Any:
        return sent[source[0]].weights[source[1]]

    def ids(self, sent: Sequence[Sent], source: Source) -> Any:
        return sent[source[0]].ids[source[1]]

    def scales(self, sent: Sequence[Sent], source: Source) -> Any:
        return sent[source[0]].scales[source[1]]

    def store(self, buffer: Any, rows: Sequence[Any], name: str) -> None:
        """Put the rows into the first places of a receive buffer."""
        for index, row in enumerate(rows[: buffer.shape[0]]):
            buffer[index] = row

    def position(self, source: Source) -> int:
        """Source positions, as `decode_send_flat_idx` takes them apart."""
        stride = int(self.config.world_size) * int(self.config.max_num_inp_token_per_rank)
        return source[0] * stride + source[1]

    def count(self, rows: Sequence[Source]) -> int:
        return len(rows)

    def count_of_call(self, rows: Sequence[Source], mine: Sent) -> int:
        """total_recv of one call."""
        return self.count(rows)

    def count_experts(self, ids: Any) -> Any:
        """Slots of received rows by local expert."""
        first, own = int(self.config.rank * self.config.num_experts_per_rank), int(self.config.num_experts_per_rank)
        found = torch.zeros(own, dtype=torch.int32)
        for expert in ids.reshape(-1).tolist():
            if first <= expert < first + own:
                found[expert - first] += 1
        return found

    def remember(self, rows: Sequence[Source]) -> None:
        """What dispatch leaves for combine."""

    def remembered(self, rows: tuple[Source, ...]) -> tuple[Source, ...]:
        return rows

    def after_dispatch(self, sent: Sequence[Sent], mine: Sent) -> None:
        """Called when everything is stored."""

    # Combine

    def cast(self, row: Any) -> Any:
        """What becomes of rows on their way back."""
        kind = self.config.quant_type
        if kind == "fp8_direct_cast":
            return row.float().to(torch.float8_e4m3fnuz).to(row.dtype)
        if kind == "fp8_blockwise":
            return self.by_block(row, 240.0, lambda values: values.to(torch.float8_e4m3fnuz).float())
        if kind == "fp4_blockwise":
            return self.by_block(row, 6.0, self.to_fp4)
        return row

    def by_block(self, rows: Any, maximum: float, rounded: Callable[[Any], Any]) -> Any:
        """Each of 56 blocks of a row divided by a scale, rounded, and multiplied by it."""
        size = -(-rows.shape[1] // _BLOCKS)
        parts = rows.float().split(size, dim=1)
        scales = [self.block_scale(part.abs().amax(dim=1, keepdim=True), maximum) for part in parts]
        found = [
            rounded((part / scale).clamp(-maximum, maximum)) * scale for part, scale in zip(parts, scales, strict=True)
        ]
        return torch.cat(found, dim=1)

    def block_scale(self, largest: Any, maximum: float) -> Any:
        return torch.where(largest > maximum, largest / maximum, torch.ones_like(largest))

    def to_fp4(self, values: Any) -> Any:
        """Rounded to the nearest of 0, 0.5, 1, 1.5, 2, 3, 4, 6."""
        grid = torch.tensor([0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0])
        return grid[(values.abs()[..., None] - grid).abs().argmin(dim=-1)] * values.sign()

    def check_ids(self, rows: int, dispatched: int) -> None:
        if rows != dispatched:
            raise ValueError(f"combine() indices has {rows} rows but this rank dispatched {dispatched} tokens")

    def contributions(self, returned: Sequence[Returned], source: Source) -> list[tuple[int, int]]:
        """(rank, its row) of each contribution to one token."""
        return [
            (rank, row)
            for rank, item in enumerate(returned)
            for row, origin in enumerate(item.sources)
            if origin == source
        ]

    def sum_rows(self, returned: Sequence[Returned], found: Sequence[tuple[int, int]], like: Any) -> Any:
        total = torch.zeros(like.shape[-1], dtype=torch.float32)
        for rank, row in found:
            total += returned[rank].rows[row].float()
        return total

    def sum_weights(self, returned: Sequence[Returned], found: Sequence[tuple[int, int]], like: Any) -> Any:
        total = torch.zeros(like.shape[-1], dtype=torch.float32)
        for rank, row in found:
            total += returned[rank].weights[row]
        return total

    def after_combine(self, count: Any) -> None:
        """Called at the end of combine, with the tensor of total_recv that dispatch returned."""

    # Everything about objects

    def view(self, buffer: Any) -> Any:
        """What dispatch returns of a buffer."""
        return buffer[:]

    def handle_sources(self, rows: Sequence[Source]) -> tuple[Source, ...]:
        """What a routing handle keeps of the received rows."""
        return tuple(rows)

    def replayed_count(self, tokens: int) -> int:
        """Tokens of a routing handle that is to be replayed."""
        return tokens


def hang() -> None:
    time.sleep(3600)


def crash() -> None:
    os.abort()
