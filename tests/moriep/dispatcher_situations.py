# SPDX-License-Identifier: MIT
"""What two ranks of `dispatcher_ranks.py` have to say in each situation, and a way to start them."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

__all__ = ["DROPPED", "EXPECTED", "ON_WHEELS", "PROGRAM", "REFUSED", "check", "run_ranks"]

PROGRAM = Path(__file__).with_name("dispatcher_ranks.py")


def full(received: int, returned: int) -> str:
    return f"received {received} rows 16 counts None returned ({returned}, 256) right True"


def capped(received: int, counts: tuple[int, int], returned: int) -> str:
    return f"received {received} rows 8 counts {counts} returned ({returned}, 256) right True"


def both(*lines: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    return lines, lines


_CHANGED = (
    "EnvironmentChangedError the environment changed after the op was built, which does not follow: "
    "SGLANG_MORI_PREALLOC_MAX_RECV_TOKENS was '16' and is '8'. Remedy: set it back, or make a new dispatcher (on every rank)"
)
# Situation → what each rank says, line by line; a line may be cut short.
EXPECTED: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "normal": ((full(3, 3), full(0, 0), full(16, 8)), (full(3, 0), full(0, 0), full(16, 8))),
    "dtypes": both(*(f"{name} {full(4, 2)}" for name in ("bf16", "fp8", "mxfp8"))),
    "low_latency": both("AsyncLL", full(8, 4), full(0, 0)),
    "overflow": (
        (
            capped(0, (0, 8), 4),
            "ReceiveOverflowError (0, 9) 8 10",
            capped(0, (0, 8), 3),
            "ReceiveOverflowError (0, 16) 8 16",
        ),
        (
            capped(8, (0, 8), 4),
            "ReceiveOverflowError (0, 9) 8 10",
            capped(8, (0, 8), 5),
            "ReceiveOverflowError (0, 16) 8 16",
        ),
    ),
    "one_bad_rank": (
        ("InputError the input of rank 1 was refused", capped(4, (4, 4), 2)),
        ("InputError topk_ids is [2, 2] torch.int64; the kernels read int32", capped(4, (4, 4), 2)),
    ),
    "mismatch": both(
        "GroupMismatchError",
        "the ranks of the group are configured differently",
        "  max_num_inp_token_per_rank: 8 on rank 0, 9 on rank 1",
        "  variable SGLANG_MORI_NUM_MAX_DISPATCH_TOKENS_PER_RANK: 8 on rank 0, 9 on rank 1",
        "Remedy: start every rank with the same settings",
        "GroupMismatchError",
        "the ranks of the group are configured differently",
        "  variable MORI_EP_DISABLE_VIEW_CACHE: 0 on rank 0, 1 on rank 1",
        "Remedy: start every rank with the same settings",
        full(2, 1),
    ),
    "bad_input": both(
        "int64 ids: InputError topk_ids is [4, 2] torch.int64; the kernels read int32. Remedy: topk_ids.to(torch.int32)",
        "strided ids: InputError topk_ids is strided ([4, 2] torch.int32, strides (4, 2)); the kernels read dense rows",
        "transposed ids: InputError topk_ids is strided ([2, 2] torch.int32, strides (1, 2))",
        "strided tokens: InputError hidden_states is strided ([4, 256] torch.bfloat16, strides (512, 2))",
        "an id too large: InputError topk_ids holds 8; allowed: 0 … 7",
        "an id below -1: InputError topk_ids holds -2; allowed: 0 … 7",
        "more tokens than M: InputError 9 tokens, but the op was made for at most 8 per rank",
        "float16: InputError hidden_states is [4, 256] torch.float16; the dispatcher was made for [tokens, 256] torch.bfloat16",
        "another hidden size: InputError hidden_states is [4, 128] torch.bfloat16; the dispatcher was made for [tokens, 256]",
        "bfloat16 weights: InputError topk_weights is [4, 2] torch.bfloat16; the kernels read float32",
        "another device: InputError the tensors are on meta, the op works on ",
        "launched []",
        full(8, 4),
    ),
    "refused": both(
        "ConfigurationError params_dtype is float16",
        "ConfigurationError hidden_size 130 is not a multiple of 128",
        "EnvironmentVariableError 1 environment variable cannot be used:",
        "ConfigurationError guard is 'strict'; allowed: exact, free, off",
    ),
    "changed_environment": both(full(4, 2), _CHANGED, "same op False", capped(4, (4, 4), 2)),
    "shared_op": both("True False True"),
    "bounds": (
        (
            "received 5 rows 5 counts None returned (2, 256) right True",
            "received 6 rows 6 counts (6, 6) returned (3, 256) right True",
            "ReceiveOverflowError dispatch: rank 0 would receive 8 tokens, and SGLANG_MORI_MOE_MAX_INPUT_TOKENS=6 cuts",
            "InputError tokens_per_rank says 3 tokens for rank 0, which dispatches 2",
        ),
        (
            "received 5 rows 5 counts None returned (3, 256) right True",
            "received 6 rows 6 counts (6, 6) returned (3, 256) right True",
            "ReceiveOverflowError dispatch: rank 0 would receive 8 tokens, and SGLANG_MORI_MOE_MAX_INPUT_TOKENS=6 cuts",
            "InputError tokens_per_rank says 3 tokens for rank 1, which dispatches 2",
        ),
    ),
    "copies": both("copy False kept False", "copy True kept True"),
    "order": both("StageError", "StageError", "StageError", full(2, 1)),
}
# The reference implementation counts no experts, and counts a token's values by its bytes; a wheel does both.
ON_WHEELS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    **EXPECTED,
    "fp4": both(full(4, 2)),
    "expert_counts": both("IntraNode [7, 0, 0, 0]", "AsyncLL [7, 0, 0, 0]"),
}
# What `minus_one` says of one kernel type, by rank, if its kernels drop such a slot, and if they would send it to rank 0.
DROPPED = ("{} dropped, received 6", "{} dropped, received 8")
REFUSED = "{} InputError launched [] topk_ids holds -1, which "


def run_ranks(python: str, arguments: Sequence[str], environment: Mapping[str, str], seconds: float = 800) -> list[str]:
    """What each of two ranks prints."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    shared = {
        **{name: value for name, value in environment.items() if not name.startswith("SGLANG_MORI_")},
        "PYTHONDONTWRITEBYTECODE": "1",
        "OMP_NUM_THREADS": "1",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "WORLD_SIZE": "2",
        "LOCAL_WORLD_SIZE": "2",
    }
    ranks = [
        subprocess.Popen(
            [python, *arguments],
            env={**shared, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for rank in range(2)
    ]
    try:
        printed = [rank.communicate(timeout=seconds)[0] for rank in ranks]
    finally:
        for rank in ranks:
            rank.kill()
    assert [rank.returncode for rank in ranks] == [0, 0], "\n".join(printed)
    return printed


def check(printed: str, situation: str, expected: Sequence[str]) -> None:
    """Hold what one rank printed against what it has to say, line by line; an expected line may be cut short."""
    lines = [line.partition(f"{situation}: ")[2] for line in printed.splitlines() if line.startswith(f"{situation}: ")]
    assert len(lines) == len(expected), printed
    for line, start in zip(lines, expected, strict=True):
        assert line.startswith(start)
