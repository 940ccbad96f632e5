# SPDX-License-Identifier: MIT
"""What gfx950 has and gfx942 has not: words as LLVM 22 encodes them, its text of them, and what they do.

No LLVM that knows gfx950 is needed: the words were made by `llvm-mc --mcpu=gfx950 --show-encoding`.
Where there is one, it makes them again.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

import numpy
import pytest
from machine import LANES, Disassembler, Machine, assemble, find_tool

from tests.virtual_rocm.native_build import build

WORDS = {
    "v_bitop3_b32 v1, v2, v3, v4 bitop3:0xe4": (0xD2340401, 0x9C120702),
    "v_bitop3_b32 v1, s2, v3, v4 bitop3:1": (0xD2340001, 0x24120602),
    "v_bitop3_b32 v1, v2, v3, v4": (0xD2340001, 0x04120702),
    "v_bitop3_b32 v1, v2, 5, v4 bitop3:0xff": (0xD2340701, 0xFC110B02),
    "v_bitop3_b16 v1, v2, v3, v4 bitop3:0xe4": (0xD2330401, 0x9C120702),
    "v_bitop3_b16 v1, v2, v3, v4 bitop3:0xe4 op_sel:[1,0,0,0]": (0xD2330C01, 0x9C120702),
    "v_bitop3_b16 v1, v2, v3, v4 bitop3:7 op_sel:[0,1,1,1]": (0xD2337001, 0xE4120702),
    "v_bitop3_b16 v60, v60, 3, v61 bitop3:0xc8": (0xD233013C, 0x1CF5073C),
    "v_cvt_pk_bf16_f32 v1, v2, v3": (0xD2680001, 0x00020702),
    "v_cvt_pk_bf16_f32 v1, -v2, |v3|": (0xD2680201, 0x20020702),
    "v_cvt_pk_f16_f32 v1, v2, v3": (0xD2670001, 0x00020702),
    "v_permlane16_swap_b32_e32 v1, v2": (0x7E02B302, 0xBF800000),
    "v_permlane32_swap_b32_e32 v1, v2": (0x7E02B502, 0xBF800000),
    "v_ashr_pk_i8_i32 v1, v2, v3, v4": (0xD2650001, 0x04120702),
    "v_ashr_pk_u8_i32 v1, v2, v3, v4": (0xD2660001, 0x04120702),
    "v_minimum3_f32 v1, v2, v3, v4": (0xD2A80001, 0x04120702),
    "v_maximum3_f32 v1, v2, v3, v4": (0xD2A90001, 0x04120702),
    "v_cvt_scalef32_pk_fp4_f32 v1, v2, v3, v4": (0xD23D0001, 0x04120702),
    "v_cvt_scalef32_pk_fp4_f32 v1, v2, v3, v4 op_sel:[0,0,1,1]": (0xD23D6001, 0x04120702),
    "v_cvt_scalef32_pk_f32_fp4 v[2:3], v4, v5": (0xD23F0002, 0x00020B04),
    "v_cvt_scalef32_pk_f32_fp4 v[2:3], v4, v5 op_sel:[1,0,0]": (0xD23F0802, 0x00020B04),
    "v_cvt_scalef32_pk_f32_fp4 v[2:3], v4, v5 op_sel:[0,1,0]": (0xD23F1002, 0x00020B04),
    "v_cvt_scalef32_pk_bf16_fp4 v1, v2, v3": (0xD2510001, 0x00020702),
    "v_cvt_scalef32_pk_f16_fp4 v1, v2, v3": (0xD2500001, 0x00020702),
    "v_cvt_scalef32_pk_fp4_bf16 v1, v2, v3": (0xD24D0001, 0x00020702),
    "v_cvt_scalef32_pk_fp4_f16 v1, v2, v3": (0xD24C0001, 0x00020702),
}
# The codes of E2M1 from 0 on, as OCP defines them.
E2M1 = [0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0]


@pytest.fixture(scope="module")
def gfx950() -> Iterator[Machine]:
    """A wave of the newer device."""
    with Machine(build("test_isa_execute") / "bin" / "test_isa_execute", find_tool("llvm-mc"), "--gfx950") as started:
        yield started


def words(text: str) -> list[int]:
    return [word for word in WORDS[text] if word != 0xBF800000]


def bits(*values: float) -> list[int]:
    return [struct.unpack("<I", struct.pack("<f", value))[0] for value in values]


@pytest.mark.parametrize("text", WORDS)
def test_prints_what_llvm_prints(disassembler: Disassembler, text: str) -> None:
    (line,) = disassembler.ours([WORDS[text]])
    assert (line.words, line.text) == (len(words(text)), text)


def test_the_words_are_llvms() -> None:
    assembled = assemble(find_tool("llvm-mc", "gfx950"), "\n".join(WORDS), processor="gfx950")
    assert assembled == [word for text in WORDS for word in words(text)]


@pytest.mark.parametrize("text", WORDS)
def test_gfx942_refuses_what_it_has_not(machine: Machine, text: str) -> None:
    with pytest.raises(ValueError, match="cannot execute"):
        machine.run(words(text))


@pytest.mark.parametrize("function", [0, 1, 0x80, 0xE4, 0x96, 0xFF])
def test_bitop3_is_a_table_of_three_bits(gfx950: Machine, function: int) -> None:
    low, high = WORDS["v_bitop3_b32 v1, v2, v3, v4"]
    low |= (function >> 3 & 7) << 8
    high |= (function & 7) << 29 | (function >> 6) << 27
    a, b, c = 0xF0F0F0F0, 0xCCCCCCCC, 0xAAAAAAAA
    expected = sum(
        1 << bit for bit in range(32) if function >> ((a >> bit & 1) << 2 | (b >> bit & 1) << 1 | c >> bit & 1) & 1
    )
    assert gfx950.run([low, high], v={2: a, 3: b, 4: c}).v(1)[0] == expected


def test_bitop3_of_halves_takes_and_leaves_the_half_that_op_sel_names(gfx950: Machine) -> None:
    text = "v_bitop3_b16 v1, v2, v3, v4 bitop3:7 op_sel:[0,1,1,1]"
    a, b, c = 0xFFFFF0F0, 0xCCCCFFFF, 0xAAAAFFFF
    # The function is 1 in rows 0, 1 and 2: not a, and not both b and c.
    expected = ~0xF0F0 & ~(0xCCCC & 0xAAAA) & 0xFFFF
    assert gfx950.run(words(text), v={1: 0x12345678, 2: a, 3: b, 4: c}).v(1)[0] == expected << 16 | 0x5678


def test_bfloat16_is_rounded_to_nearest_even(gfx950: Machine) -> None:
    values = [0x3F800000, 0x3F808000, 0x3F818000, 0x3F808001, 0x7F800001, 0xFF800000, 0x7F7FFFFF]
    expected = [0x3F80, 0x3F80, 0x3F82, 0x3F81, 0x7FC0, 0xFF80, 0x7F80]
    for value, half in zip(values, expected, strict=True):
        result = gfx950.run(words("v_cvt_pk_bf16_f32 v1, v2, v3"), v={2: value, 3: 0x40000000})
        assert result.v(1)[0] == 0x40000000 | half, hex(value)


def test_fp4_codes_come_back(gfx950: Machine) -> None:
    for code in range(16):
        value = E2M1[code & 7] * (-1 if code & 8 else 1)
        (scale,) = bits(2.0)
        wide = gfx950.run(
            words("v_cvt_scalef32_pk_f32_fp4 v[2:3], v4, v5"), v={4: code | 3 << 4, 5: scale}, read_v=(2, 3)
        )
        assert [wide.v(2)[0], wide.v(3)[0]] == bits(2 * value, 3.0)
        (low,) = bits(2 * value)
        narrow = gfx950.run(
            words("v_cvt_scalef32_pk_fp4_f32 v1, v2, v3, v4"), v={1: 0x11111111, 2: low, 3: bits(-1.0)[0], 4: scale}
        )
        assert narrow.v(1)[0] == 0x11111100 | 0x9 << 4 | code


@pytest.mark.parametrize(
    ("value", "code"), [(0.25, 0), (0.75, 2), (1.25, 2), (1.75, 4), (2.5, 4), (5.0, 6), (5.1, 7), (7.0, 7), (1e9, 7), (-3.4, 13)]
)  # fmt: skip
def test_fp4_is_rounded_to_nearest_even_and_saturates(gfx950: Machine, value: float, code: int) -> None:
    (single, one) = bits(value, 1.0)
    result = gfx950.run(words("v_cvt_scalef32_pk_fp4_f32 v1, v2, v3, v4"), v={1: 0, 2: single, 3: 0, 4: one})
    assert result.v(1)[0] == code


def test_op_sel_names_the_byte(gfx950: Machine) -> None:
    (one, scale) = bits(1.0, 1.0)
    text = "v_cvt_scalef32_pk_fp4_f32 v1, v2, v3, v4 op_sel:[0,0,1,1]"
    assert gfx950.run(words(text), v={1: 0xAABBCCDD, 2: one, 3: one, 4: scale}).v(1)[0] == 0x22BBCCDD
    for selection, byte in (("", 0), (" op_sel:[1,0,0]", 1), (" op_sel:[0,1,0]", 2)):
        text = f"v_cvt_scalef32_pk_f32_fp4 v[2:3], v4, v5{selection}"
        result = gfx950.run(words(text), v={4: 0x00040302, 5: scale}, read_v=(2,))
        assert result.v(2)[0] == bits(E2M1[byte + 2])[0]


def test_halves_of_both_kinds_become_fp4_and_back(gfx950: Machine) -> None:
    (scale,) = bits(1.0)
    assert gfx950.run(words("v_cvt_scalef32_pk_fp4_bf16 v1, v2, v3"), v={1: 0, 2: 0xC0803F80, 3: scale}).v(1)[0] == 0xE2
    assert gfx950.run(words("v_cvt_scalef32_pk_fp4_f16 v1, v2, v3"), v={1: 0, 2: 0xC4003C00, 3: scale}).v(1)[0] == 0xE2
    assert gfx950.run(words("v_cvt_scalef32_pk_bf16_fp4 v1, v2, v3"), v={2: 0xE2, 3: scale}).v(1)[0] == 0xC0803F80
    assert gfx950.run(words("v_cvt_scalef32_pk_f16_fp4 v1, v2, v3"), v={2: 0xE2, 3: scale}).v(1)[0] == 0xC4003C00


def test_fp8_is_ocps(gfx950: Machine, machine: Machine) -> None:
    """0x40 is 2 in e4m3 of OCP and 1 in gfx942's own; what overflows is NaN."""
    code = "v_cvt_f32_fp8_e32 v1, v2\n"
    assert gfx950.run(code, v={2: 0x40}).v(1)[0] == bits(2.0)[0]
    assert machine.run(code, v={2: 0x40}).v(1)[0] == bits(1.0)[0]
    pack = "v_cvt_pk_fp8_f32 v1, v2, v3\n"
    (large, small) = bits(448.0, 1.0)
    assert gfx950.run(pack, v={1: 0, 2: large, 3: small}).v(1)[0] == 0x387E
    (larger,) = bits(1000.0)
    assert gfx950.run(pack, v={1: 0, 2: larger, 3: small}).v(1)[0] == 0x387F


def test_rows_of_lanes_change_places(gfx950: Machine) -> None:
    lanes = numpy.arange(LANES, dtype=numpy.uint32)
    for text, rows in (("v_permlane16_swap_b32_e32 v1, v2", 16), ("v_permlane32_swap_b32_e32 v1, v2", 32)):
        result = gfx950.run(words(text), v={1: lanes, 2: lanes + 100}, read_v=(1, 2))
        odd = lanes // rows % 2 == 1
        assert list(result.v(1)) == list(numpy.where(odd, lanes - rows + 100, lanes))
        assert list(result.v(2)) == list(numpy.where(odd, lanes + 100, lanes + rows))


def test_three_numbers_are_compared_and_a_nan_wins(gfx950: Machine) -> None:
    (one, minus, two, nan) = bits(1.0, -1.0, 2.0, float("nan"))
    for text, expected in (("v_minimum3_f32 v1, v2, v3, v4", minus), ("v_maximum3_f32 v1, v2, v3, v4", two)):
        assert gfx950.run(words(text), v={2: one, 3: minus, 4: two}).v(1)[0] == expected
        assert gfx950.run(words(text), v={2: one, 3: nan, 4: two}).v(1)[0] & 0x7FC00000 == 0x7FC00000


def test_shifted_integers_saturate_in_bytes(gfx950: Machine) -> None:
    values = {2: 4000, 3: -4000, 4: 4}
    assert gfx950.run(words("v_ashr_pk_i8_i32 v1, v2, v3, v4"), v=values).v(1)[0] == 0x807F
    assert gfx950.run(words("v_ashr_pk_u8_i32 v1, v2, v3, v4"), v=values).v(1)[0] == 0x00FA
