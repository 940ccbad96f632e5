# SPDX-License-Identifier: MIT
"""The 4-, 6- and 8-bit formats: every code decodes, and every rounding is the nearest, ties to even."""

from __future__ import annotations

import math
import struct
import subprocess
from dataclasses import dataclass
from fractions import Fraction

import pytest

from virtual_rocm.compiler.front_end import hip_flags
from virtual_rocm.compiler.toolchain import Toolchain

from .conftest import PROGRAMS


@dataclass(frozen=True)
class Format:
    """A format as its standard defines it: OCP's for e…m…, AMD's for fnuz."""

    exponent: int
    mantissa: int
    bias: int
    infinity: int | None  # its code
    nans: frozenset[int]  # codes, sign included

    @property
    def sign(self) -> int:
        return 1 << (self.exponent + self.mantissa)

    def value(self, code: int) -> float:
        if code in self.nans:
            return math.nan
        magnitude = code & (self.sign - 1)
        if magnitude == self.infinity:
            result = math.inf
        else:
            field, fraction = magnitude >> self.mantissa, magnitude & ((1 << self.mantissa) - 1)
            if field:
                fraction += 1 << self.mantissa
            result = math.ldexp(fraction, max(field, 1) - self.bias - self.mantissa)
        return -result if code & self.sign else result

    def finite(self) -> dict[int, Fraction]:
        """The codes of the numbers that are not negative, with their values."""
        values = {code: self.value(code) for code in range(self.sign)}
        return {code: Fraction(value) for code, value in values.items() if math.isfinite(value)}


FORMATS = {
    "e4m3": Format(4, 3, 7, None, frozenset({0x7F, 0xFF})),
    "e5m2": Format(5, 2, 15, 0x7C, frozenset({0x7D, 0x7E, 0x7F, 0xFD, 0xFE, 0xFF})),
    "e4m3fnuz": Format(4, 3, 8, None, frozenset({0x80})),
    "e5m2fnuz": Format(5, 2, 16, None, frozenset({0x80})),
    "e2m3": Format(2, 3, 1, None, frozenset()),
    "e3m2": Format(3, 2, 3, None, frozenset()),
    "e2m1": Format(2, 1, 1, None, frozenset()),
}


def nearest(format_: Format, name: str, value: float, saturate: bool) -> set[int]:
    """The codes that are right for a value."""
    finite = format_.finite()
    largest = max(finite)
    sign = format_.sign if math.copysign(1, value) < 0 else 0
    fnuz, no_specials = name.endswith("fnuz"), not format_.nans
    if math.isnan(value):
        return {largest, largest | format_.sign} if no_specials else set(format_.nans)
    overflow = (
        {largest | sign}
        if no_specials
        else {format_.infinity | sign}
        if format_.infinity is not None
        else {code for code in format_.nans if fnuz or code & format_.sign == sign}
    )
    if math.isinf(value):
        return {largest | sign} if saturate and not fnuz else overflow
    size = abs(Fraction(value))
    step = finite[largest] - finite[largest - 1]
    if size >= finite[largest] + step / 2:
        # Half a step above the largest, rounding would reach a number that does not exist. At the tie itself the even
        # one of the two is taken, which is the largest where its code is even.
        tie = size == finite[largest] + step / 2 and largest % 2 == 0
        if not tie:
            return {largest | sign} if saturate else overflow
        return {largest | sign}
    best = min(abs(size - other) for other in finite.values())
    codes = [code for code, other in finite.items() if abs(size - other) == best]
    code = codes[0] if len(codes) == 1 else next(code for code in codes if code % 2 == 0)
    return {0} if fnuz and code == 0 else {code | sign}


@pytest.fixture(scope="module")
def lines(toolchain: Toolchain, tmp_path_factory: pytest.TempPathFactory) -> list[list[str]]:
    """What the header gives on the host."""
    program = tmp_path_factory.mktemp("floats") / "small_floats"
    subprocess.run(
        [
            str(toolchain.clang),
            "--driver-mode=g++",
            *hip_flags(toolchain),
            "-std=c++17",
            "-O1",
            "--offload-host-only",
            "-x",
            "hip",
            str(PROGRAMS / "small_floats.cpp"),
            "-o",
            str(program),
            "-no-hip-rt",
        ],
        check=True,
    )
    output = subprocess.run([str(program)], capture_output=True, text=True, check=True).stdout
    return [line.split() for line in output.splitlines()]


@pytest.mark.parametrize("name", FORMATS)
def test_every_code_decodes_to_its_value(lines: list[list[str]], name: str) -> None:
    format_ = FORMATS[name]
    seen = 0
    for _, _, code, bits in (line for line in lines if line[:2] == ["decode", name]):
        got = struct.unpack("<f", struct.pack("<I", int(bits)))[0]
        wanted = format_.value(int(code))
        assert math.isnan(got) if math.isnan(wanted) else (got == wanted), (code, got, wanted)
        if wanted == 0:
            assert math.copysign(1, got) == math.copysign(1, wanted)
        seen += 1
    assert seen == 2 * format_.sign


@pytest.mark.parametrize("name", FORMATS)
def test_every_value_becomes_the_nearest_code(lines: list[list[str]], name: str) -> None:
    format_ = FORMATS[name]
    wrong = []
    seen = 0
    for _, _, saturate, bits, code in (line for line in lines if line[:2] == ["encode", name]):
        value = struct.unpack("<d", struct.pack("<Q", int(bits)))[0]
        if int(code) not in nearest(format_, name, value, saturate == "1"):
            wrong.append((value, saturate, code))
        seen += 1
    assert wrong == []
    assert seen > 100


def test_float_and_double_give_the_same(lines: list[list[str]]) -> None:
    assert not [line for line in lines if line[:3] == ["float", "and", "double"]]


def test_bfloat16_rounds_to_nearest_even_and_keeps_nan(lines: list[list[str]]) -> None:
    seen = 0
    for _, bits, code in (line for line in lines if line[0] == "bfloat16"):
        value, got = int(bits), int(code)
        if (value & 0x7FFFFFFF) > 0x7F800000:
            assert got & 0x7FFF > 0x7F80, hex(value)
            continue
        low, high = value & 0xFFFF, value >> 16
        up = low > 0x8000 or (low == 0x8000 and high & 1)
        assert got == high + up, hex(value)
        seen += 1
    assert seen >= 15


def test_packed_types_hold_the_first_value_lowest(lines: list[list[str]]) -> None:
    assert ["packed", "387fc840", "1", "-2", "240", "0.5"] in lines


def test_of_two_pairs_the_first_is_the_upper_one_as_in_amds_header(lines: list[list[str]]) -> None:
    assert ["pairs", "1", "2", "3", "4,", "1", "2", "3", "4"] in lines


def test_fp4_with_a_scale(lines: list[list[str]]) -> None:
    assert ["fp4", "4", "15", "5"] in lines  # 2.5 is a tie and goes to 2; -100 saturates; 12 / 4 = 3
    assert ["fp4", "back", "-6", "4"] in lines
