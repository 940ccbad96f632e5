# SPDX-License-Identifier: MIT
"""The dispatcher on two ranks with a published wheel, on the virtual GPU: `./nox.sh -s wheels` runs it on every stable release.

MORIEP_TEST_RANKS_PYTHON names an interpreter with torch and numpy, MORIEP_TEST_PACKAGES=VERSION@TAG=FOLDER an unpacked wheel;
MORIEP_TEST_JIT_CACHE may name a folder of compiled kernels.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from dispatcher_situations import DROPPED, ON_WHEELS, PROGRAM, REFUSED, check, run_ranks

from conformance.suite.lanes import virtual_lane
from moriep.layouts import layout_for_release
from moriep.vocabulary import QuantType

ROOT = Path(__file__).resolve().parents[2]
PYTHON, PACKAGES = os.environ.get("MORIEP_TEST_RANKS_PYTHON"), os.environ.get("MORIEP_TEST_PACKAGES")
pytestmark = [
    pytest.mark.skipif(
        not (PYTHON and PACKAGES), reason="MORIEP_TEST_RANKS_PYTHON and MORIEP_TEST_PACKAGES are not set"
    ),
    pytest.mark.timeout(1800),
]
RELEASE, _, FOLDER = (PACKAGES or "1.2.4=.").partition("=")
VERSION = tuple(int(part) for part in re.findall(r"[0-9]+", RELEASE.partition("@")[0])[:3])
HIDDEN_SIZES = (512, 1024, 7168)
COMBINES = [
    f"combine_{name}:{hidden}"
    for name, quant_type in (("fp8_direct_cast", QuantType.FP8_DIRECT_CAST), ("fp8", QuantType.FP8_BLOCKWISE))
    if quant_type in layout_for_release(RELEASE).quant_types
    for hidden in HIDDEN_SIZES
]


def on_the_wheel(*arguments: str, seconds: float = 800) -> list[str]:
    assert PYTHON is not None
    cache = os.environ.get("MORIEP_TEST_JIT_CACHE")
    lane = virtual_lane(
        PYTHON, packages=(Path(FOLDER),), launcher_path=ROOT, jit_cache=Path(cache) if cache is not None else None
    )
    environment = lane.environment()
    path = os.pathsep.join([environment["PYTHONPATH"], str(ROOT)])
    return run_ranks(PYTHON, arguments, {**environment, "PYTHONPATH": path}, seconds)


@pytest.fixture(scope="module")
def said() -> list[str]:
    return on_the_wheel(str(PROGRAM), *ON_WHEELS, "minus_one")


@pytest.mark.parametrize("situation", ON_WHEELS)
@pytest.mark.parametrize("rank", [0, 1])
def test_what_a_rank_says(situation: str, rank: int, said: list[str]) -> None:
    check(said[rank], situation, ON_WHEELS[situation][rank])


@pytest.mark.parametrize("rank", [0, 1])
def test_a_slot_of_minus_one_is_refused_where_the_kernel_would_send_it_to_rank_0(rank: int, said: list[str]) -> None:
    dropped = VERSION >= (1, 2, 1)
    first = DROPPED[rank] if dropped else REFUSED
    check(said[rank], "minus_one", (first.format("IntraNode"), REFUSED.format("AsyncLL")))


def test_the_program_of_the_page_runs(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "dispatcher.md").read_text(encoding="utf-8")
    (program,) = re.findall(r"<!-- file: layer.py -->\n```python\n(.*?)```", page, re.DOTALL)
    file = tmp_path / "layer.py"
    file.write_text(program, encoding="utf-8")
    for rank, printed in enumerate(on_the_wheel(str(file))):
        assert f"rank {rank}: received 16, returned (8, 256)" in printed


@pytest.fixture(scope="module")
def combined() -> list[str]:
    # The kernel of fp8_blockwise alone takes a compiler minutes, where nobody has compiled it before.
    return on_the_wheel(str(PROGRAM), *COMBINES, seconds=1700)


@pytest.mark.parametrize("situation", COMBINES)
def test_quantised_combine_is_within_the_bound_of_its_format(situation: str, combined: list[str]) -> None:
    quant_type = "fp8_direct_cast" if "direct_cast" in situation else "fp8_blockwise"
    for printed in combined:
        check(printed, situation, (f"{quant_type} received 10 inside True quantised True",))
