# SPDX-License-Identifier: MIT
"""What encodings do to operands: SDWA, DPP, packed halves; lanes read across; AGPRs; 8-bit floats."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import numpy
import numpy.typing
import pytest
from machine import ACCUMULATOR, ALL, LANES, MODE, Machine

UNTOUCHED = 0xCAFEF00D
WORDS = numpy.random.default_rng(9).integers(0, 1 << 32, LANES, dtype=numpy.uint64).astype(numpy.uint32)
OTHERS = numpy.random.default_rng(10).integers(0, 1 << 32, LANES, dtype=numpy.uint64).astype(numpy.uint32)
LANE = numpy.arange(LANES)

SELECTIONS = {"BYTE_0": (0, 8), "BYTE_1": (8, 8), "BYTE_2": (16, 8), "BYTE_3": (24, 8), "WORD_0": (0, 16),
              "WORD_1": (16, 16), "DWORD": (0, 32)}  # fmt: skip


def selected(word: int, selection: str, sign: bool = False) -> int:
    shift, width = SELECTIONS[selection]
    value = int(word) >> shift & ((1 << width) - 1)
    return (value - (1 << width) if sign and value >> (width - 1) else value) & 0xFFFFFFFF


@pytest.mark.parametrize("selection", SELECTIONS)
@pytest.mark.parametrize("sign", [False, True])
def test_sdwa_selects_parts_of_sources(machine: Machine, selection: str, sign: bool) -> None:
    source = "sext(v1)" if sign else "v1"
    text = f"v_add_u32_sdwa v0, {source}, v2 dst_sel:DWORD dst_unused:UNUSED_PAD src0_sel:{selection} src1_sel:BYTE_2"
    actual = machine.run(text, v={1: WORDS, 2: OTHERS}).v(0)
    expected = [
        (selected(a, selection, sign) + selected(b, "BYTE_2")) & 0xFFFFFFFF for a, b in zip(WORDS, OTHERS, strict=True)
    ]
    assert actual.tolist() == expected


@pytest.mark.parametrize("selection", SELECTIONS)
@pytest.mark.parametrize("unused", ["UNUSED_PAD", "UNUSED_SEXT", "UNUSED_PRESERVE"])
def test_sdwa_places_the_result(machine: Machine, selection: str, unused: str) -> None:
    shift, width = SELECTIONS[selection]
    mask = 0xF0F0F0F0F0F0F0F1
    text = f"v_mov_b32_sdwa v0, v1 dst_sel:{selection} dst_unused:{unused} src0_sel:DWORD"
    actual = machine.run(text, v={0: UNTOUCHED, 1: WORDS}, exec=mask).v(0)
    for lane, word in enumerate(WORDS):
        field = ((1 << width) - 1) << shift
        placed = int(word) << shift & field
        if unused == "UNUSED_PRESERVE":
            placed |= UNTOUCHED & ~field
        elif unused == "UNUSED_SEXT" and placed >> (shift + width - 1) & 1:
            placed |= 0xFFFFFFFF << (shift + width) & 0xFFFFFFFF
        assert actual[lane] == (placed if mask >> lane & 1 else UNTOUCHED), lane


def test_sdwa_comparison_and_scalar_source(machine: Machine) -> None:
    expected = sum(
        int(int(a) >> 16 == int(b) & 0xFF) << n for n, (a, b) in enumerate(zip(WORDS, WORDS >> 16, strict=True))
    )
    text = "v_cmp_eq_u32_sdwa s[10:11], v1, v2 src0_sel:WORD_1 src1_sel:BYTE_0"
    assert machine.run(text, v={1: WORDS, 2: WORDS >> 16}, read_s=(10, 11)).pair(10) == expected
    text = "v_or_b32_sdwa v0, s4, v1 dst_sel:DWORD dst_unused:UNUSED_PAD src0_sel:WORD_1 src1_sel:DWORD"
    assert (machine.run(text, v={1: WORDS}, s={4: 0xABCD1234}).v(0) == (WORDS | 0xABCD)).all()
    text = "v_cvt_f32_f16_sdwa v0, v1 dst_sel:DWORD dst_unused:UNUSED_PAD src0_sel:WORD_1"
    actual = machine.run(text, v={1: 0x3C00_4000}).v(0)
    assert (actual == 0x3F800000).all()


def dpp_source(control: str, lane: int) -> int | None:
    row, place = lane // 16 * 16, lane % 16
    name, _, value = control.partition(":")
    if name == "quad_perm":
        return lane // 4 * 4 + [int(number) for number in value.strip("[]").split(",")][lane % 4]
    amount = int(value) if value else 0
    within = {"row_shl": place + amount, "row_shr": place - amount}.get(name)
    if within is not None:
        return row + within if 0 <= within < 16 else None
    simple = {
        "row_ror": row + (place - amount) % 16,
        "wave_shl": lane + 1 if lane < 63 else None,
        "wave_shr": lane - 1 if lane > 0 else None,
        "wave_rol": (lane + 1) % 64,
        "wave_ror": (lane - 1) % 64,
        "row_mirror": row + 15 - place,
        "row_half_mirror": lane // 8 * 8 + 7 - lane % 8,
        "row_newbcast": row + amount,
    }
    if name == "row_bcast":
        return (row - 1 if row else None) if amount == 15 else (31 if lane >= 32 else None)
    return simple[name]


CONTROLS = ("quad_perm:[3,2,1,0]", "quad_perm:[1,1,2,0]", "row_shl:1", "row_shl:15", "row_shr:1", "row_shr:8", "row_ror:5",
            "wave_shl:1", "wave_shr:1", "wave_rol:1", "wave_ror:1", "row_mirror", "row_half_mirror", "row_bcast:15",
            "row_bcast:31", "row_newbcast:7")  # fmt: skip


@pytest.mark.parametrize("control", CONTROLS)
@pytest.mark.parametrize(("rows", "banks"), [(15, 15), (0xA, 15), (15, 0x5)])
@pytest.mark.parametrize("mask", [ALL, 0x0FF00FF0FFFFFFFF])
@pytest.mark.parametrize("bounded", [False, True])
def test_dpp(machine: Machine, control: str, rows: int, banks: int, mask: int, bounded: bool) -> None:
    text = f"v_add_u32_dpp v0, v1, v2 {control} row_mask:{hex(rows)} bank_mask:{hex(banks)}{' bound_ctrl:0' if bounded else ''}"
    actual = machine.run(text, v={0: UNTOUCHED, 1: WORDS, 2: OTHERS}, exec=mask).v(0)
    for lane in range(LANES):
        source = dpp_source(control, lane)
        valid = source is not None and mask >> source & 1
        writes = mask >> lane & 1 and rows >> lane // 16 & 1 and banks >> lane // 4 % 4 & 1 and (valid or bounded)
        value = int(WORDS[source]) if valid and source is not None else 0
        assert actual[lane] == ((value + int(OTHERS[lane])) & 0xFFFFFFFF if writes else UNTOUCHED), lane


def test_dpp_reduction_sums_a_wave(machine: Machine) -> None:
    """The chain that compilers emit for a sum over 64 lanes."""
    steps = ("row_shr:1", "row_shr:2", "row_shr:3")
    text = "v_mov_b32_e32 v1, v0\n" + "".join(
        f"v_add_u32_dpp v1, v0, v1 {step} row_mask:0xf bank_mask:0xf\n" for step in steps
    )
    text += "s_nop 1\nv_add_u32_dpp v1, v1, v1 row_shr:4 row_mask:0xf bank_mask:0xe\n"
    text += "s_nop 1\nv_add_u32_dpp v1, v1, v1 row_shr:8 row_mask:0xf bank_mask:0xc\n"
    text += "s_nop 1\nv_add_u32_dpp v1, v1, v1 row_bcast:15 row_mask:0xa bank_mask:0xf\n"
    text += "s_nop 1\nv_add_u32_dpp v1, v1, v1 row_bcast:31 row_mask:0xc bank_mask:0xf\n"
    assert machine.run(text, v={0: LANE}).v(1)[63] == sum(range(64))


def test_lanes_are_read_and_written_enabled_or_not(machine: Machine) -> None:
    for mask in (ALL, 0, 1 << 7):
        done = machine.run("v_readlane_b32 s4, v1, 63\nv_readlane_b32 s5, v1, s6\nv_readlane_b32 s7, v1, m0",
                           v={1: WORDS}, s={6: 66, 124: 5}, exec=mask, read_s=(4, 5, 7))  # fmt: skip
        assert (done.s(4), done.s(5), done.s(7)) == (WORDS[63], WORDS[2], WORDS[5])
        done = machine.run("v_writelane_b32 v1, s4, 63\nv_writelane_b32 v1, -1, 0", v={1: WORDS}, s={4: 77}, exec=mask)
        assert done.v(1).tolist() == [0xFFFFFFFF, *WORDS[1:63].tolist(), 77]


@pytest.mark.parametrize(("mask", "lane"), [(ALL, 0), (1 << 63, 63), (0xF00, 8), (0, 0)])
def test_first_lane_is_lane_zero_when_none_is_enabled(machine: Machine, mask: int, lane: int) -> None:
    assert machine.run("v_readfirstlane_b32 s4, v1", v={1: WORDS}, exec=mask, read_s=(4,)).s(4) == WORDS[lane]


def test_swap_and_accumulators(machine: Machine) -> None:
    mask = 0xFF00FF00FF00FF00
    done = machine.run("v_swap_b32 v0, v1", v={0: WORDS, 1: OTHERS}, exec=mask)
    chosen = numpy.array([mask >> n & 1 for n in range(LANES)], dtype=bool)
    assert (done.v(0) == numpy.where(chosen, OTHERS, WORDS)).all()
    assert (done.v(1) == numpy.where(chosen, WORDS, OTHERS)).all()
    text = "v_accvgpr_write_b32 a5, v1\nv_accvgpr_mov_b32 a6, a5\nv_accvgpr_read_b32 v0, a6\nv_accvgpr_write_b32 a7, 3"
    done = machine.run(text, v={0: UNTOUCHED, 1: WORDS, 5: 1, ACCUMULATOR + 7: 9}, exec=mask,
                       read_v=(0, 5, ACCUMULATOR + 5, ACCUMULATOR + 7))  # fmt: skip
    assert (done.v(0) == numpy.where(chosen, WORDS, UNTOUCHED)).all()
    assert (done.v(5) == 1).all(), "a5 is not v5"
    assert (done.v(ACCUMULATOR + 5) == numpy.where(chosen, WORDS, 0)).all()
    assert (done.v(ACCUMULATOR + 7) == numpy.where(chosen, 3, 9)).all()


def s16(value: int) -> int:
    return (value & 0xFFFF) - ((value & 0x8000) << 1)


def limited(value: int, low: int, high: int) -> int:
    return max(low, min(high, value))


PACKED: dict[str, Callable[..., int]] = {
    "v_pk_add_u16": lambda a, b: a + b,
    "v_pk_sub_i16": lambda a, b: a - b,
    "v_pk_mul_lo_u16": lambda a, b: a * b,
    "v_pk_lshlrev_b16": lambda a, b: b << (a & 15),
    "v_pk_lshrrev_b16": lambda a, b: b >> (a & 15),
    "v_pk_ashrrev_i16": lambda a, b: s16(b) >> (a & 15),
    "v_pk_max_i16": lambda a, b: max(s16(a), s16(b)),
    "v_pk_min_i16": lambda a, b: min(s16(a), s16(b)),
    "v_pk_max_u16": max,
    "v_pk_min_u16": min,
    "v_pk_mad_i16": lambda a, b, c: a * b + c,
    "v_pk_mad_u16": lambda a, b, c: a * b + c,
}
PACKED_SATURATING: dict[str, Callable[..., int]] = {
    "v_pk_add_u16": lambda a, b: min(a + b, 0xFFFF),
    "v_pk_sub_u16": lambda a, b: max(a - b, 0),
    "v_pk_add_i16": lambda a, b: limited(s16(a) + s16(b), -0x8000, 0x7FFF),
    "v_pk_sub_i16": lambda a, b: limited(s16(a) - s16(b), -0x8000, 0x7FFF),
}


def packed_expected(function: Callable[..., int], words: list[list[int]], low: list[int], high: list[int]) -> list[int]:
    out = []
    for lane in zip(*words, strict=True):
        halves = [
            function(*((word >> 16 if pick else word) & 0xFFFF for word, pick in zip(lane, picks, strict=True)))
            & 0xFFFF
            for picks in (low, high)
        ]
        out.append(halves[0] | halves[1] << 16)
    return out


@pytest.mark.parametrize("name", PACKED)
def test_packed_integers(machine: Machine, name: str) -> None:
    count = 3 if "mad" in name else 2
    rows = {1: WORDS, 2: OTHERS, 3: WORDS[::-1]}
    words = [rows[row].tolist() for row in range(1, count + 1)]
    registers = ", ".join(("v1", "v2", "v3")[:count])
    for low, high in (
        ([0] * count, [1] * count),
        ([1] * count, [0] * count),
        ([0, 1, 0][:count], [0, 0, 1][:count]),
    ):
        text = f"{name} v0, {registers} op_sel:{low} op_sel_hi:{high}".replace(" ", "").replace(name, name + " ", 1)
        text = text.replace("op_sel", " op_sel")
        assert machine.run(text, v=rows).v(0).tolist() == packed_expected(PACKED[name], words, low, high), text


@pytest.mark.parametrize("name", PACKED_SATURATING)
def test_packed_clamp(machine: Machine, name: str) -> None:
    expected = packed_expected(PACKED_SATURATING[name], [WORDS.tolist(), OTHERS.tolist()], [0, 0], [1, 1])
    assert machine.run(f"{name} v0, v1, v2 clamp", v={1: WORDS, 2: OTHERS}).v(0).tolist() == expected


F32 = numpy.float32


def test_packed_singles(machine: Machine) -> None:
    generator = numpy.random.default_rng(3)
    a, b, c, d = (generator.normal(0, 5, LANES).astype(F32) for _ in range(4))
    rows: dict[int, object] = {0: UNTOUCHED, 1: UNTOUCHED, 2: a, 3: b, 4: c, 5: d}

    def check(text: str, low: numpy.typing.NDArray[F32], high: numpy.typing.NDArray[F32], mask: int = ALL) -> None:
        done = machine.run(text, v=rows, s={6: 0x40000000, 7: 0x40400000}, exec=mask)
        enabled = numpy.array([mask >> n & 1 for n in range(LANES)], dtype=bool)
        assert (done.v(0) == numpy.where(enabled, low.view(numpy.uint32), UNTOUCHED)).all(), text
        assert (done.v(1) == numpy.where(enabled, high.view(numpy.uint32), UNTOUCHED)).all(), text

    for mask in (ALL, 0x00FF00FF00FF00FF, 0):
        check("v_pk_add_f32 v[0:1], v[2:3], v[4:5]", a + c, b + d, mask)
        check("v_pk_mul_f32 v[0:1], v[2:3], v[4:5]", a * c, b * d, mask)
    check("v_pk_mul_f32 v[0:1], v[2:3], v[4:5] op_sel_hi:[1,0]", a * c, b * c)
    check("v_pk_mul_f32 v[0:1], v[2:3], v[4:5] op_sel:[1,0] op_sel_hi:[0,1]", b * c, a * d)
    check("v_pk_add_f32 v[0:1], v[2:3], v[4:5] neg_lo:[0,1] neg_hi:[0,1]", a - c, b - d)
    check("v_pk_mul_f32 v[0:1], v[2:3], s[6:7]", a * F32(2), b * F32(3))
    check("v_pk_mul_f32 v[0:1], v[2:3], s[6:7] op_sel_hi:[1,0]", a * F32(2), b * F32(2))
    check("v_pk_add_f32 v[0:1], v[2:3], 1.0", a + F32(1), b + F32(1))
    check("v_pk_fma_f32 v[0:1], v[2:3], 2.0, v[4:5]", a * F32(2) + c, b * F32(2) + d)
    check("v_pk_mov_b32 v[0:1], v[2:3], v[4:5] op_sel:[1,0]", b, c)
    check("v_pk_mov_b32 v[0:1], v[2:3], v[4:5] op_sel:[0,1]", a, d)


def test_packed_halves_and_mixed_precision(machine: Machine) -> None:
    generator = numpy.random.default_rng(4)
    a, b = (generator.normal(0, 5, 2 * LANES).astype(numpy.float16) for _ in range(2))
    rows = {
        1: a.view(numpy.uint32),
        2: b.view(numpy.uint32),
        3: numpy.full(LANES, F32(0.5)).view(numpy.uint32),
    }
    for name, expected in (
        ("add", a + b),
        ("mul", a * b),
        ("min", numpy.minimum(a, b)),
        ("max", numpy.maximum(a, b)),
    ):
        assert (machine.run(f"v_pk_{name}_f16 v0, v1, v2", v=rows).v(0) == expected.view(numpy.uint32)).all(), name
    low = a[::2].astype(float) * b[1::2].astype(float) + 0.5
    text = "v_fma_mix_f32 v0, v1, v2, v3 op_sel:[0,1,0] op_sel_hi:[1,1,0]"
    assert (machine.run(text, v=rows).v(0) == low.astype(F32).view(numpy.uint32)).all()
    half = low.astype(F32).astype(numpy.float16).view(numpy.uint16).astype(numpy.uint32)
    for name, expected_words in (("lo", 0x12340000 | half), ("hi", 0x5678 | half << 16)):
        text = f"v_fma_mix{name}_f16 v0, v1, v2, v3 op_sel:[0,1,0] op_sel_hi:[1,1,0]"
        assert (machine.run(text, v=rows | {0: 0x12345678}).v(0) == expected_words).all(), name
    packed = machine.run("v_pack_b32_f16 v0, v1, v2 op_sel:[1,0,0]", v=rows).v(0)
    assert (packed == (rows[1] >> 16 | rows[2] << 16)).all()


def test_dot_products(machine: Machine) -> None:
    a, b = (
        WORDS.view(numpy.int8).reshape(LANES, 4).astype(int),
        OTHERS.view(numpy.int8).reshape(LANES, 4).astype(int),
    )
    rows = {1: WORDS, 2: OTHERS, 3: 7}
    expected = ((a * b).sum(axis=1) + 7).astype(numpy.int32).view(numpy.uint32)
    assert (machine.run("v_dot4_i32_i8 v0, v1, v2, v3", v=rows).v(0) == expected).all()
    u = (
        WORDS.view(numpy.uint16).reshape(LANES, 2).astype(object),
        OTHERS.view(numpy.uint16).reshape(LANES, 2).astype(object),
    )
    wide = [(int(x[0] * y[0] + x[1] * y[1]) + 7) & 0xFFFFFFFF for x, y in zip(*u, strict=True)]
    assert machine.run("v_dot2_u32_u16 v0, v1, v2, v3", v=rows).v(0).tolist() == wide


# --- fp8 (e4m3fnuz, bias 8) and bf8 (e5m2fnuz, bias 16), from their definitions ------------------------------------

FORMATS = {"fp8": (4, 3), "bf8": (5, 2)}


def small_value(byte: int, exponent_bits: int, fraction_bits: int) -> float:
    if byte == 0x80:
        return math.nan
    bias = 1 << (exponent_bits - 1)
    exponent, fraction = byte >> fraction_bits & ((1 << exponent_bits) - 1), byte & ((1 << fraction_bits) - 1)
    magnitude = (
        math.ldexp(fraction, 1 - bias - fraction_bits)
        if exponent == 0
        else math.ldexp(fraction + (1 << fraction_bits), exponent - bias - fraction_bits)
    )
    return -magnitude if byte & 0x80 else magnitude


def nearest_small(value: float, exponent_bits: int, fraction_bits: int) -> int:
    """By search: the closest byte, even on ties, NaN beyond the last value's rounding interval."""
    if not math.isfinite(value):
        return 0x80
    magnitudes = [small_value(byte, exponent_bits, fraction_bits) for byte in range(128)]
    largest = magnitudes[127]
    if abs(value) >= largest + (largest - magnitudes[126]) / 2:
        return 0x80
    best = min(range(128), key=lambda byte: (abs(magnitudes[byte] - abs(value)), byte & 1))
    return 0 if best == 0 else best | (0x80 if value < 0 else 0)


@pytest.mark.parametrize("name", FORMATS)
def test_small_floats_decode(machine: Machine, name: str) -> None:
    for base in range(0, 256, 64):
        values = [small_value(base + lane, *FORMATS[name]) for lane in range(LANES)]
        expected = numpy.array(values, dtype=F32)
        for shift in range(4):
            text = f"v_cvt_f32_{name}_sdwa v0, v1 src0_sel:BYTE_{shift}"
            actual = machine.run(text, v={1: (base + LANE) << 8 * shift}).v(0).view(F32)
            assert ((actual == expected) | (numpy.isnan(actual) & numpy.isnan(expected))).all()
        packed = machine.run(f"v_cvt_pk_f32_{name}_e32 v[0:1], v2", v={2: (base + LANE) << 8 | 0x40})
        actual = packed.v(1).view(F32)
        assert ((actual == expected) | (numpy.isnan(actual) & numpy.isnan(expected))).all()
        assert (packed.v(0).view(F32) == small_value(0x40, *FORMATS[name])).all()


def interesting(name: str) -> list[float]:
    """Every value of the format, every midpoint, and a little to both sides of these."""
    values = [small_value(byte, *FORMATS[name]) for byte in range(128)]
    middles = [(a + b) / 2 for a, b in itertools.pairwise(values)]
    beyond = [values[127] + (values[127] - values[126]) / 2, values[127] * 2, 1e30, math.inf, math.nan, 1e-30]
    out = []
    for value in (*values, *middles, *beyond):
        single = F32(value)
        out += [single, numpy.nextafter(single, F32(0)), numpy.nextafter(single, F32(numpy.inf))]
    return [float(value) for value in (*out, *(-value for value in out))]


@pytest.mark.parametrize("name", FORMATS)
def test_small_floats_round_to_nearest_even(machine: Machine, name: str) -> None:
    values = interesting(name)
    values += [1.0] * (-len(values) % LANES)
    for first in range(0, len(values), LANES):
        chunk = numpy.array(values[first : first + LANES], dtype=F32)
        expected = numpy.array([nearest_small(float(value), *FORMATS[name]) for value in chunk])
        done = machine.run(f"v_cvt_pk_{name}_f32 v0, v1, v2", v={0: 0xAAAABBBB, 1: chunk, 2: -chunk}).v(0)
        assert (done >> 16 == 0xAAAA).all(), "the other half stays"
        assert (done & 0xFF).tolist() == expected.tolist()
        negated = [byte if byte in (0, 0x80) else byte ^ 0x80 for byte in expected]
        assert (done >> 8 & 0xFF).tolist() == negated
        done = machine.run(f"v_cvt_pk_{name}_f32 v0, v1, v1 op_sel:[0,0,1]", v={0: 0xAAAABBBB, 1: chunk}).v(0)
        assert (done & 0xFFFF == 0xBBBB).all()
        assert (done >> 24).tolist() == expected.tolist()


def test_small_floats_saturate_only_when_mode_says(machine: Machine) -> None:
    loaded = {0: 0, 1: F32(1e6), 2: F32(-1e6)}
    assert machine.run("v_cvt_pk_fp8_f32 v0, v1, v2", v=loaded).v(0)[0] == 0x8080
    assert machine.run("v_cvt_pk_fp8_f32 v0, v1, v2", v=loaded, s={MODE: 0x3F0 | 1 << 23}).v(0)[0] == 0xFF7F


@pytest.mark.parametrize("name", FORMATS)
def test_stochastic_rounding_goes_up_as_often_as_it_should(machine: Machine, name: str) -> None:
    """1 + a quarter of the spacing rounds up for a quarter of the seeds, into the byte that op_sel names."""
    spacing = 2.0 ** -FORMATS[name][1]
    one = nearest_small(1.0, *FORMATS[name])
    ups = 0
    for round_number in range(16):
        seeds = (LANE + LANES * round_number) << 22
        done = machine.run(
            f"v_cvt_sr_{name}_f32 v0, v1, v2 op_sel:[0,0,1,0]",
            v={0: 0x01020304, 1: F32(1 + spacing / 4), 2: seeds},
        )
        bytes_ = done.v(0) >> 8 & 0xFF
        assert (done.v(0) & 0xFFFF00FF == 0x01020004).all()
        assert set(bytes_.tolist()) <= {one, one + 1}
        ups += int((bytes_ == one + 1).sum())
    assert ups == 16 * LANES // 4
