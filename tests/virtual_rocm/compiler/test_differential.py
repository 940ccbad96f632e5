# SPDX-License-Identifier: MIT
"""The same C++ on the host and on the virtual device gives the same bits.

Every program of ``differential/`` is compiled for both by hipcc, linked to the virtual runtime, and run: once with everything
inlined into the kernels, and once with every function called.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from virtual_rocm.environment import runtime_folder
from virtual_rocm.errors import SetupError

from .conftest import Hipcc

FOLDER = Path(__file__).resolve().parent / "differential"
PROGRAMS = sorted(path.stem for path in FOLDER.glob("*.hip"))


@pytest.fixture(scope="module")
def rocm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ROCM_PATH with the virtual runtime."""
    try:
        libraries = runtime_folder()
    except SetupError as error:
        pytest.skip(str(error))
    root = tmp_path_factory.mktemp("rocm")
    (root / "lib").mkdir()
    for name in ("libamdhip64.so", "libamdhip64.so.7"):
        (root / "lib" / name).symlink_to(libraries / "libamdhip64.so.7")
    return root


@pytest.mark.parametrize("calls", ["0", "1"], ids=["inlined", "called"])
@pytest.mark.parametrize("name", PROGRAMS)
def test_device_and_host_agree(name: str, calls: str, hipcc: Hipcc, rocm: Path, tmp_path: Path) -> None:
    program = tmp_path / name
    hipcc(
        "-std=c++17",
        "-O2",
        "-ffp-contract=off",
        "-Xclang",
        "-ffloat16-excess-precision=none",
        FOLDER / f"{name}.hip",
        "-o",
        program,
        environment={"ROCM_PATH": str(rocm), "VIRTUAL_ROCM_CALLS": calls},
    )
    result = subprocess.run(
        [str(program)], capture_output=True, text=True, check=False, timeout=300, env={**os.environ}
    )
    assert result.returncode == 0, result.stdout[-4000:] + result.stderr[-2000:]
    assert " 0 failures" in result.stdout
