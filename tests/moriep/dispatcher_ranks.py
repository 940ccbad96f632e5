# SPDX-License-Identifier: MIT
"""What each rank runs for test_dispatcher_ranks.py: situations by name, over the reference implementation."""

from __future__ import annotations

import os
import sys
from typing import Any

import torch
import torch.distributed as dist

from moriep import MoriEPDispatcher, MoriEPError
from moriep.configuration import ModelDescription
from moriep.vocabulary import DType, WeightQuantization

RANK, WORLD_SIZE = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
HIDDEN, EXPERTS, TOP_K = 256, 4, 2
MODEL = ModelDescription(HIDDEN, WORLD_SIZE * EXPERTS, EXPERTS, TOP_K)
TOKENS = {"SGLANG_MORI_NUM_MAX_DISPATCH_TOKENS_PER_RANK": "8"}


def make(variables: dict[str, str] | None = None, model: ModelDescription = MODEL, **options: Any) -> MoriEPDispatcher:
    return MoriEPDispatcher(model, dist.group.WORLD, environment={**TOKENS, **(variables or {})}, **options)


def inputs(tokens: int, to_rank: int | None = None) -> tuple[Any, Any, Any]:
    """Token t: value 1 + rank + t everywhere, for two experts of `to_rank`, or one of each rank."""
    hidden = torch.arange(tokens).reshape(-1, 1).expand(tokens, HIDDEN) + 1.0 + RANK
    ids = [[0, EXPERTS]] if to_rank is None else [[to_rank * EXPERTS, to_rank * EXPERTS + 1]]
    return (
        hidden.bfloat16().contiguous(),
        torch.ones(tokens, TOP_K),
        torch.tensor(ids * tokens, dtype=torch.int32).reshape(-1, 2),
    )


def round_trip(dispatcher: MoriEPDispatcher, tokens: int, to_rank: int | None = None, **options: Any) -> str:
    from moriep.dispatcher import dequantise

    hidden, weights, ids = inputs(tokens, to_rank)
    out = dispatcher.dispatch(hidden, weights, ids, **options)
    count = int(out.received)
    expert = torch.full((out.rows, HIDDEN), float("nan")).bfloat16()
    scales = None if out.scales is None else out.scales[:count]
    back = dequantise(out.hidden_states[:count], scales, dispatcher.configuration.dispatch_dtype)
    expert[:count] = back.bfloat16()
    found = dispatcher.combine(expert)
    ranks = 2 if to_rank is None else 1
    right = torch.equal(found, hidden * ranks)
    return f"received {count} rows {out.rows} counts {out.counts} returned {tuple(found.shape)} right {right}"


def normal() -> list[str]:
    dispatcher = make()
    return [round_trip(dispatcher, tokens[RANK]) for tokens in ((3, 0), (0, 0), (8, 8))]


def dtypes() -> list[str]:
    # Without fp4: the reference counts a token's values by its bytes.
    return [f"{name} " + round_trip(make({"SGLANG_MORI_DISPATCH_DTYPE": name}), 2) for name in ("bf16", "fp8", "mxfp8")]


def low_latency() -> list[str]:
    dispatcher = make(low_latency=True)
    return [dispatcher.configuration.kernel_type.value, round_trip(dispatcher, 4), round_trip(dispatcher, 0)]


def overflow() -> list[str]:
    dispatcher = make({"SGLANG_MORI_PREALLOC_MAX_RECV_TOKENS": "8"})
    found = []
    for tokens in ((4, 4), (5, 4), (3, 5), (8, 8)):
        try:
            found.append(round_trip(dispatcher, tokens[RANK], to_rank=1))
        except MoriEPError as error:
            found.append(f"{type(error).__name__} {error.counts} {error.capacity} {error.smallest}")  # type: ignore[attr-defined]
    return found


def one_bad_rank() -> list[str]:
    dispatcher = make({"SGLANG_MORI_PREALLOC_MAX_RECV_TOKENS": "8"})
    hidden, weights, ids = inputs(2)
    if RANK == 1:
        ids = ids.long()
    found = []
    try:
        dispatcher.dispatch(hidden, weights, ids)
    except MoriEPError as error:
        found.append(f"{type(error).__name__} {error}")
    # Nothing was launched, so the next dispatch goes through.
    return [*found, round_trip(dispatcher, 2)]


def mismatch() -> list[str]:
    try:
        make({"SGLANG_MORI_NUM_MAX_DISPATCH_TOKENS_PER_RANK": str(8 + RANK)})
    except MoriEPError as error:
        return str(error).splitlines()
    return ["made"]


def refused() -> list[str]:
    found = []
    for model in (
        ModelDescription(HIDDEN, 8, 4, 2, DType.FLOAT16),
        ModelDescription(130, 8, 4, 2, weight_quantization=WeightQuantization.FP8),
    ):
        try:
            make(model=model)
        except MoriEPError as error:
            found.append(f"{type(error).__name__} {error}")
    for variables, options in (({"SGLANG_MORI_DISPATCH_DTYPE": "fp16"}, {}), ({}, {"guard": "strict"})):
        try:
            make(variables, **options)
        except MoriEPError as error:
            found.append(f"{type(error).__name__} {error}")
    return found


def changed_environment() -> list[str]:
    name = "SGLANG_MORI_PREALLOC_MAX_RECV_TOKENS"
    os.environ.update({**TOKENS, name: "16"})
    dispatcher = MoriEPDispatcher(MODEL, dist.group.WORLD)
    found = [round_trip(dispatcher, 2)]
    os.environ[name] = "8"
    try:
        round_trip(dispatcher, 2)
    except MoriEPError as error:
        found.append(f"{type(error).__name__} {error}")
    again = MoriEPDispatcher(MODEL, dist.group.WORLD)
    return [*found, f"same op {again.op is dispatcher.op}", round_trip(again, 2)]


def shared_op() -> list[str]:
    first = make()
    return [f"{make().op is first.op} {make(instance=1).op is first.op} {make(guard='off').op is first.op}"]


def bounds() -> list[str]:
    bound = make({"SGLANG_MORI_RECV_BOUND": "true"})
    cut = make({"SGLANG_MORI_MOE_MAX_INPUT_TOKENS": "6"})
    found = [round_trip(bound, 2 + RANK, tokens_per_rank=[2, 3]), round_trip(cut, 3)]
    try:
        round_trip(cut, 4)
    except MoriEPError as error:
        found.append(f"{type(error).__name__} {error}")
    try:
        round_trip(bound, 2, tokens_per_rank=[3, 3])
    except MoriEPError as error:
        found.append(f"{type(error).__name__} {error}")
    return found


def copies() -> list[str]:
    found = []
    for copy in (False, True):
        dispatcher = make(copy=copy, instance=int(copy))
        first = dispatcher.dispatch(*inputs(1))
        before = first.hidden_states.clone()
        dispatcher.combine(first.hidden_states)
        hidden, weights, ids = inputs(1)
        second = dispatcher.dispatch(hidden + 100, weights, ids)
        dispatcher.combine(second.hidden_states)
        found.append(f"copy {copy} kept {torch.equal(first.hidden_states, before)}")
    return found


def order() -> list[str]:
    dispatcher = make()
    found = []
    for call in (dispatcher.dispatch_b, dispatcher.combine_b, lambda: dispatcher.combine_a(None)):
        try:
            call()
        except MoriEPError as error:
            found.append(type(error).__name__)
    return [*found, round_trip(dispatcher, 1)]


if __name__ == "__main__":
    dist.init_process_group("gloo", rank=RANK, world_size=WORLD_SIZE)
    for name in sys.argv[1:]:
        for line in globals()[name]():
            print(f"{name}: {line}", flush=True)
        dist.barrier()
    dist.destroy_process_group()
