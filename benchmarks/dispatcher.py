# SPDX-License-Identifier: MIT
"""What the dispatcher costs above the bare op: microseconds of host time per dispatch and combine, for each guard mode.

    python benchmarks/dispatcher.py                   # one rank, an op that does nothing: the dispatcher alone
    python -m virtual_rocm run --ranks 2 -- RANKS_PYTHON benchmarks/dispatcher.py --real

With `--real` the ops are those of the installed mori, and a pair ends when its result is there: the figures are shares of what
dispatch and combine take. On the virtual GPU that is milliseconds where hardware takes microseconds, so the share says that
nothing is waited for, and the first form how much is added. Needs torch. Each figure is the lowest of many short batches, because
whatever else the machine does can only add. Budget: 30 µs above the bare calls where the guard needs no counts.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import make_dataclass
from enum import IntEnum
from pathlib import Path
from types import SimpleNamespace
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

try:
    import torch
    import torch.distributed as dist
except ModuleNotFoundError as error:
    raise SystemExit("benchmarks/dispatcher.py needs torch and numpy: run it with a Python that has them") from error

from moriep import MoriEPDispatcher
from moriep.configuration import ModelDescription
from moriep.dispatcher.operators import OperatorCache
from moriep.surface import ClassSurface, Field, Method, Parameter, Surface

HIDDEN, EXPERTS, TOP_K, TOKENS = 256, 4, 2, 16
BUDGET_MICROSECONDS = 30.0
_FIELDS = (
    *("data_type", "rank", "world_size", "hidden_dim", "scale_dim", "scale_type_size", "max_token_type_size"),
    *("max_num_inp_token_per_rank", "num_experts_per_rank", "num_experts_per_token", "warp_num_per_block", "block_num"),
    *(
        "max_total_recv_tokens",
        "use_external_inp_buf",
        "kernel_type",
        "gpu_per_node",
        "rdma_block_num",
        "num_qp_per_pe",
    ),
    "quant_type",
)


class StandInOp:
    """The calls of an op, and nothing behind them."""

    def __init__(self, config: Any) -> None:
        rows = config.world_size * config.max_num_inp_token_per_rank
        self._dispatched = (
            torch.zeros(rows, config.hidden_dim, dtype=torch.bfloat16),
            torch.zeros(rows, config.num_experts_per_token),
            None,
            torch.zeros(rows, config.num_experts_per_token, dtype=torch.int32),
            torch.zeros(1, dtype=torch.int32),
        )
        self._combined = (torch.zeros(config.max_num_inp_token_per_rank, config.hidden_dim).bfloat16(), None)

    def dispatch(self, input: Any, weights: Any, scales: Any, indices: Any) -> Any:
        return self._dispatched

    def combine(self, input: Any, weights: Any, indices: Any) -> Any:
        return self._combined


# The functional form, which mypy takes only for a class of the same name.
make_kernel_types: Any = IntEnum


def stand_in() -> tuple[Any, Surface]:
    kernel_types = make_kernel_types("EpDispatchCombineKernelType", {"IntraNode": 0})
    config = make_dataclass("EpDispatchCombineConfig", [(name, object) for name in _FIELDS])
    shmem = SimpleNamespace(shmem_torch_process_group_init=lambda name: None)
    ops = SimpleNamespace(
        EpDispatchCombineConfig=config, EpDispatchCombineOp=StandInOp, EpDispatchCombineKernelType=kernel_types
    )
    dispatch = Method("dispatch", tuple(Parameter(name) for name in ("input", "weights", "scales", "indices")))
    combine = Method("combine", tuple(Parameter(name) for name in ("input", "weights", "indices")))
    surface = Surface(
        "stand-in",
        ClassSurface("EpDispatchCombineConfig", tuple(Field(name, "object") for name in _FIELDS)),
        ClassSurface("EpDispatchCombineOp", methods=(dispatch, combine)),
        quant_types=("none",),
        kernel_types={"IntraNode": 0},
    )
    return SimpleNamespace(ops=ops, shmem=shmem), surface


def measure(calls: Sequence[Callable[[], object]], batches: int, size: int) -> list[tuple[float, float]]:
    """For each call (microseconds, how far they can be trusted), in turn, so that a slow minute falls on all of them.

    The first is the lowest of the batches, the second what the lowest of every other batch is off from it.
    """
    found: list[list[float]] = [[] for _ in calls]
    for call in calls:
        call()
    for _ in range(batches):
        for call, times in zip(calls, found, strict=True):
            start = time.perf_counter()
            for _ in range(size):
                call()
            times.append((time.perf_counter() - start) / size * 1e6)
    return [(min(times), abs(min(times[::2]) - min(times[1::2]))) for times in found]


def main() -> int:
    parser = argparse.ArgumentParser(description="overhead of the dispatcher and its guard")
    parser.add_argument("--real", action="store_true", help="the installed mori instead of an op that does nothing")
    parser.add_argument("--batches", type=int, default=0)
    parser.add_argument("--size", type=int, default=0)
    arguments = parser.parse_args()
    batches = arguments.batches or (40 if arguments.real else 400)
    size = arguments.size or (1 if arguments.real else 10)
    rank, world_size = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
    os.environ.setdefault("MASTER_ADDR", "127.0.0.1")
    os.environ.setdefault("MASTER_PORT", "29511")
    if torch.cuda.is_available():
        torch.cuda.set_device(rank % torch.cuda.device_count())
    dist.init_process_group("gloo", rank=rank, world_size=world_size)
    device = "cuda" if arguments.real and torch.cuda.is_available() else "cpu"
    module, surface = (None, None) if arguments.real else stand_in()
    model = ModelDescription(HIDDEN, world_size * EXPERTS, EXPERTS, TOP_K)
    # At most half of the buffer, so that every guard lets it through.
    tokens = TOKENS // 2
    hidden = torch.zeros(tokens, HIDDEN, dtype=torch.bfloat16, device=device)
    weights = torch.ones(tokens, TOP_K, device=device)
    ids = torch.arange(tokens * TOP_K, dtype=torch.int32).reshape(tokens, TOP_K).remainder(world_size * EXPERTS)
    ids = ids.to(torch.int32).to(device)
    # Launches return before their kernels are done; without this, the first to look at a tensor would pay for all.
    arrive: Callable[[], object] = torch.cuda.synchronize if device == "cuda" else int
    bare = 0.0
    within = True
    situations: tuple[tuple[str, int, str, list[int] | None], ...] = (
        ("no cap, guard exact (nothing to count)", 0, "exact", None),
        ("cap, guard off", world_size * tokens, "off", None),
        ("cap, guard free, tokens known", world_size * tokens, "free", [tokens] * world_size),
        ("cap, guard exact", world_size * tokens, "exact", None),
    )
    for name, cap, guard, known in situations:
        dispatcher = MoriEPDispatcher(
            model,
            dist.group.WORLD,
            environment={
                "SGLANG_MORI_NUM_MAX_DISPATCH_TOKENS_PER_RANK": str(TOKENS),
                "SGLANG_MORI_PREALLOC_MAX_RECV_TOKENS": str(cap),
            },
            combine_input="auto" if arguments.real else "external",
            device=device if device == "cpu" else None,
            cache=OperatorCache(1),
            module=module,
            surface=surface,
            guard=guard,
            # As on a GPU, where by default the ids are read only if the guard counts them.
            check_ids=None if device == "cuda" else False,
        )
        rows = dispatcher.dispatch(hidden, weights, ids, known).hidden_states
        expert = rows.clone()
        dispatcher.combine(expert)

        def bare_pair(op: Any = dispatcher.op, expert: Any = expert) -> None:
            op.dispatch(hidden, weights, None, ids)
            op.combine(expert, None, ids)
            arrive()

        def pair(item: MoriEPDispatcher = dispatcher, expert: Any = expert, known: Any = known) -> None:
            item.dispatch(hidden, weights, ids, known)
            item.combine(expert)
            arrive()

        (bare, one), (ours, other) = measure((bare_pair, pair), batches, size)
        extra, scatter = ours - bare, one + other
        share = ""
        if arguments.real:
            share = f", {100 * extra / bare:.2f} % of the bare pair, scatter {100 * scatter / bare:.2f} %"
        if rank == 0:
            print(
                f"{name:40} bare {bare:10.1f} µs, dispatcher {ours:10.1f} µs, added {extra:8.1f} µs{share}", flush=True
            )
        within = within and (arguments.real or ("guard exact" in name and bool(cap)) or extra <= BUDGET_MICROSECONDS)
    if not arguments.real:
        print(f"budget of {BUDGET_MICROSECONDS:g} µs above the bare calls: {'kept' if within else 'exceeded'}")
    dist.destroy_process_group()
    return 0 if within else 1


if __name__ == "__main__":
    sys.exit(main())
