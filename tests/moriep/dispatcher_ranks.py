# SPDX-License-Identifier: MIT
"""What each rank runs: situations by name, on whatever `mori` there is, the reference implementation or a wheel's.

`tests/moriep/dispatcher_situations.py` holds what each has to say. A situation may be followed by numbers: `combine_fp8:512`.
"""

from __future__ import annotations

import os
import sys
import time
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
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
LAUNCHES = ("dispatch", "combine", "dispatch_send", "dispatch_recv", "combine_send", "combine_recv")


def make(variables: dict[str, str] | None = None, model: ModelDescription = MODEL, **options: Any) -> MoriEPDispatcher:
    return MoriEPDispatcher(model, dist.group.WORLD, environment={**TOKENS, **(variables or {})}, **options)


def inputs(tokens: int, to_rank: int | None = None) -> tuple[Any, Any, Any]:
    """Token t: value 1 + rank + t everywhere, for two experts of `to_rank`, or one of each rank."""
    hidden = torch.arange(tokens).reshape(-1, 1).expand(tokens, HIDDEN) + 1.0 + RANK
    ids = [[0, EXPERTS]] if to_rank is None else [[to_rank * EXPERTS, to_rank * EXPERTS + 1]]
    return (
        hidden.bfloat16().contiguous().to(DEVICE),
        torch.ones(tokens, TOP_K, device=DEVICE),
        torch.tensor(ids * tokens, dtype=torch.int32).reshape(-1, 2).to(DEVICE),
    )


class Watched:
    """An op that notes which of its kernels were asked for."""

    def __init__(self, op: Any) -> None:
        self._op, self.launched = op, []

    def __getattr__(self, name: str) -> Any:
        if name in LAUNCHES:
            self.launched.append(name)
        return getattr(self._op, name)


def meet() -> None:
    """Combine reads what the peers' experts wrote, so everybody has to have written it."""
    if DEVICE == "cuda":
        torch.cuda.synchronize()
    dist.barrier()


def round_trip(dispatcher: MoriEPDispatcher, tokens: int, to_rank: int | None = None, **options: Any) -> str:
    from moriep.dispatcher import dequantise

    hidden, weights, ids = inputs(tokens, to_rank)
    out = dispatcher.dispatch(hidden, weights, ids, **options)
    count = int(out.received)
    expert = torch.full((out.rows, HIDDEN), float("nan"), device=DEVICE).bfloat16()
    scales = None if out.scales is None else out.scales[:count]
    back = dequantise(out.hidden_states[:count], scales, dispatcher.configuration.dispatch_dtype)
    expert[:count] = back.bfloat16()
    meet()
    found = dispatcher.combine(expert)
    meet()
    ranks = 2 if to_rank is None else 1
    right = torch.equal(found, hidden * ranks)
    return f"received {count} rows {out.rows} counts {out.counts} returned {tuple(found.shape)} right {right}"


def normal() -> list[str]:
    dispatcher = make()
    return [round_trip(dispatcher, tokens[RANK]) for tokens in ((3, 0), (0, 0), (8, 8))]


def dtypes() -> list[str]:
    # Without fp4: the reference counts a token's values by its bytes.
    return [f"{name} " + round_trip(make({"SGLANG_MORI_DISPATCH_DTYPE": name}), 2) for name in ("bf16", "fp8", "mxfp8")]


def fp4() -> list[str]:
    """Two tokens of each rank: 1, 2 and 3 are exact in e2m1."""
    return [round_trip(make({"SGLANG_MORI_DISPATCH_DTYPE": "fp4"}), 2)]


def expert_counts() -> list[str]:
    """Rows of each local expert: every token goes to the first one of each rank."""
    found = []
    for low_latency in (False, True):
        dispatcher = make(low_latency=low_latency, expert_counts=True)
        out = dispatcher.dispatch(*inputs(3 + RANK))
        found.append(f"{dispatcher.configuration.kernel_type.value} {out.expert_counts.tolist()}")
        meet()
        dispatcher.combine(out.hidden_states.clone())
        meet()
    return found


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
    found = []
    for variables in (
        {"SGLANG_MORI_NUM_MAX_DISPATCH_TOKENS_PER_RANK": str(8 + RANK)},
        # MORI's own: it decides nothing that moriep computes, and everything that the kernels do with memory.
        {"MORI_EP_DISABLE_VIEW_CACHE": str(RANK)},
    ):
        try:
            make(variables)
            found.append("made")
        except MoriEPError as error:
            found += [type(error).__name__, *str(error).splitlines()]
    # Every rank has raised, so none waits, and the group goes on.
    return [*found, round_trip(make(), 1)]


def bad_input() -> list[str]:
    """Each on all ranks alike, through one dispatcher; then something right."""
    dispatcher = make(check_ids=True)
    watched = Watched(dispatcher.op)
    dispatcher.op = watched
    hidden, weights, ids = inputs(4)
    beyond, below = ids.clone(), ids.clone()
    beyond[1, 1], below[2, 0] = WORLD_SIZE * EXPERTS, -2
    attempts = {
        "int64 ids": (hidden, weights, ids.long()),
        "strided ids": (hidden, weights, ids.repeat(1, 2)[:, ::2]),
        "transposed ids": (hidden[:2].contiguous(), weights[:2], ids[:2].t()),
        "strided tokens": (hidden.repeat(1, 2)[:, ::2], weights, ids),
        "an id too large": (hidden, weights, beyond),
        "an id below -1": (hidden, weights, below),
        "more tokens than M": inputs(9),
        "float16": (hidden.half(), weights, ids),
        "another hidden size": (hidden[:, :128].contiguous(), weights, ids),
        "bfloat16 weights": (hidden, weights.bfloat16(), ids),
        "another device": tuple(tensor.to("meta") for tensor in (hidden, weights, ids)),
    }
    found = []
    for name, tensors in attempts.items():
        try:
            dispatcher.dispatch(*tensors)
            found.append(f"{name}: dispatched")
        except MoriEPError as error:
            found.append(f"{name}: {type(error).__name__} {error}")
    found.append(f"launched {watched.launched}")
    return [*found, round_trip(dispatcher, 4)]


def minus_one() -> list[str]:
    """A slot of -1, where the release drops it and where it would go to rank 0."""
    found = []
    for low_latency in (False, True):
        dispatcher = make(low_latency=low_latency, check_ids=True)
        watched = Watched(dispatcher.op)
        dispatcher.op = watched
        hidden, weights, ids = inputs(4)
        ids[1, 0] = -1
        name = dispatcher.configuration.kernel_type.value
        if dispatcher.features.negative_ids:
            out = dispatcher.dispatch(hidden, weights, ids)
            # All go to rank 1; rank 0 does not get the one whose slot for it is empty.
            found.append(f"{name} dropped, received {int(out.received)}")
            meet()
            dispatcher.combine(out.hidden_states.clone())
            meet()
            continue
        try:
            dispatcher.dispatch(hidden, weights, ids)
            found.append(f"{name} dispatched")
        except MoriEPError as error:
            found.append(f"{name} {type(error).__name__} launched {watched.launched} {error}")
    return found


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
        count = int(first.received)
        before = first.hidden_states[:count].clone()
        dispatcher.combine(first.hidden_states)
        meet()
        hidden, weights, ids = inputs(1)
        second = dispatcher.dispatch(hidden + 100, weights, ids)
        dispatcher.combine(second.hidden_states)
        meet()
        found.append(f"copy {copy} kept {torch.equal(first.hidden_states[:count], before)}")
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


def combine_dtype(name: str, hidden_size: int) -> list[str]:
    """Random rows through a combine dtype: how far the sums are from the exact ones, as a share of the bound.

    The combine kernels scale those blocks of a row whose largest magnitude a is more than F, by a over F (fp8), and cast all else
    as it is (s is 1; `sbScaled` in MORI's device_primitives.hpp), unlike `moriep.dispatcher.quantise`, which scales every block.
    The block is MORI's choice, and a over the whole row bounds it. So one rank's contribution x is off by at most
    max(|x| / 16, u * s), and the sum in bfloat16 by 2^-8 of itself besides.
    """
    model = ModelDescription(hidden_size, WORLD_SIZE * EXPERTS, EXPERTS, TOP_K)
    dispatcher = make({"SGLANG_MORI_COMBINE_DTYPE": name}, model=model)
    generator = torch.Generator().manual_seed(RANK)
    hidden = torch.randn(5, hidden_size, generator=generator).bfloat16().to(DEVICE)
    _, weights, ids = inputs(5)
    out = dispatcher.dispatch(hidden, weights, ids)
    count = int(out.received)
    expert = torch.full((out.rows, hidden_size), float("nan"), device=DEVICE).bfloat16()
    # Experts differ by rank, by a power of two, so that the exact sum is known.
    expert[:count] = out.hidden_states[:count] * 2.0**RANK
    meet()
    found = dispatcher.combine(expert).float().cpu()
    meet()
    rows = hidden.float().cpu()
    # Rank 0 gives x back, rank 1 twice x.
    exact = 3 * rows
    half_step = 2.0**-11  # of float8_e4m3fnuz; of float8_e4m3fn it is 2^-10, with an F of 448
    largest = 240.0
    most = rows.abs().amax(1, keepdim=True)
    scales = {
        factor: torch.ones(5, 1) if name == "fp8_direct_cast" else (factor * most / largest).clamp_min(1)
        for factor in (1.0, 2.0)
    }
    bound = sum(torch.maximum((factor * rows).abs() / 16, scale * half_step) for factor, scale in scales.items())
    bound = (bound + exact.abs() * 2.0**-8) * (1 + 2.0**-10)
    error = (found - exact).abs()
    inside = bool((error <= bound).all())
    # Had nothing been quantised, each sum would be the exact one, rounded once.
    quantised = bool((found != exact.bfloat16().float()).any())
    quant_type = dispatcher.features.arguments["quant_type"]
    return [
        f"{quant_type} received {count} inside {inside} quantised {quantised} largest error {float(error.max()):.4f}"
    ]


def combine_fp8(hidden_size: int) -> list[str]:
    return combine_dtype("fp8", hidden_size)


def combine_fp8_direct_cast(hidden_size: int) -> list[str]:
    return combine_dtype("fp8_direct_cast", hidden_size)


if __name__ == "__main__":
    if DEVICE == "cuda":
        torch.cuda.set_device(RANK % torch.cuda.device_count())
    dist.init_process_group("gloo", rank=RANK, world_size=WORLD_SIZE)
    for situation in sys.argv[1:]:
        function, _, number = situation.partition(":")
        started = time.monotonic()
        for line in globals()[function](*map(int, filter(None, [number]))):
            print(f"{situation}: {line}", flush=True)
        print(f"# {situation} took {time.monotonic() - started:.1f} s", flush=True)
        dist.barrier()
    dist.destroy_process_group()
