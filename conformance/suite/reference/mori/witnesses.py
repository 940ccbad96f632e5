# SPDX-License-Identifier: MIT
"""Broken variants of the reference semantics, each by one small mistake of the kind that real kernels make.

The name of the class is the name of the witness; the table of what must catch it stands in `conformance.suite.witnesses`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from .semantics import Returned, Semantics, Sent, Source, crash, hang


class TakesWhateverItIsGiven(Semantics):
    """No mistake in what it computes: it lets pass what a correct release refuses."""

    def check_node(self) -> None:
        return

    def check_ids(self, rows: int, dispatched: int) -> None:
        return


class DropsATokenToTheLastRank(Semantics):
    def arrivals(self, sent: Sequence[Sent], receiver: int) -> list[Source]:
        rows = super().arrivals(sent, receiver)
        return rows[:-1] if receiver == self.config.world_size - 1 else rows


class DuplicatesTheFirstToken(Semantics):
    def arrivals(self, sent: Sequence[Sent], receiver: int) -> list[Source]:
        rows = super().arrivals(sent, receiver)
        return [*rows, *rows[:1]]


class SendsOncePerExpert(Semantics):
    """Forgets that a token goes to a rank once, however many of its experts live there."""

    def arrivals(self, sent: Sequence[Sent], receiver: int) -> list[Source]:
        return [
            (rank, token)
            for rank, item in enumerate(sent)
            for token, ids in enumerate(item.ids.tolist())
            for expert in ids
            if self.rank_of(expert) == receiver
        ]


class LosesALoneSender(Semantics):
    def arrivals(self, sent: Sequence[Sent], receiver: int) -> list[Source]:
        senders = [rank for rank, item in enumerate(sent) if len(item.ids)]
        return super().arrivals(sent, receiver) if len(senders) > 1 else []


class SendsToTheNeighbour(Semantics):
    def rank_of(self, expert: int) -> int | None:
        rank = super().rank_of(expert)
        return None if rank is None else (rank + 1) % int(self.config.world_size)


class SwapsTwoPayloads(Semantics):
    def payload(self, sent: Sequence[Sent], source: Source) -> Any:
        rank, token = source
        other = {0: 1, 1: 0}.get(token, token)
        return super().payload(sent, (rank, other if other < len(sent[rank].ids) else token))


class AltersOneColumn(Semantics):
    def payload(self, sent: Sequence[Sent], source: Source) -> Any:
        row = super().payload(sent, source).clone()
        if source[1] == 2:
            row[-1] ^= 1
        return row


class CopiesHalfOfTheRow(Semantics):
    """The second half of each row is what was there before."""

    def store(self, buffer: Any, rows: Sequence[Any], name: str) -> None:
        if name != "payload":
            return super().store(buffer, rows, name)
        half = buffer.shape[1] // 2
        for index, row in enumerate(rows[: buffer.shape[0]]):
            buffer[index, :half] = row[:half]
        return None


class SwapsWeightsOfATokensSlots(Semantics):
    def weights(self, sent: Sequence[Sent], source: Source) -> Any:
        return super().weights(sent, source).flip(0)


class TakesWeightsOfTheNextToken(Semantics):
    def weights(self, sent: Sequence[Sent], source: Source) -> Any:
        return super().weights(sent, (source[0], (source[1] + 1) % len(sent[source[0]].ids)))


class MakesExpertIdsLocal(Semantics):
    """Received ids count from this rank's first expert, where they are to be global."""

    def ids(self, sent: Sequence[Sent], source: Source) -> Any:
        return super().ids(sent, source) % self.config.num_experts_per_rank


class SwapsScaleRows(Semantics):
    def scales(self, sent: Sequence[Sent], source: Source) -> Any:
        rank, token = source
        return super().scales(sent, (rank, len(sent[rank].ids) - 1 - token))


class TakesScalesOfTheFirstRank(Semantics):
    def scales(self, sent: Sequence[Sent], source: Source) -> Any:
        return super().scales(sent, (0, min(source[1], max(len(sent[0].ids) - 1, 0))))


class CountsOneTooMany(Semantics):
    def count(self, rows: Sequence[Source]) -> int:
        return len(rows) + 1


class CountsSlotsNotTokens(Semantics):
    def count(self, rows: Sequence[Source]) -> int:
        return len(rows) * int(self.config.num_experts_per_token)


class WritesBeyondTotalRecv(Semantics):
    def store(self, buffer: Any, rows: Sequence[Any], name: str) -> None:
        super().store(buffer, rows, name)
        if len(rows) < buffer.shape[0]:
            buffer[len(rows)] = 0


class WritesIntoItsInput(Semantics):
    def after_dispatch(self, sent: Sequence[Sent], mine: Sent) -> None:
        if mine.ids.numel():
            mine.ids[-1, -1] = -1


class WrongSourceToken(Semantics):
    def position(self, source: Source) -> int:
        return super().position((source[0], source[1] + 1))


class SourceStrideIsOneRank(Semantics):
    """Positions count M tokens for each rank, as before ROCm/mori#245, and are taken apart by W·M."""

    def position(self, source: Source) -> int:
        return source[0] * int(self.config.max_num_inp_token_per_rank) + source[1]


class StaleBuffer(Semantics):
    """From the second call on, the first received row is not written."""

    def store(self, buffer: Any, rows: Sequence[Any], name: str) -> None:
        if self.calls == 0 or name != "payload":
            return super().store(buffer, rows, name)
        for index, row in enumerate(rows[: buffer.shape[0]]):
            if index:
                buffer[index] = row
        return None


class LeaksBetweenCalls(Semantics):
    """Sends the payload of the call before."""

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self._before: Sequence[Sent] | None = None

    def payload(self, sent: Sequence[Sent], source: Source) -> Any:
        old = self._before
        if old is not None and source[1] < len(old[source[0]].ids):
            return super().payload(old, source)
        return super().payload(sent, source)

    def after_dispatch(self, sent: Sequence[Sent], mine: Sent) -> None:
        self._before = [Sent(item.payload.clone(), item.weights, item.scales, item.ids) for item in sent]


class ForgetsToResetTheCount(Semantics):
    """Adds up what arrives until a combine."""

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self._total = 0

    def count(self, rows: Sequence[Source]) -> int:
        self._total += len(rows)
        return self._total

    def after_combine(self, count: Any) -> None:
        self._total = 0


class ClearsTheCountInCombine(Semantics):
    def after_combine(self, count: Any) -> None:
        count.zero_()


class ReturnsTheSameObjects(Semantics):
    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self._views: dict[tuple[int, Any], Any] = {}

    def view(self, buffer: Any) -> Any:
        return self._views.setdefault((buffer.data_ptr(), buffer.dtype), buffer)


class SumsTwice(Semantics):
    def contributions(self, returned: Sequence[Returned], source: Source) -> list[tuple[int, int]]:
        found = super().contributions(returned, source)
        return [*found, *found[:1]]


class LosesOneContribution(Semantics):
    def contributions(self, returned: Sequence[Returned], source: Source) -> list[tuple[int, int]]:
        found = super().contributions(returned, source)
        return found[:-1] if len(found) > 1 else found


class OneRankTwiceAnotherNever(Semantics):
    """The right number of contributions; with identity experts the sum would be right."""

    def contributions(self, returned: Sequence[Returned], source: Source) -> list[tuple[int, int]]:
        found = super().contributions(returned, source)
        return [*found[:-1], found[0]] if len(found) > 1 else found


class CombinesByReceivedOrder(Semantics):
    """Takes each rank's rows as if they were this rank's tokens in order."""

    def contributions(self, returned: Sequence[Returned], source: Source) -> list[tuple[int, int]]:
        found = super().contributions(returned, source)
        return [(rank, source[1] % len(returned[rank].sources)) for rank, _ in found]


class CombinesDispatchedInput(Semantics):
    """Works with identity experts only: multiplies one contribution instead of adding all."""

    def sum_rows(self, returned: Sequence[Returned], found: Sequence[tuple[int, int]], like: Any) -> Any:
        total = super().sum_rows(returned, found[:1], like)
        return total * len(found)


class RoundsEveryAdditionDown(Semantics):
    """Cuts the sum to bfloat16 after each addition, and loses more than one rounding each."""

    def sum_rows(self, returned: Sequence[Returned], found: Sequence[tuple[int, int]], like: Any) -> Any:
        total = super().sum_rows(returned, found, like)
        return (total.view(torch.int32) & -(1 << 18)).view(torch.float32)


class IgnoresWeightsInCombine(Semantics):
    def sum_weights(self, returned: Sequence[Returned], found: Sequence[tuple[int, int]], like: Any) -> Any:
        return torch.ones(like.shape[-1])


class AveragesWeights(Semantics):
    def sum_weights(self, returned: Sequence[Returned], found: Sequence[tuple[int, int]], like: Any) -> Any:
        return super().sum_weights(returned, found, like) / max(len(found), 1)


class SendsMinusOneToRankZero(Semantics):
    """Divides as C does: −1 / E is 0."""

    def rank_of(self, expert: int) -> int | None:
        return 0 if expert == -1 else super().rank_of(expert)


class DropsTokensWithAnyMinusOne(Semantics):
    def destinations(self, ids: Sequence[int]) -> list[int]:
        return [] if -1 in ids else super().destinations(ids)


class WrapsIdsOutOfRange(Semantics):
    def rank_of(self, expert: int) -> int | None:
        return None if expert < 0 else expert // int(self.config.num_experts_per_rank) % int(self.config.world_size)


class IgnoresTheCap(Semantics):
    def rows_per_rank(self) -> int:
        return int(self.config.max_num_inp_token_per_rank)


class RoundsTheCapDown(Semantics):
    def rows_per_rank(self) -> int:
        cap, most = self.config.max_total_recv_tokens, int(self.config.max_num_inp_token_per_rank)
        return most if cap <= 0 else min(cap // int(self.config.world_size), most)


class RoundsTheCapToAnEvenNumber(Semantics):
    """Right with two ranks."""

    def capacity(self) -> int:
        cap, worst = self.config.max_total_recv_tokens, super().capacity()
        return worst if cap <= 0 else min(cap + cap % 2, worst)


class KeepsWeightsOfAsManyTokensAsItReceives(Semantics):
    def sum_weights(self, returned: Sequence[Returned], found: Sequence[tuple[int, int]], like: Any) -> Any:
        tokens = {returned[rank].sources[row][1] for rank, row in found}
        total = super().sum_weights(returned, found, like)
        return torch.zeros_like(total) if any(token >= self.capacity() for token in tokens) else total


class DoesNotClampTheCap(Semantics):
    def rows_per_rank(self) -> int:
        cap, most = self.config.max_total_recv_tokens, int(self.config.max_num_inp_token_per_rank)
        return most if cap <= 0 else int(-(-cap // self.config.world_size))


class ZeroMeansOneRow(Semantics):
    def rows_per_rank(self) -> int:
        return max(super().rows_per_rank() if self.config.max_total_recv_tokens else 1, 1)


class ReportsTheUncappedCapacity(Semantics):
    def reported_capacity(self) -> int:
        return int(self.config.world_size) * int(self.config.max_num_inp_token_per_rank)


class RefusesTheLastRow(Semantics):
    """Off by one: asserts when the buffer is exactly full."""

    def check_room(self, arrivals: Sequence[Sequence[Source]]) -> None:
        if any(len(rows) >= self.capacity() for rows in arrivals):
            raise RuntimeError("Total recv token overflow: increase maxTotalRecvTokens")


class StagesCombineByRank(Semantics):
    """Gives each rank M places for what it sends back, in a buffer of as many rows as the capacity."""

    def contributions(self, returned: Sequence[Returned], source: Source) -> list[tuple[int, int]]:
        most = int(self.config.max_num_inp_token_per_rank)
        found = super().contributions(returned, source)
        return [(rank, row) for rank, row in found if rank * most + source[1] < self.capacity()]


class AllowsOneTooMany(Semantics):
    def check_room(self, arrivals: Sequence[Sequence[Source]]) -> None:
        if any(len(rows) > self.capacity() + 1 for rows in arrivals):
            raise RuntimeError("Total recv token overflow: increase maxTotalRecvTokens")


class ReturnsTheUncappedCount(Semantics):
    """Drops what does not fit, with no sign but the count."""

    def check_room(self, arrivals: Sequence[Sequence[Source]]) -> None:
        return None


class HangsOnOverflow(Semantics):
    def check_room(self, arrivals: Sequence[Sequence[Source]]) -> None:
        if any(len(rows) > self.capacity() for rows in arrivals):
            hang()


class CrashesOnOverflow(Semantics):
    def check_room(self, arrivals: Sequence[Sequence[Source]]) -> None:
        if any(len(rows) > self.capacity() for rows in arrivals):
            crash()


class ReplayMovesNoPayload(Semantics):
    """1.2.3: a replay leaves the buffers as they are."""

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self._replaying = False

    def kept_from_before(self, rows: list[Source]) -> list[Source]:
        self._replaying = True
        return rows

    def store(self, buffer: Any, rows: Sequence[Any], name: str) -> None:
        if not self._replaying:
            super().store(buffer, rows, name)

    def after_combine(self, count: Any) -> None:
        self._replaying = False


class ReplayReversesRows(Semantics):
    def kept_from_before(self, rows: list[Source]) -> list[Source]:
        return rows[::-1]


class RefusesToReplayNothing(Semantics):
    def replayed_count(self, tokens: int) -> int:
        if tokens <= 0:
            raise ValueError("routing handle has cur_rank_num_token <= 0")
        return tokens


class NeedsManyBlocks(Semantics):
    """One block sends only a part of the tokens."""

    def arrivals(self, sent: Sequence[Sent], receiver: int) -> list[Source]:
        rows = super().arrivals(sent, receiver)
        return rows[: 4 * int(self.config.block_num)] if self.config.block_num < 2 else rows


class AssertsAnEvenNumberOfWarps(Semantics):
    def check_config(self) -> None:
        if self.config.warp_num_per_block % 2:
            raise AssertionError("warpNum % 2 == 0")


class AllocatesTheWorstCase(Semantics):
    """Keeps the cap in its counts and not in its memory."""

    def heap_bytes(self) -> int:
        worst = int(self.config.world_size) * int(self.config.max_num_inp_token_per_rank)
        return super().heap_bytes() * worst // max(self.capacity(), 1)


class CapsNoScales(Semantics):
    def scale_rows(self) -> int:
        return int(self.config.world_size) * int(self.config.max_num_inp_token_per_rank)


class HalvesWideElements(Semantics):
    """Counts elements as if they had two bytes."""

    def store(self, buffer: Any, rows: Sequence[Any], name: str) -> None:
        if name != "payload":
            return super().store(buffer, rows, name)
        width = min(buffer.shape[1], 2 * int(self.config.hidden_dim))
        for index, row in enumerate(rows[: buffer.shape[0]]):
            buffer[index, :width] = row[:width]
        return None


class ChangesTheConfig(Semantics):
    def check_config(self) -> None:
        self.config.gpu_per_node = 8


class ForgetsTheRegisteredBuffer(Semantics):
    def sum_rows(self, returned: Sequence[Returned], found: Sequence[tuple[int, int]], like: Any) -> Any:
        total = super().sum_rows(returned, found, like)
        return total if self.config.use_external_inp_buf else total * 0


class SumsFloat32InBfloat16(Semantics):
    def sum_rows(self, returned: Sequence[Returned], found: Sequence[tuple[int, int]], like: Any) -> Any:
        return super().sum_rows(returned, found, like).to(torch.bfloat16).float()


class SumsBySlots(Semantics):
    """Adds the first contribution once more for each slot that names no rank."""

    def sum_rows(self, returned: Sequence[Returned], found: Sequence[tuple[int, int]], like: Any) -> Any:
        total = super().sum_rows(returned, found, like)
        lost = int(self.config.num_experts_per_token) - len(found)
        return total if self._all_valid or not found else total + lost * returned[found[0][0]].rows[found[0][1]].float()

    def after_dispatch(self, sent: Sequence[Sent], mine: Sent) -> None:
        self._all_valid = all(self.rank_of(int(expert)) is not None for expert in mine.ids.reshape(-1).tolist())


class HandleForgetsRows(Semantics):
    """Finds no row behind the second in what a routing handle kept."""

    def handle_sources(self, rows: Sequence[Source]) -> tuple[Source, ...]:
        return tuple(rows[:2])


class _LowLatencyOnly(Semantics):
    """Right, but for the IntraNodeLL kernel."""

    @property
    def low_latency(self) -> bool:
        return bool(self.config.kernel_type.name == "IntraNodeLL")


class LosesTheLowLatencyKernel(_LowLatencyOnly):
    def arrivals(self, sent: Sequence[Sent], receiver: int) -> list[Source]:
        rows = super().arrivals(sent, receiver)
        return rows[1:] if self.low_latency else rows


class SumsLowLatencyOnce(_LowLatencyOnly):
    def contributions(self, returned: Sequence[Returned], source: Source) -> list[tuple[int, int]]:
        found = super().contributions(returned, source)
        return found[:1] if self.low_latency else found


class LowLatencySendsMinusOne(_LowLatencyOnly):
    def rank_of(self, expert: int) -> int | None:
        return 0 if expert == -1 and self.low_latency else super().rank_of(expert)


class LowLatencyWrapsIds(_LowLatencyOnly):
    def rank_of(self, expert: int) -> int | None:
        if self.low_latency and expert >= 0:
            return expert // int(self.config.num_experts_per_rank) % int(self.config.world_size)
        return super().rank_of(expert)


class LowLatencyHasNoCheck(_LowLatencyOnly):
    def check_room(self, arrivals: Sequence[Sequence[Source]]) -> None:
        if not self.low_latency:
            super().check_room(arrivals)
