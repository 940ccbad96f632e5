# SPDX-License-Identifier: MIT
"""A rank that is late on purpose, before the calls that are named and no others."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

SOURCE = """
pointer = hip.malloc(64)
for _ in range(2):
    print("memset", hip.hipMemset(pointer, 1, 64))
print("free", hip.hipFree(pointer))
"""


@pytest.mark.parametrize(("rank", "times"), [("1", 2), ("0", 0)])
def test_only_the_named_rank_is_late_and_only_for_the_named_function(
    program: Callable[..., object], rank: str, times: int
) -> None:
    done = program(SOURCE, variables={"RANK": rank, "VIRTUAL_ROCM_LATE": "1/hipMemset/0.001"})
    assert done.stdout.split() == ["memset", "0", "memset", "0", "free", "0"]  # type: ignore[attr-defined]
    assert done.stderr.count("hipMemset: late on purpose") == times  # type: ignore[attr-defined]
    assert done.stderr.count("late on purpose") == times  # type: ignore[attr-defined]


@pytest.mark.parametrize("text", ["hipMemset", "1/hipMemset", "one/hipMemset/0.1", "1/hipMemset/-1", "1/hipMemset/1s"])
def test_what_is_malformed_is_told_by_the_first_call(program: Callable[..., object], text: str) -> None:
    done = program("print(hip.hipMemset(0, 0, 0))", variables={"RANK": "0", "VIRTUAL_ROCM_LATE": text})
    assert f"VIRTUAL_ROCM_LATE={text} is not RANK/FUNCTION/SECONDS" in done.stderr  # type: ignore[attr-defined]
    assert done.stdout.strip() != "0"  # type: ignore[attr-defined]


@pytest.mark.parametrize(("rank", "late"), [("1", True), ("0", False)])
def test_only_the_named_rank_has_late_blocks(
    program: Callable[..., object], kernels: Path, rank: str, late: bool
) -> None:
    done = program(
        "import time\n"
        "module = hip.make('hipModuleLoad', sys.argv[1].encode())\n"
        "kernel = hip.make('hipModuleGetFunction', module, b'fill_to')\n"
        "pointer = hip.malloc(64)\n"
        "began = time.monotonic()\n"
        "hip.check(hip.launch(kernel, [c_void_p(pointer), c_int(4)]))\n"
        "print(hip.hipDeviceSynchronize(), time.monotonic() - began >= 1.5)",
        str(kernels),
        variables={"RANK": rank, "VIRTUAL_ROCM_LATE_BLOCKS": "1/fill/0/1.5"},
    )
    assert done.stdout.split() == ["0", str(late)], done.stderr  # type: ignore[attr-defined]
