# SPDX-License-Identifier: MIT
"""The overflow guard: what would not fit is an exception before the launch, on every rank.

MORI-EP from 1.2.3 checks nothing in IntraNode dispatch: tokens beyond the capacity are written past the peers' buffers, and
combine under a cap writes past its own (see `moriep.staging`). Three modes:

- `exact`: the receive counts follow from the routing. Each rank counts its tokens for each destination, once per rank, and the
  counts are gathered over the group, so that all ranks come to the same answer. Costs a host synchronisation and one small
  collective; not if no routing can overflow the buffers: then nothing is counted at all.
- `free`: costs neither. Knows how many tokens this rank has and, if the caller says so, how many each other rank has. Raises
  what that does not exclude: sum of all tokens above the capacity, others counted at M where unknown.
- `off`.

After the fact, in every mode, the count that dispatch reported is looked at when that is possible without waiting.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from moriep.capacity import Capacity
from moriep.dispatcher.lazy import load_torch
from moriep.errors import ReceiveOverflowError
from moriep.staging import CombineStaging
from moriep.variables import PREFIX
from moriep.vocabulary import KernelType

__all__ = ["GuardMode", "OverflowGuard", "SendCounts", "count_sends"]

_CAP = f"max_total_recv_tokens ({PREFIX}PREALLOC_MAX_RECV_TOKENS)"


class GuardMode(str, Enum):
    """How much the guard may cost."""

    EXACT = "exact"
    FREE = "free"
    OFF = "off"

    def __str__(self) -> str:
        return str(self.value)


@dataclass(frozen=True)
class SendCounts:
    """What one rank sends in one dispatch.

    Attributes:
        tokens: for each destination rank, how many tokens go there, each once however many of its experts live there.
        last: for each destination rank, one more than the number of the last such token; 0 if there is none.
    """

    tokens: tuple[int, ...]
    last: tuple[int, ...]


def count_sends(ids: Any, world_size: int, experts_per_rank: int) -> SendCounts:
    """Count the destinations of a routing. Ids outside 0 … W·E−1 go nowhere. Synchronises with the device of `ids`.

    Args:
        ids: [tokens, top_k] global expert ids, any integer dtype, any device.
    """
    torch = load_torch()
    tokens = int(ids.shape[0])
    if tokens == 0 or ids.numel() == 0:
        return SendCounts((0,) * world_size, (0,) * world_size)
    valid = (ids >= 0) & (ids < world_size * experts_per_rank)
    # The column behind the last rank takes the slots that go nowhere.
    ranks = torch.where(valid, ids.div(experts_per_rank, rounding_mode="floor"), world_size).long()
    reached = torch.zeros(tokens, world_size + 1, dtype=torch.bool, device=ids.device)
    reached.scatter_(1, ranks, True)
    reached = reached[:, :world_size]
    numbers = torch.arange(1, tokens + 1, device=ids.device).unsqueeze(1)
    both = torch.stack((reached.sum(0), (reached * numbers).amax(0))).tolist()
    return SendCounts(tuple(both[0]), tuple(both[1]))


@dataclass(frozen=True)
class OverflowGuard:
    """Decides for one op whether a dispatch, and the combine behind it, stay inside their buffers.

    Attributes:
        capacity: receive rows. kernel_type: InterNode has its own rule, see `Capacity.fits`.
        staging: of combine; None where its rows are the received ones.
        most_rows: SGLANG_MORI_MOE_MAX_INPUT_TOKENS, 0 for none: what arrives beyond it would be cut off.
    """

    mode: GuardMode
    capacity: Capacity
    kernel_type: KernelType = KernelType.INTRA_NODE
    staging: CombineStaging | None = None
    most_rows: int = 0
    can_overflow: bool = field(init=False)

    def __post_init__(self) -> None:
        cut = 0 < self.most_rows < self.capacity.rows
        unsafe = not self.capacity.safe or (self.staging is not None and not self.staging.safe) or cut
        # Asked on every dispatch, so computed once.
        object.__setattr__(self, "can_overflow", unsafe)

    @property
    def needed(self) -> bool:
        """True if a dispatch has to be judged before its launch."""
        return self.can_overflow and self.mode is not GuardMode.OFF

    @property
    def counts_routing(self) -> bool:
        """True if a dispatch needs the exact counts of all ranks."""
        return self.needed and self.mode is GuardMode.EXACT

    def check_exact(self, sends: Sequence[SendCounts]) -> tuple[int, ...]:
        """Raise unless everything fits; the tokens that each rank receives.

        Args:
            sends: of every rank, in rank order; the same on every rank, so that all raise or none.

        Raises:
            ReceiveOverflowError: with the counts of all ranks.
        """
        capacity = self.capacity
        received = tuple(sum(item.tokens[rank] for item in sends) for rank in range(capacity.world_size))
        if self.kernel_type is KernelType.INTER_NODE:
            most = max(count for item in sends for count in item.tokens)
            if most > capacity.per_rank:
                self._raise_quota(received, most)
        if max(received) > capacity.rows:
            worst = received.index(max(received))
            raise ReceiveOverflowError(
                f"dispatch: rank {worst} would receive {received[worst]} tokens, its buffer has {capacity.rows} rows "
                f"(tokens by rank: {list(received)}). Nothing was launched. Remedy: {_CAP} of at least "
                f"{self._smallest(max(received))}, or 0 for the maximum of {capacity.worst_case}",
                received,
                capacity.rows,
                self._smallest(max(received)),
            )
        if 0 < self.most_rows < max(received):
            raise ReceiveOverflowError(
                f"dispatch: rank {received.index(max(received))} would receive {max(received)} tokens, and "
                f"{PREFIX}MOE_MAX_INPUT_TOKENS={self.most_rows} cuts the rest off before the experts "
                f"(tokens by rank: {list(received)}). Nothing was launched. Remedy: raise it, or unset it",
                received,
                self.most_rows,
                None,
            )
        if self.staging is not None:
            needed = [self.staging.needed_rows(item.last) for item in sends]
            self._check_staging(needed, self._smallest(max(received)), certain=True)
        return received

    def check_free(self, tokens: int, tokens_per_rank: Sequence[int] | None = None) -> int:
        """Raise unless an overflow is excluded by the numbers of tokens alone; the most that a rank can receive.

        Args:
            tokens: of this rank.
            tokens_per_rank: of every rank, if the caller knows them. Without, each other rank may send M, and the answer can
                differ from rank to rank: an exception on one rank then leaves the others waiting.

        Raises:
            ReceiveOverflowError: with `certain=False` and the bound as the count of every rank.
        """
        capacity = self.capacity
        most = capacity.max_num_inp_token_per_rank
        if tokens_per_rank is None:
            bound, largest = tokens + (capacity.world_size - 1) * most, tokens
        else:
            bound, largest = sum(tokens_per_rank), max(tokens_per_rank)
        # This is on the way of every dispatch: what only a message needs is made where it is raised.
        if self.needed:
            quota = most if tokens_per_rank is None else largest
            if self.kernel_type is KernelType.INTER_NODE and quota > capacity.per_rank:
                self._raise_quota((bound,) * capacity.world_size, largest, certain=False)
            if bound > capacity.rows or 0 < self.most_rows < bound:
                self._raise_bound(bound, tokens, told=tokens_per_rank is not None)
            if self.staging is not None and largest:
                # A rank's last token may go to the last rank.
                before = (capacity.world_size - 1) * most
                if before + largest > self.staging.rows:
                    every = [tokens] if tokens_per_rank is None else tokens_per_rank
                    needed = [before + number if number else 0 for number in every]
                    self._check_staging(needed, self._smallest(bound), certain=False)
        return bound

    def _raise_bound(self, bound: int, tokens: int, *, told: bool) -> None:
        """Say which buffer the bound does not fit, and what would help."""
        capacity = self.capacity
        how = "as the caller says"
        if not told:
            how = f"if each other rank sends its most, {capacity.max_num_inp_token_per_rank}"
        bounds = (bound,) * capacity.world_size
        if bound > capacity.rows:
            raise ReceiveOverflowError(
                f"dispatch: it is not excluded that a rank receives up to {bound} tokens ({tokens} from this rank; {how}); the "
                f"buffer has {capacity.rows} rows. Nothing was launched. Remedy: tell tokens_per_rank, use guard='exact', or "
                f"raise {_CAP} to {self._smallest(bound)}",
                bounds,
                capacity.rows,
                self._smallest(bound),
                certain=False,
            )
        raise ReceiveOverflowError(
            f"dispatch: it is not excluded that a rank receives up to {bound} tokens ({how}), and "
            f"{PREFIX}MOE_MAX_INPUT_TOKENS={self.most_rows} cuts the rest off before the experts. Remedy: raise it, or "
            "use guard='exact'",
            bounds,
            self.most_rows,
            None,
            certain=False,
        )

    def check_received(self, count: int) -> None:
        """Judge a count that dispatch reported. Up to 1.2.2 IntraNode stops by itself; later releases report the excess.

        Raises:
            ReceiveOverflowError: memory behind the receive buffers has been overwritten, or rows have been cut off.
        """
        if count > self.capacity.rows:
            raise ReceiveOverflowError(
                f"dispatch reported {count} received tokens, the buffer of this rank has {self.capacity.rows} rows: memory "
                "behind it has been overwritten, and nothing that this process computes can be trusted. Remedy: restart with "
                f"guard='exact', or {_CAP} of at least {self._smallest(count)}",
                (count,),
                self.capacity.rows,
                self._smallest(count),
            )
        if 0 < self.most_rows < count:
            raise ReceiveOverflowError(
                f"dispatch reported {count} received tokens, and {PREFIX}MOE_MAX_INPUT_TOKENS={self.most_rows} cut the rest off "
                "before the experts: the result is wrong. Remedy: raise it, or unset it",
                (count,),
                self.most_rows,
                None,
            )

    def _smallest(self, count: int) -> int:
        """The smallest cap that holds `count` rows, as MORI rounds it; at most the maximum."""
        world_size = self.capacity.world_size
        return min(-(-count // world_size) * world_size, self.capacity.worst_case)

    def _raise_quota(self, counts: tuple[int, ...], most: int, *, certain: bool = True) -> None:
        capacity = self.capacity
        smallest = min(most, capacity.max_num_inp_token_per_rank) * capacity.world_size
        raise ReceiveOverflowError(
            f"dispatch: one rank sends {most} tokens to another, and InterNode gives each pair {capacity.per_rank} rows. "
            f"Nothing was launched. Remedy: {_CAP} of at least {smallest}, or 0 for the maximum",
            counts,
            capacity.rows,
            smallest,
            certain,
        )

    def _check_staging(self, needed: Sequence[int], at_least: int, *, certain: bool) -> None:
        staging = self.staging
        assert staging is not None
        if max(needed) <= staging.rows:
            return
        capacity = self.capacity
        smallest = max(at_least, staging.smallest_cap(max(needed)))
        would = "would" if certain else "could"
        raise ReceiveOverflowError(
            f"combine: dispatch fits, but IntraNode combine with use_external_inp_buf=True {would} write past its buffer: it "
            f"stages token t computed by rank r at row r × {capacity.max_num_inp_token_per_rank} + t, needs row "
            f"{max(needed) - 1}, and the cap left {staging.rows} rows. Nothing was launched. Remedy: combine_input='registered', "
            f"or {_CAP} of at least {smallest}, or 0 for the maximum, or at most {staging.safe_tokens} tokens per rank",
            tuple(needed),
            staging.rows,
            smallest,
            certain,
        )
