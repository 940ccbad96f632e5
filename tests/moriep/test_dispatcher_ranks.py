# SPDX-License-Identifier: MIT
"""The dispatcher on two ranks, over the reference implementation. `test_dispatcher_on_wheels.py` does the same on real wheels.

The ranks need torch: the interpreter that runs the tests if it has it, or the one that CONFORMANCE_RANK_PYTHON names.
"""

from __future__ import annotations

import importlib.util
import os
import re
import sys
from pathlib import Path

import pytest
from dispatcher_situations import DROPPED, EXPECTED, PROGRAM, REFUSED, check, run_ranks

from conformance.suite.lanes import REFERENCE

ROOT = Path(__file__).resolve().parents[2]
PYTHON = os.environ.get("CONFORMANCE_RANK_PYTHON") or (sys.executable if importlib.util.find_spec("torch") else None)
pytestmark = [
    pytest.mark.skipif(PYTHON is None, reason="no torch: set CONFORMANCE_RANK_PYTHON to a Python that has it"),
    pytest.mark.timeout(900),
]


def on_the_reference(*arguments: str) -> list[str]:
    assert PYTHON is not None
    own = {name: value for name, value in os.environ.items() if not name.startswith("MORI_")}
    path = os.pathsep.join([str(ROOT), str(REFERENCE)])
    return run_ranks(PYTHON, arguments, {**own, "PYTHONPATH": path, "CUDA_VISIBLE_DEVICES": ""})


def test_the_program_of_the_page_runs(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "dispatcher.md").read_text(encoding="utf-8")
    (program,) = re.findall(r"<!-- file: layer.py -->\n```python\n(.*?)```", page, re.DOTALL)
    file = tmp_path / "layer.py"
    file.write_text(program, encoding="utf-8")
    for rank, printed in enumerate(on_the_reference(str(file))):
        assert f"rank {rank}: received 16, returned (8, 256)" in printed


@pytest.fixture(scope="module")
def said() -> list[str]:
    """What the two ranks printed; all situations share one start, because torch takes seconds to load."""
    return on_the_reference(str(PROGRAM), *EXPECTED, "minus_one")


@pytest.mark.parametrize("situation", EXPECTED)
@pytest.mark.parametrize("rank", [0, 1])
def test_what_a_rank_says(situation: str, rank: int, said: list[str]) -> None:
    check(said[rank], situation, EXPECTED[situation][rank])


@pytest.mark.parametrize("rank", [0, 1])
def test_a_slot_of_minus_one_is_refused_where_the_kernel_would_send_it_to_rank_0(rank: int, said: list[str]) -> None:
    check(said[rank], "minus_one", (DROPPED[rank].format("IntraNode"), REFUSED.format("AsyncLL")))
