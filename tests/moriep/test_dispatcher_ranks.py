# SPDX-License-Identifier: MIT
"""The dispatcher on two ranks, over the reference implementation. On real wheels the suite's group GRD does the same and more.

The ranks need torch: the interpreter that runs the tests if it has it, or the one that CONFORMANCE_RANK_PYTHON names.
"""

from __future__ import annotations

import importlib.util
import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from conformance.suite.lanes import REFERENCE

ROOT = Path(__file__).resolve().parents[2]
PYTHON = os.environ.get("CONFORMANCE_RANK_PYTHON") or (sys.executable if importlib.util.find_spec("torch") else None)
pytestmark = [
    pytest.mark.skipif(PYTHON is None, reason="no torch: set CONFORMANCE_RANK_PYTHON to a Python that has it"),
    pytest.mark.timeout(900),
]


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
        "the ranks of the group are configured differently",
        "  max_num_inp_token_per_rank: 8 on rank 0, 9 on rank 1",
        "  variable SGLANG_MORI_NUM_MAX_DISPATCH_TOKENS_PER_RANK: 8 on rank 0, 9 on rank 1",
        "Remedy: start every rank with the same settings",
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


def run_ranks(arguments: list[str]) -> list[str]:
    """What each of two ranks prints."""
    assert PYTHON is not None
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    shared = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("SGLANG_MORI_", "MORI_"))},
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(REFERENCE)]),
        "PYTHONDONTWRITEBYTECODE": "1",
        "CUDA_VISIBLE_DEVICES": "",
        "OMP_NUM_THREADS": "1",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "WORLD_SIZE": "2",
    }
    ranks = [
        subprocess.Popen(
            [PYTHON, *arguments],
            env={**shared, "RANK": str(rank)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for rank in range(2)
    ]
    try:
        printed = [rank.communicate(timeout=800)[0] for rank in ranks]
    finally:
        for rank in ranks:
            rank.kill()
    assert [rank.returncode for rank in ranks] == [0, 0], printed
    return printed


def test_the_program_of_the_page_runs(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "dispatcher.md").read_text(encoding="utf-8")
    (program,) = re.findall(r"<!-- file: layer.py -->\n```python\n(.*?)```", page, re.DOTALL)
    file = tmp_path / "layer.py"
    file.write_text(program, encoding="utf-8")
    for rank, printed in enumerate(run_ranks([str(file)])):
        assert f"rank {rank}: received 16, returned (8, 256)" in printed


@pytest.fixture(scope="module")
def said() -> tuple[list[str], list[str]]:
    """What the two ranks printed; all situations share one start, because torch takes seconds to load."""
    printed = run_ranks([str(Path(__file__).with_name("dispatcher_ranks.py")), *EXPECTED])
    return printed[0].splitlines(), printed[1].splitlines()


@pytest.mark.parametrize("situation", EXPECTED)
@pytest.mark.parametrize("rank", [0, 1])
def test_what_a_rank_says(situation: str, rank: int, said: tuple[list[str], list[str]]) -> None:
    lines = [line.partition(": ")[2] for line in said[rank] if line.startswith(f"{situation}: ")]
    expected = EXPECTED[situation][rank]
    assert len(lines) == len(expected), lines
    for line, start in zip(lines, expected, strict=True):
        assert line.startswith(start)
