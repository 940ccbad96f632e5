# SPDX-License-Identifier: MIT
"""What the compiler's tests share: hipcc with a cache of its own, and the tools of the LLVM that it found."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from virtual_rocm.compiler.errors import ToolMissing
from virtual_rocm.compiler.toolchain import Toolchain, find_toolchain

ROOT = Path(__file__).resolve().parents[3]
PROGRAMS = Path(__file__).resolve().parent / "programs"

Hipcc = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="session")
def toolchain() -> Toolchain:
    """The LLVM that is used; without one these tests say so."""
    try:
        return find_toolchain()
    except ToolMissing as missing:
        pytest.skip(str(missing))


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache that starts empty."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def hipcc(toolchain: Toolchain, cache: Path) -> Hipcc:
    """Runs hipcc as a process of its own."""

    def run(
        *arguments: object, environment: Mapping[str, str] | None = None, check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        variables = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "VIRTUAL_ROCM_CACHE": str(cache),
            "VIRTUAL_ROCM_REAL_HIPCC": "",
            **(environment or {}),
        }
        result = subprocess.run(
            [sys.executable, "-m", "virtual_rocm.compiler", *map(str, arguments)],
            env=variables,
            capture_output=True,
            text=True,
            check=False,
        )
        assert not check or result.returncode == 0, result.stderr
        return result

    return run


@pytest.fixture(scope="session")
def llvm_tool(toolchain: Toolchain) -> Callable[[str], str]:
    """The path of another tool of the same LLVM; a test that needs a missing one is skipped."""

    def find(name: str) -> str:
        beside = toolchain.clang.resolve().parent / name
        path = str(beside) if beside.is_file() else shutil.which(f"{name}-{toolchain.release}")
        if path is None:
            pytest.skip(f"{name} of LLVM {toolchain.release} is not installed")
        return path

    return find
