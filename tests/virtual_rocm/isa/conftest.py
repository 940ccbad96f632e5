# SPDX-License-Identifier: MIT
"""Fixtures that assemble, decode and execute single instructions, without the wave engine."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from machine import Disassembler, Machine, find_tool

ROOT = Path(__file__).parents[3]
NATIVE = ROOT / "virtual_rocm" / "native"


def build(program: str) -> Path:
    """Builds a test program (nothing if it is up to date), or takes it from the folder that the environment names."""
    given = os.environ.get("VIRTUAL_ROCM_ISA_PROGRAMS")
    if given:
        return Path(given) / program
    folder = ROOT / "build" / "isa"
    if not (folder / "build.ninja").exists():
        subprocess.run(
            ["cmake", "-S", NATIVE, "-B", folder, "-G", "Ninja", "-DVIRTUAL_ROCM_TESTS=ON"],
            check=True,
            stdout=subprocess.DEVNULL,
        )
    subprocess.run(["ninja", "-C", folder, "-j2", program], check=True, stdout=subprocess.DEVNULL)
    return folder / "bin" / program


@pytest.fixture(scope="session")
def machine() -> Iterator[Machine]:
    """A wave that executes straight-line code."""
    with Machine(build("test_isa_execute"), find_tool("llvm-mc")) as started:
        yield started


@pytest.fixture(scope="session")
def disassembler() -> Disassembler:
    """Our decoder and printer, with llvm's beside it."""
    return Disassembler(build("test_isa_disassemble"), find_tool("llvm-mc"), find_tool("llvm-objdump"))
