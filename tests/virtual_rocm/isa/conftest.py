# SPDX-License-Identifier: MIT
"""Fixtures that assemble, decode and execute single instructions, without the wave engine."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.virtual_rocm.native_build import build

sys.path.insert(0, str(Path(__file__).parent))

from machine import Disassembler, Machine, find_tool


@pytest.fixture(scope="session")
def machine() -> Iterator[Machine]:
    """A wave that executes straight-line code."""
    with Machine(build("test_isa_execute") / "bin" / "test_isa_execute", find_tool("llvm-mc")) as started:
        yield started


@pytest.fixture(scope="session")
def disassembler() -> Disassembler:
    """Our decoder and printer, with llvm's beside it."""
    return Disassembler(
        build("test_isa_disassemble") / "bin" / "test_isa_disassemble", find_tool("llvm-mc"), find_tool("llvm-objdump")
    )
