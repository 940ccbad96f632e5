# SPDX-License-Identifier: MIT
"""More broken variants: of payloads, of quantised combine, of repeated calls, and on several nodes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from .semantics import Returned, Semantics, Sent, Source


class HalvesOcpPayloads(Semantics):
    """Takes float8_e4m3fn for float8_e4m3fnuz, whose exponents count from one less."""

    def payload(self, sent: Sequence[Sent], source: Source) -> Any:
        row = super().payload(sent, source)
        return row if self.config.data_type is not torch.float8_e4m3fn else torch.where(row >= 8, row - 8, row)


class SwapsTheHalvesOfFp4(Semantics):
    def payload(self, sent: Sequence[Sent], source: Source) -> Any:
        row = super().payload(sent, source)
        if self.config.data_type is not torch.float4_e2m1fn_x2:
            return row
        return ((row & 15) << 4) | (row >> 4)


class CopiesTheFirstScalesOnly(Semantics):
    """A row of scales longer than 48 bytes keeps what was there before behind them."""

    def store(self, buffer: Any, rows: Sequence[Any], name: str) -> None:
        if name != "scales":
            return super().store(buffer, rows, name)
        width = max(1, 48 // buffer.dtype.itemsize)
        for index, row in enumerate(rows[: buffer.shape[0]]):
            buffer[index, :width] = row[:width]
        return None


class StridesByTheConfiguredHiddenSize(Semantics):
    def payload(self, sent: Sequence[Sent], source: Source) -> Any:
        rows = sent[source[0]].payload
        width = int(self.config.hidden_dim) * int(self.config.max_token_type_size)
        if rows.shape[1] >= width or self.config.data_type is not torch.bfloat16:
            return super().payload(sent, source)
        flat = torch.cat([rows.reshape(-1), torch.zeros(width, dtype=torch.uint8)])
        start = min(source[1] * width, rows.numel())
        return flat[start : start + rows.shape[1]]


class CountsTokensNotSlots(Semantics):
    """Counts a token for the first of its experts on this rank only."""

    def count_experts(self, ids: Any) -> Any:
        first = self.config.rank * self.config.num_experts_per_rank
        kept = ids.clone()
        for row in kept:
            here = [
                slot
                for slot, expert in enumerate(row.tolist())
                if 0 <= expert - first < self.config.num_experts_per_rank
            ]
            for slot in here[1:]:
                row[slot] = -1
        return super().count_experts(kept)


class ForgetsTheNinthExpert(Semantics):
    """Has a place for each of eight experts of a token."""

    def destinations(self, ids: Sequence[int]) -> list[int]:
        return super().destinations(ids[:8])


class TruncatesInTheCast(Semantics):
    """Cuts off what fp8 has no bits for, where it has to round."""

    def cast(self, row: Any) -> Any:
        rounded = super().cast(row)
        if self.config.quant_type != "fp8_direct_cast":
            return rounded
        return torch.where(rounded.abs() > row.abs(), rounded * (1 - 2.0**-3), rounded)


class ForgetsTheBlockScale(Semantics):
    """Cuts every value of a block off at the largest fp8 number."""

    def block_scale(self, largest: Any, maximum: float) -> Any:
        return torch.ones_like(largest) if maximum > 6 else super().block_scale(largest, maximum)


class TakesFp4ForAnInteger(Semantics):
    """Rounds to whole numbers: 0.5 and 1.5 are lost."""

    def to_fp4(self, values: Any) -> Any:
        return super().to_fp4(values).floor()


class ForgetsATokenEveryFifthCall(Semantics):
    def arrivals(self, sent: Sequence[Sent], receiver: int) -> list[Source]:
        rows = super().arrivals(sent, receiver)
        return rows[1:] if self.calls % 5 == 4 else rows


class AddsUpWhenCalledWithTheSameTensors(Semantics):
    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self._before = 0
        self._total = 0

    def after_dispatch(self, sent: Sequence[Sent], mine: Sent) -> None:
        self._before = mine.payload.data_ptr()

    def count_of_call(self, rows: Sequence[Source], mine: Sent) -> int:
        self._total = len(rows) + (self._total if mine.payload.data_ptr() == self._before else 0)
        return self._total


class SendsWhatStoodThereBefore(Semantics):
    """Takes tensors at an address that it knows for the ones that it saw there."""

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self._known: dict[int, Any] = {}

    def sending(self, mine: Sent) -> Sent:
        known = self._known.setdefault(mine.payload.data_ptr(), mine.payload.clone())
        return Sent(known, mine.weights, mine.scales, mine.ids) if known.shape == mine.payload.shape else mine


class SharesItsRowsBetweenOps(Semantics):
    """Combine finds its way back by the rows of whichever op dispatched last."""

    _last: tuple[Source, ...] = ()

    def remember(self, rows: Sequence[Source]) -> None:
        SharesItsRowsBetweenOps._last = tuple(rows)

    def remembered(self, rows: tuple[Source, ...]) -> tuple[Source, ...]:
        return SharesItsRowsBetweenOps._last


class _OnManyRanks(Semantics):
    def node_of(self, rank: int) -> int:
        return rank // int(self.config.gpu_per_node)

    @property
    def nodes(self) -> int:
        return int(self.config.world_size) // int(self.config.gpu_per_node)

    def without_the_first_from_afar(self, rows: list[Source], receiver: int) -> list[Source]:
        afar = [row for row in rows if self.node_of(row[0]) != self.node_of(receiver)]
        return [row for row in rows if row not in afar[:1]]


class LosesTokensOfTheFourthNode(_OnManyRanks):
    def arrivals(self, sent: Sequence[Sent], receiver: int) -> list[Source]:
        rows = super().arrivals(sent, receiver)
        if self.nodes < 4 or self.config.world_size > 4:
            return rows
        return [row for row in rows if self.node_of(row[0]) != 3 or self.node_of(receiver) == 3]


class KnowsSevenRanks(_OnManyRanks):
    def arrivals(self, sent: Sequence[Sent], receiver: int) -> list[Source]:
        rows = super().arrivals(sent, receiver)
        return [row for row in rows if row[0] < 7] if self.config.world_size == 8 else rows


class LosesTokensBetweenTwoLargeNodes(_OnManyRanks):
    def arrivals(self, sent: Sequence[Sent], receiver: int) -> list[Source]:
        rows = super().arrivals(sent, receiver)
        large = self.config.world_size == 8 and self.nodes == 2
        return self.without_the_first_from_afar(rows, receiver) if large else rows


class KeepsABitForEachOfEightRanks(_OnManyRanks):
    def arrivals(self, sent: Sequence[Sent], receiver: int) -> list[Source]:
        rows = super().arrivals(sent, receiver)
        return [row for row in rows if row[0] < 8] if self.config.world_size == 16 else rows


class KeepsAPlaceForEachExpert(_OnManyRanks):
    """Partial sums of more nodes than a token has experts have no place."""

    def contributions(self, returned: Sequence[Returned], source: Source) -> list[tuple[int, int]]:
        found = super().contributions(returned, source)
        return [(rank, row) for rank, row in found if self.node_of(rank) < self.config.num_experts_per_token]


class ReadsItsInputInTheSecondHalf(Semantics):
    reads_late = True


class _SecondOp(Semantics):
    """Right, but for `dispatch_combine_v2`."""

    @property
    def second(self) -> bool:
        return bool(getattr(self.config, "second", False))


class SecondOpLosesARow(_SecondOp):
    def arrivals(self, sent: Sequence[Sent], receiver: int) -> list[Source]:
        rows = super().arrivals(sent, receiver)
        return rows[1:] if self.second else rows


class SecondOpTakesTheFirstContribution(_SecondOp):
    def contributions(self, returned: Sequence[Returned], source: Source) -> list[tuple[int, int]]:
        found = super().contributions(returned, source)
        return found[:1] if self.second else found


class SecondOpSendsMinusOne(_SecondOp):
    def rank_of(self, expert: int) -> int | None:
        return 0 if expert == -1 and self.second else super().rank_of(expert)
