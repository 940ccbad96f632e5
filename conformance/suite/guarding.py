# SPDX-License-Identifier: MIT
"""Plays a case through moriep's dispatcher, and breaks its overflow guard on purpose.

Only the ranks import this. The witnesses are guards with one mistake each; the environment names the one to use, and the
table of what must catch it stands in `conformance.suite.witnesses`.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.distributed as dist

from conformance.suite.cases import Case, Inputs
from conformance.suite.device import Device, raw_bytes
from conformance.suite.encoding import numeric
from conformance.suite.experts import expert_output
from conformance.suite.observations import CombineObservation, DispatchObservation
from moriep import ModelDescription, ReceiveOverflowError
from moriep.dispatcher import DispatchOutput, MoriEPDispatcher, OverflowGuard, SendCounts
from moriep.dispatcher.operators import OperatorCache

__all__ = ["GUARD_WITNESSES", "WITNESS_VARIABLE", "GuardedCase"]

WITNESS_VARIABLE = "CONFORMANCE_GUARD_WITNESS"
_PREFIX = "SGLANG_MORI_"


class LetsOneTooManyThrough(OverflowGuard):
    def check_exact(self, sends: Sequence[SendCounts]) -> tuple[int, ...]:
        received = tuple(sum(item.tokens[rank] for item in sends) for rank in range(self.capacity.world_size))
        return received if max(received) == self.capacity.rows + 1 else super().check_exact(sends)


class LooksAtTheFirstRankOnly(OverflowGuard):
    def check_exact(self, sends: Sequence[SendCounts]) -> tuple[int, ...]:
        only = [SendCounts((item.tokens[0], *(0 for _ in item.tokens[1:])), item.last) for item in sends]
        super().check_exact(only)
        return tuple(sum(item.tokens[rank] for item in sends) for rank in range(self.capacity.world_size))


class RefusesAFullBuffer(OverflowGuard):
    def check_exact(self, sends: Sequence[SendCounts]) -> tuple[int, ...]:
        received = super().check_exact(sends)
        if max(received) == self.capacity.rows:
            raise ReceiveOverflowError("full", received, self.capacity.rows)
        return received


class ForgetsTheStagingRows(OverflowGuard):
    def _check_staging(self, needed: Sequence[int], at_least: int, *, certain: bool) -> None:
        return


class RefusesEveryCap(OverflowGuard):
    def _check_staging(self, needed: Sequence[int], at_least: int, *, certain: bool) -> None:
        raise ReceiveOverflowError("a cap", needed, 0)


class BelievesInTheMean(OverflowGuard):
    """Takes what a rank receives on average for the most that it can receive."""

    def check_free(self, tokens: int, tokens_per_rank: Sequence[int] | None = None) -> int:
        known = [tokens] if tokens_per_rank is None else tokens_per_rank
        super().check_free(tokens, [number // len(known) for number in known])
        return sum(known)


GUARD_WITNESSES: dict[str, type[OverflowGuard]] = {
    "lets-one-too-many-through": LetsOneTooManyThrough,
    "looks-at-the-first-rank-only": LooksAtTheFirstRankOnly,
    "refuses-a-full-buffer": RefusesAFullBuffer,
    "forgets-the-staging-rows": ForgetsTheStagingRows,
    "refuses-every-cap": RefusesEveryCap,
    "believes-in-the-mean": BelievesInTheMean,
}


def _break(guard: OverflowGuard) -> OverflowGuard:
    """The same guard with the mistake that the environment names, if any."""
    kind = GUARD_WITNESSES.get(os.environ.get(WITNESS_VARIABLE, ""))
    if kind is None:
        return guard
    return kind(guard.mode, guard.capacity, guard.kernel_type, guard.staging, guard.most_rows)


class GuardedCase:
    """One case on this rank, through a dispatcher of its own.

    Attributes:
        refused: number of the data set → the guard's message.
    """

    def __init__(self, case: Case, device: Device) -> None:
        self._case, self._device = case, device
        self.refused: dict[str, str] = {}
        self._output: DispatchOutput | None = None
        self._seen: DispatchObservation | None = None
        model = ModelDescription(case.hidden, case.experts, case.experts_per_rank, case.top_k)
        self._dispatcher = MoriEPDispatcher(
            model,
            dist.group.WORLD,
            environment={
                f"{_PREFIX}NUM_MAX_DISPATCH_TOKENS_PER_RANK": str(case.most_tokens),
                f"{_PREFIX}PREALLOC_MAX_RECV_TOKENS": str(case.cap or 0),
                # Between nodes the dispatcher goes by the size of a batch: all of these are large, or none is.
                f"{_PREFIX}DISPATCH_INTER_KERNEL_SWITCH_THRESHOLD": str(
                    case.most_tokens - 1 if case.kernel_type == "InterNodeV1" else case.most_tokens
                ),
            },
            low_latency=case.kernel_type == "AsyncLL",
            gpus_per_node=case.gpus_per_node or case.world_size,
            guard=case.guard,
            combine_input=case.combine_input,  # type: ignore[arg-type]
            # Not shared with other cases, so that the op goes with the case.
            cache=OperatorCache(1),
        )
        chosen = str(self._dispatcher.configuration.kernel_type)
        if chosen != case.kernel_type:
            raise RuntimeError(f"case {case.name} is about {case.kernel_type}, and the dispatcher took {chosen}")
        self._dispatcher.guard = _break(self._dispatcher.guard)

    def _on_device(self, values: Any) -> Any:
        return values.to(self._device.name)

    def dispatch(self, inputs: Inputs, data: int) -> DispatchObservation | None:
        """What arrived; None if the guard refused."""
        case = self._case
        payload = torch.from_numpy(np.ascontiguousarray(inputs.payload).reshape(-1)).view(torch.bfloat16)
        self._output = self._seen = None
        try:
            output = self._dispatcher.dispatch(
                self._on_device(payload.reshape(inputs.tokens, case.hidden)),
                self._on_device(torch.from_numpy(inputs.weights)),
                self._on_device(torch.from_numpy(inputs.ids)),
                case.counts(data) if case.guard == "free" else None,
            )
        except ReceiveOverflowError as error:
            self.refused[str(data)] = str(error)
            return None
        self._device.synchronize()
        self._output = output
        self._seen = DispatchObservation(
            data=data,
            step="guarded_dispatch",
            count=int(output.received.reshape(-1)[0].item()),
            payload=raw_bytes(output.hidden_states),
            weights=raw_bytes(output.topk_weights).view(np.float32),
            ids=raw_bytes(output.topk_ids).view(np.int32),
            scales=np.zeros((output.rows, 0), np.uint8),
            sources=np.zeros((0, 2), np.int32),
            before=None,
            same_objects=None,
        )
        return self._seen

    def combine(self, rank: int, data: int) -> CombineObservation | None:
        """What came back; None if nothing was dispatched."""
        case, output, seen = self._case, self._output, self._seen
        if output is None or seen is None:
            return None
        valid = max(0, min(seen.count, output.rows))
        computed = np.full((output.rows, case.hidden), np.nan, np.float32)
        computed[:valid] = expert_output(
            rank,
            numeric(seen.payload[:valid], case.dtype),
            seen.ids[:valid],
            seen.weights[:valid],
            case.experts_per_rank,
            case.combine_dtype,
        )
        dist.barrier()
        found = self._dispatcher.combine(self._on_device(torch.from_numpy(computed).to(torch.bfloat16)))
        self._device.synchronize()
        return CombineObservation(
            data=data,
            step="guarded_combine",
            rows=found.detach().cpu().float().numpy().copy(),
            weights=np.zeros((0, case.top_k), np.float32),
            count_after=0,
        )
