# SPDX-License-Identifier: MIT
"""The dispatcher on two ranks, over the reference implementation. On real wheels the suite's group GRD does the same and more.

The ranks need torch: the interpreter that runs the tests if it has it, or the one that CONFORMANCE_RANK_PYTHON names.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PYTHON = os.environ.get("CONFORMANCE_RANK_PYTHON") or (sys.executable if importlib.util.find_spec("torch") else None)
pytestmark = [
    pytest.mark.skipif(PYTHON is None, reason="no torch: set CONFORMANCE_RANK_PYTHON to a Python that has it"),
    pytest.mark.timeout(300),
]

# Situation → what each rank must say, line by line.
_BAD = "InputError topk_ids is [2, 2] torch.int64; the kernels read int32. Remedy: topk_ids.to(torch.int32)"
_GOOD = "InputError the input of rank 1 was refused, see there; this rank's is fine, but a dispatch needs all"
_FITS = "received 8 rows 8 counts (0, 8) returned (4, 256) right True"
_NOTHING = "received 0 rows 8 counts (0, 8) returned (4, 256) right True"
EXPECTED: dict[str, tuple[list[str], list[str]]] = {
    "normal": (
        [
            "received 3 rows 16 counts None returned (3, 256) right True",
            "received 0 rows 16 counts None returned (0, 256) right True",
            "received 16 rows 16 counts None returned (8, 256) right True",
        ],
        [
            "received 3 rows 16 counts None returned (0, 256) right True",
            "received 0 rows 16 counts None returned (0, 256) right True",
            "received 16 rows 16 counts None returned (8, 256) right True",
        ],
    ),
    "dtypes": (
        [
            f"{name} received 4 rows 16 counts None returned (2, 256) right True"
            for name in ("bf16", "fp8", "mxfp8", "fp4")
        ],
    )
    * 2,  # type: ignore[dict-item]
    "low_latency": (
        [
            "AsyncLL",
            "received 8 rows 16 counts None returned (4, 256) right True",
            "received 0 rows 16 counts None returned (0, 256) right True",
        ],
    )
    * 2,  # type: ignore[dict-item]
    "shared_op": (["True False True"],) * 2,  # type: ignore[dict-item]
    "copies": (["copy False kept False", "copy True kept True"],) * 2,  # type: ignore[dict-item]
    "order": (
        [
            *["StageError"] * 3,
            "received 2 rows 16 counts None returned (1, 256) right True",
        ],
    )
    * 2,  # type: ignore[dict-item]
}
