# SPDX-License-Identifier: MIT
"""Vector integer instructions: expected values from Python's integers, lane by lane, under several EXEC masks."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from machine import ALL, LANES, M0, MODE, Machine, halves_of

EDGES: tuple[int, ...] = (
    0,
    1,
    2,
    7,
    15,
    16,
    17,
    31,
    32,
    33,
    0x7FFF,
    0x8000,
    0xFFFF,
    0x10000,
    0x7FFFFF,
    0x800000,
    0xFFFFFF,
)
EDGES += (0x7FFFFFFF, 0x80000000, 0x80000001, 0xFFFF8000, 0xFFFFFFFE, 0xFFFFFFFF, 0xDEADBEEF, 0x12345678)
MASKS = (ALL, 0, 1, 1 << 63, 0x0F0F0F0F0F0F0F0F, 0xFFFFFFFF00000000, 0xAAAAAAAAAAAAAAAA)
M32, M64 = 0xFFFFFFFF, ALL
UNTOUCHED = 0xCAFEF00D


def signed(value: int, bits: int = 32) -> int:
    value &= (1 << bits) - 1
    return value - (1 << bits) if value >> (bits - 1) else value


def s16(value: int) -> int:
    return signed(value, 16)


def s24(value: int) -> int:
    return signed(value, 24)


def clamp(value: int, low: int, high: int) -> int:
    return max(low, min(high, value))


def leading(value: int) -> int:
    return 32 - value.bit_length() if value else M32


def trailing(value: int) -> int:
    return (value & -value).bit_length() - 1 if value else M32


def samples(seed: int) -> list[int]:
    """64 lanes: the edges, then random words."""
    generator = numpy.random.default_rng(seed)
    values = [int(value) for value in generator.integers(0, 1 << 32, LANES, dtype=numpy.uint64)]
    shift = seed % LANES
    for index, edge in enumerate(EDGES):
        values[(index * (1 + seed % 3) + shift) % LANES] = edge
    return values


def perm(a: int, b: int, selectors: int) -> int:
    out = 0
    both = (a << 32 | b).to_bytes(8, "little")
    for position in range(4):
        selector = selectors >> 8 * position & 0xFF
        if selector < 8:
            byte = both[selector]
        elif selector < 12:
            byte = 0xFF if both[2 * (selector - 8) + 1] & 0x80 else 0
        else:
            byte = 0 if selector == 12 else 0xFF
        out |= byte << 8 * position
    return out


def sad8(a: int, b: int) -> int:
    return sum(abs(x - y) for x, y in zip(a.to_bytes(4, "little"), b.to_bytes(4, "little"), strict=True))


def bfe(a: int, b: int, c: int, is_signed: bool) -> int:
    offset, width = b & 31, c & 31
    if width == 0:
        return 0
    if offset + width >= 32:
        return (signed(a) if is_signed else a) >> offset
    out = a >> offset & ((1 << width) - 1)
    return signed(out, width) if is_signed else out


ONE: dict[str, Callable[[int], int]] = {
    "v_mov_b32": lambda a: a,
    "v_not_b32": lambda a: ~a,
    "v_bfrev_b32": lambda a: int(f"{a:032b}"[::-1], 2),
    "v_ffbh_u32": leading,
    "v_ffbl_b32": trailing,
    "v_ffbh_i32": lambda a: leading(~a & M32 if a >> 31 else a),
    "v_sat_pk_u8_i16": lambda a: clamp(s16(a), 0, 255) | clamp(s16(a >> 16), 0, 255) << 8,
}

TWO: dict[str, Callable[[int, int], int]] = {
    "v_add_u32": lambda a, b: a + b,
    "v_sub_u32": lambda a, b: a - b,
    "v_subrev_u32": lambda a, b: b - a,
    "v_and_b32": lambda a, b: a & b,
    "v_or_b32": lambda a, b: a | b,
    "v_xor_b32": lambda a, b: a ^ b,
    "v_xnor_b32": lambda a, b: ~(a ^ b),
    "v_min_i32": lambda a, b: min(signed(a), signed(b)),
    "v_max_i32": lambda a, b: max(signed(a), signed(b)),
    "v_min_u32": min,
    "v_max_u32": max,
    "v_lshlrev_b32": lambda a, b: b << (a & 31),
    "v_lshrrev_b32": lambda a, b: b >> (a & 31),
    "v_ashrrev_i32": lambda a, b: signed(b) >> (a & 31),
    "v_mul_i32_i24": lambda a, b: s24(a) * s24(b),
    "v_mul_u32_u24": lambda a, b: (a & 0xFFFFFF) * (b & 0xFFFFFF),
    "v_mul_hi_i32_i24": lambda a, b: s24(a) * s24(b) >> 32,
    "v_mul_hi_u32_u24": lambda a, b: (a & 0xFFFFFF) * (b & 0xFFFFFF) >> 32,
    # 16-bit results have zeros above.
    "v_add_u16": lambda a, b: a + b & 0xFFFF,
    "v_sub_u16": lambda a, b: a - b & 0xFFFF,
    "v_subrev_u16": lambda a, b: b - a & 0xFFFF,
    "v_mul_lo_u16": lambda a, b: a * b & 0xFFFF,
    "v_lshlrev_b16": lambda a, b: b << (a & 15) & 0xFFFF,
    "v_lshrrev_b16": lambda a, b: (b & 0xFFFF) >> (a & 15),
    "v_ashrrev_i16": lambda a, b: s16(b) >> (a & 15) & 0xFFFF,
    "v_min_i16": lambda a, b: min(s16(a), s16(b)) & 0xFFFF,
    "v_max_i16": lambda a, b: max(s16(a), s16(b)) & 0xFFFF,
    "v_min_u16": lambda a, b: min(a & 0xFFFF, b & 0xFFFF),
    "v_max_u16": lambda a, b: max(a & 0xFFFF, b & 0xFFFF),
}

LONG: dict[str, Callable[..., int]] = {
    "v_mul_lo_u32": lambda a, b: a * b,
    "v_mul_hi_u32": lambda a, b: a * b >> 32,
    "v_mul_hi_i32": lambda a, b: signed(a) * signed(b) >> 32,
    "v_bfm_b32": lambda a, b: ((1 << (a & 31)) - 1) << (b & 31),
    "v_bcnt_u32_b32": lambda a, b: a.bit_count() + b,
    "v_add_i32": lambda a, b: a + b,
    "v_sub_i32": lambda a, b: a - b,
    "v_cvt_pk_u16_u32": lambda a, b: min(a, 0xFFFF) | min(b, 0xFFFF) << 16,
    "v_cvt_pk_i16_i32": lambda a, b: (
        clamp(signed(a), -32768, 32767) & 0xFFFF | (clamp(signed(b), -32768, 32767) & 0xFFFF) << 16
    ),
    "v_mad_i32_i24": lambda a, b, c: s24(a) * s24(b) + c,
    "v_mad_u32_u24": lambda a, b, c: (a & 0xFFFFFF) * (b & 0xFFFFFF) + c,
    "v_bfe_u32": lambda a, b, c: bfe(a, b, c, False),
    "v_bfe_i32": lambda a, b, c: bfe(a, b, c, True),
    "v_bfi_b32": lambda a, b, c: a & b | ~a & c,
    "v_alignbit_b32": lambda a, b, c: (a << 32 | b) >> (c & 31),
    "v_alignbyte_b32": lambda a, b, c: (a << 32 | b) >> 8 * (c & 3),
    "v_lerp_u8": lambda a, b, c: sum(
        ((a >> n & 255) + (b >> n & 255) + (c >> n & 1) >> 1) << n for n in (0, 8, 16, 24)
    ),
    "v_min3_i32": lambda a, b, c: min(map(signed, (a, b, c))),
    "v_max3_i32": lambda a, b, c: max(map(signed, (a, b, c))),
    "v_med3_i32": lambda a, b, c: sorted(map(signed, (a, b, c)))[1],
    "v_min3_u32": lambda a, b, c: min(a, b, c),
    "v_max3_u32": lambda a, b, c: max(a, b, c),
    "v_med3_u32": lambda a, b, c: sorted((a, b, c))[1],
    "v_sad_u32": lambda a, b, c: abs(a - b) + c,
    "v_sad_u16": lambda a, b, c: abs((a & 0xFFFF) - (b & 0xFFFF)) + abs((a >> 16) - (b >> 16)) + c,
    "v_sad_u8": lambda a, b, c: sad8(a, b) + c,
    "v_sad_hi_u8": lambda a, b, c: (sad8(a, b) << 16) + c,
    "v_msad_u8": lambda a, b, c: sum(abs((a >> n & 255) - (b >> n & 255)) for n in (0, 8, 16, 24) if b >> n & 255) + c,
    "v_perm_b32": perm,
    "v_xad_u32": lambda a, b, c: (a ^ b) + c,
    "v_lshl_add_u32": lambda a, b, c: (a << (b & 31)) + c,
    "v_add_lshl_u32": lambda a, b, c: (a + b) << (c & 31),
    "v_add3_u32": lambda a, b, c: a + b + c,
    "v_lshl_or_b32": lambda a, b, c: a << (b & 31) | c,
    "v_and_or_b32": lambda a, b, c: a & b | c,
    "v_or3_b32": lambda a, b, c: a | b | c,
    "v_mad_u32_u16": lambda a, b, c: (a & 0xFFFF) * (b & 0xFFFF) + c,
    "v_mad_i32_i16": lambda a, b, c: s16(a) * s16(b) + c,
}


def check(
    machine: Machine,
    text: str,
    function: Callable[..., int],
    sources: Sequence[list[int]],
    mask: int,
    **state: object,
) -> None:
    """Runs `text`, whose destination is v0 and whose sources are v1, v2 and v3, and compares every lane."""
    vectors: dict[int, object] = {0: UNTOUCHED}
    vectors |= {row: numpy.array(values, dtype=numpy.uint64) for row, values in enumerate(sources, 1)}
    actual = machine.run(text, v=vectors, exec=mask, read_v=(0,), **state).v(0)  # type: ignore[arg-type]
    for lane in range(LANES):
        arguments = [values[lane] for values in sources]
        expected = function(*arguments) & M32 if mask >> lane & 1 else UNTOUCHED
        assert actual[lane] == expected, (
            lane,
            [hex(value) for value in arguments],
            hex(actual[lane]),
            hex(expected),
        )


@pytest.mark.parametrize("mask", MASKS, ids=hex)
@pytest.mark.parametrize("name", ONE)
def test_one_source(machine: Machine, name: str, mask: int) -> None:
    for seed in range(3):
        check(machine, f"{name}_e32 v0, v1", ONE[name], [samples(seed)], mask)
        check(machine, f"{name}_e64 v0, v1", ONE[name], [samples(seed)], mask)


@pytest.mark.parametrize("mask", MASKS, ids=hex)
@pytest.mark.parametrize("name", TWO)
def test_two_sources(machine: Machine, name: str, mask: int) -> None:
    for seed in range(4):
        sources = [samples(seed), samples(seed + 7)]
        check(machine, f"{name}_e32 v0, v1, v2", TWO[name], sources, mask)
        check(machine, f"{name}_e64 v0, v1, v2", TWO[name], sources, mask)
    for scalar in (0, 1, 33, 0x80000000, M32):
        second = [samples(11)]
        check(
            machine,
            f"{name}_e32 v0, s4, v1",
            lambda b, a=scalar: TWO[name](a, b),
            second,
            mask,
            s={4: scalar},
        )
        check(
            machine,
            f"{name}_e64 v0, v1, s4",
            lambda a, b=scalar: TWO[name](a, b),
            second,
            mask,
            s={4: scalar},
        )
    check(machine, f"{name}_e32 v0, -5, v1", lambda b: TWO[name](M32 - 4, b), [samples(3)], mask)


@pytest.mark.parametrize("mask", MASKS, ids=hex)
@pytest.mark.parametrize("name", LONG)
def test_long_form(machine: Machine, name: str, mask: int) -> None:
    function = LONG[name]
    count = function.__code__.co_argcount
    for seed in range(4):
        sources = [samples(seed + 5 * index) for index in range(count)]
        check(machine, f"{name} v0, {', '.join(('v1', 'v2', 'v3')[:count])}", function, sources, mask)
    if count == 2:
        check(machine, f"{name} v0, s4, v1", lambda b: function(33, b), [samples(1)], mask, s={4: 33})
        check(machine, f"{name} v0, 7, 9", lambda: function(7, 9), [], mask)
    else:
        check(
            machine,
            f"{name} v0, v1, s4, v2",
            lambda a, c: function(a, 9, c),
            [samples(1), samples(2)],
            mask,
            s={4: 9},
        )
        check(machine, f"{name} v0, v1, 8, 12", lambda a: function(a, 8, 12), [samples(1)], mask)
        check(machine, f"{name} v0, 3, v1, s4", lambda b: function(3, b, 5), [samples(1)], mask, s={4: 5})


def test_a_literal_is_a_source(machine: Machine) -> None:
    check(machine, "v_add_u32_e32 v0, 0x12345678, v1", lambda a: a + 0x12345678, [samples(0)], ALL)
    check(machine, "v_mov_b32_e32 v0, 0xdeadbeef", lambda: 0xDEADBEEF, [], 0xF0)


SATURATING: dict[str, Callable[..., int]] = {
    "v_add_u32_e64": lambda a, b: min(a + b, M32),
    "v_sub_u32_e64": lambda a, b: max(a - b, 0),
    "v_subrev_u32_e64": lambda a, b: max(b - a, 0),
    "v_add_i32": lambda a, b: clamp(signed(a) + signed(b), -(1 << 31), (1 << 31) - 1),
    "v_sub_i32": lambda a, b: clamp(signed(a) - signed(b), -(1 << 31), (1 << 31) - 1),
    "v_add_u16_e64": lambda a, b: min((a & 0xFFFF) + (b & 0xFFFF), 0xFFFF),
    "v_sub_u16_e64": lambda a, b: max((a & 0xFFFF) - (b & 0xFFFF), 0),
    "v_mad_u32_u24": lambda a, b, c: min((a & 0xFFFFFF) * (b & 0xFFFFFF) + c, M32),
    "v_mad_i32_i24": lambda a, b, c: clamp(s24(a) * s24(b) + signed(c), -(1 << 31), (1 << 31) - 1),
}


@pytest.mark.parametrize("name", SATURATING)
def test_clamp_saturates_integers(machine: Machine, name: str) -> None:
    count = SATURATING[name].__code__.co_argcount
    for seed in range(4):
        sources = [samples(seed + 5 * index) for index in range(count)]
        check(
            machine,
            f"{name} v0, {', '.join(('v1', 'v2', 'v3')[:count])} clamp",
            SATURATING[name],
            sources,
            ALL,
        )


WIDE: dict[str, Callable[[int, int, int], int]] = {
    "v_lshlrev_b64 v[0:1], v6, v[2:3]": lambda a, b, n: a << (n & 63),
    "v_lshrrev_b64 v[0:1], v6, v[2:3]": lambda a, b, n: a >> (n & 63),
    "v_ashrrev_i64 v[0:1], v6, v[2:3]": lambda a, b, n: signed(a, 64) >> (n & 63),
    "v_lshl_add_u64 v[0:1], v[2:3], 3, v[4:5]": lambda a, b, n: (a << 3) + b,
    "v_lshl_add_u64 v[0:1], v[2:3], 0, s[4:5]": lambda a, b, n: a + (5 << 32 | 9),
    "v_mov_b64_e32 v[0:1], v[2:3]": lambda a, b, n: a,
    "v_mov_b64_e32 v[0:1], -3": lambda a, b, n: -3,
    "v_mov_b64_e32 v[0:1], s[4:5]": lambda a, b, n: 5 << 32 | 9,
    "v_mad_u64_u32 v[0:1], vcc, v2, v4, v[4:5]": lambda a, b, n: (a & M32) * (b & M32) + b,
    "v_mad_u64_u32 v[0:1], vcc, v2, s4, 0": lambda a, b, n: (a & M32) * 9,
    "v_mad_i64_i32 v[0:1], vcc, v2, v4, v[4:5]": lambda a, b, n: signed(a) * signed(b) + b,
}


@pytest.mark.parametrize("mask", MASKS, ids=hex)
@pytest.mark.parametrize("text", WIDE)
def test_wide_results(machine: Machine, text: str, mask: int) -> None:
    for seed in range(3):
        words = [samples(seed + offset) for offset in range(5)]
        vectors = {
            0: UNTOUCHED,
            1: UNTOUCHED,
            2: words[0],
            3: words[1],
            4: words[2],
            5: words[3],
            6: words[4],
        }
        loaded = {row: numpy.array(value, dtype=numpy.uint64) for row, value in vectors.items()}
        actual = machine.run(text, v=loaded, s={4: 9, 5: 5}, exec=mask).wide(0)
        for lane in range(LANES):
            a, b = words[0][lane] | words[1][lane] << 32, words[2][lane] | words[3][lane] << 32
            expected = WIDE[text](a, b, words[4][lane]) & M64 if mask >> lane & 1 else UNTOUCHED | UNTOUCHED << 32
            assert int(actual[lane]) == expected, (lane, hex(a), hex(b))


def test_wide_result_may_overlap_its_source(machine: Machine) -> None:
    """v[2:3] = v[1:2] << 4, where the rows overlap by one."""
    low, high = samples(1), samples(2)
    loaded = {2: numpy.array(low, dtype=numpy.uint64), 3: numpy.array(high, dtype=numpy.uint64)}
    words = machine.assemble("v_lshlrev_b64 v[4:5], 4, v[2:3]")
    words = [words[0] - 1, words[1]]  # the destination becomes v[3:4], which the assembler would refuse
    actual = machine.run(words, v=loaded, read_v=(3, 4)).wide(3)
    assert [int(value) for value in actual] == [((a | b << 32) << 4) & M64 for a, b in zip(low, high, strict=True)]


CARRY: dict[str, Callable[[int, int, int], tuple[int, bool]]] = {
    "v_add_co_u32": lambda a, b, c: (a + b, a + b > M32),
    "v_sub_co_u32": lambda a, b, c: (a - b, a < b),
    "v_subrev_co_u32": lambda a, b, c: (b - a, b < a),
    "v_addc_co_u32": lambda a, b, c: (a + b + c, a + b + c > M32),
    "v_subb_co_u32": lambda a, b, c: (a - b - c, a < b + c),
    "v_subbrev_co_u32": lambda a, b, c: (b - a - c, b < a + c),
}


@pytest.mark.parametrize("mask", MASKS, ids=hex)
@pytest.mark.parametrize("name", CARRY)
def test_carries(machine: Machine, name: str, mask: int) -> None:
    has_input = name in ("v_addc_co_u32", "v_subb_co_u32", "v_subbrev_co_u32")
    for carries in (0, ALL, 0x123456789ABCDEF0):
        a, b = samples(carries % 5), samples(carries % 7 + 1)
        loaded = {0: UNTOUCHED, 1: numpy.array(a, dtype=numpy.uint64), 2: numpy.array(b, dtype=numpy.uint64)}
        short = f"{name}_e32 v0, vcc, v1, v2" + (", vcc" if has_input else "")
        long = f"{name}_e64 v0, s[10:11], v1, v2" + (", s[12:13]" if has_input else "")
        inputs = {12: carries & M32, 13: carries >> 32}
        from_short = machine.run(short, v=loaded, exec=mask, vcc=carries)
        from_long = machine.run(long, v=loaded, exec=mask, s=inputs, read_s=(10, 11))
        expected = [CARRY[name](x, y, carries >> lane & 1) for lane, (x, y) in enumerate(zip(a, b, strict=True))]
        out = sum(int(carry) << lane for lane, (_, carry) in enumerate(expected)) & mask
        assert from_short.vcc == out
        assert from_long.pair(10) == out
        values = [value & M32 if mask >> lane & 1 else UNTOUCHED for lane, (value, _) in enumerate(expected)]
        assert from_short.v(0).tolist() == values
        assert from_long.v(0).tolist() == values


@given(a=st.integers(0, M64), b=st.integers(0, M64))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_carry_chain_adds_and_subtracts_wide_numbers(machine: Machine, a: int, b: int) -> None:
    (a_low, a_high), (b_low, b_high) = halves_of(a, "uint64"), halves_of(b, "uint64")
    loaded = {2: a_low, 3: a_high, 4: b_low, 5: b_high}
    add = "v_add_co_u32_e32 v0, vcc, v2, v4\nv_addc_co_u32_e32 v1, vcc, v3, v5, vcc\n"
    subtract = "v_sub_co_u32_e32 v0, vcc, v2, v4\nv_subb_co_u32_e32 v1, vcc, v3, v5, vcc\n"
    done = machine.run(add, v=loaded)
    assert int(done.wide(0)[17]) == (a + b) & M64
    assert done.vcc == (ALL if a + b > M64 else 0)
    done = machine.run(subtract, v=loaded)
    assert int(done.wide(0)[17]) == (a - b) & M64
    assert done.vcc == (ALL if a < b else 0)


@pytest.mark.parametrize("mask", MASKS, ids=hex)
def test_select_takes_the_second_where_the_mask_is_set(machine: Machine, mask: int) -> None:
    chosen = 0x0123456789ABCDEF
    pick = {12: chosen & M32, 13: chosen >> 32}
    a, b = samples(1), samples(2)
    loaded = {0: UNTOUCHED, 1: numpy.array(a, dtype=numpy.uint64), 2: numpy.array(b, dtype=numpy.uint64)}
    expected = [
        (b[lane] if chosen >> lane & 1 else a[lane]) if mask >> lane & 1 else UNTOUCHED for lane in range(LANES)
    ]
    assert machine.run("v_cndmask_b32_e32 v0, v1, v2, vcc", v=loaded, exec=mask, vcc=chosen).v(0).tolist() == expected
    assert machine.run("v_cndmask_b32_e64 v0, v1, v2, s[12:13]", v=loaded, exec=mask, s=pick).v(0).tolist() == expected
    done = machine.run("v_cndmask_b32_e64 v0, 0, 1, s[12:13]", v=loaded, exec=mask, s=pick)
    assert done.v(0).tolist() == [(chosen >> n & 1) if mask >> n & 1 else UNTOUCHED for n in range(LANES)]
    done = machine.run("v_cndmask_b32_e64 v0, -v1, |v2|, s[12:13]", v=loaded, s=pick)
    assert done.v(0).tolist() == [b[n] & 0x7FFFFFFF if chosen >> n & 1 else a[n] ^ 0x80000000 for n in range(LANES)]


@pytest.mark.parametrize("bits", [0, ALL, 0x8000000180000001, 0x0F0F0F0F0F0F0F0F])
def test_mbcnt_counts_the_lanes_below(machine: Machine, bits: int) -> None:
    text = "v_mbcnt_lo_u32_b32 v0, s4, 0\nv_mbcnt_hi_u32_b32 v0, s5, v0\n"
    done = machine.run(text, s={4: bits & M32, 5: bits >> 32})
    assert done.v(0).tolist() == [(bits & ((1 << lane) - 1)).bit_count() for lane in range(LANES)]


RELATIONS: dict[str, Callable[[int, int], bool]] = {
    "f": lambda a, b: False,
    "lt": lambda a, b: a < b,
    "eq": lambda a, b: a == b,
    "le": lambda a, b: a <= b,
    "gt": lambda a, b: a > b,
    "ne": lambda a, b: a != b,
    "ge": lambda a, b: a >= b,
    "t": lambda a, b: True,
}
VIEWS: dict[str, Callable[[int], int]] = {
    "i32": signed,
    "u32": lambda a: a & M32,
    "i16": s16,
    "u16": lambda a: a & 0xFFFF,
    "i64": lambda a: signed(a, 64),
    "u64": lambda a: a,
}


@pytest.mark.parametrize("kind", VIEWS)
@pytest.mark.parametrize("relation", RELATIONS)
def test_comparisons_give_zero_for_disabled_lanes(machine: Machine, relation: str, kind: str) -> None:
    wide = kind.endswith("64")
    a, b, c, d = samples(1), samples(2), samples(3), samples(4)
    for lane in range(0, LANES, 5):
        b[lane], d[lane] = a[lane], c[lane]
    rows = {2: a, 3: c, 4: b, 5: d}
    loaded = {row: numpy.array(value, dtype=numpy.uint64) for row, value in rows.items()}
    left, right = ("v[2:3]", "v[4:5]") if wide else ("v2", "v4")
    holds = [
        RELATIONS[relation](*(VIEWS[kind](low | (high << 32 if wide else 0)) for low, high in ((p, q), (r, t))))
        for p, q, r, t in zip(a, c, b, d, strict=True)
    ]
    full = sum(int(value) << lane for lane, value in enumerate(holds))
    for mask in MASKS:
        done = machine.run(f"v_cmp_{relation}_{kind}_e32 vcc, {left}, {right}", v=loaded, exec=mask, vcc=ALL)
        assert (done.vcc, done.exec) == (full & mask, mask)
        done = machine.run(
            f"v_cmp_{relation}_{kind}_e64 s[10:11], {left}, {right}", v=loaded, exec=mask, read_s=(10, 11)
        )
        assert done.pair(10) == full & mask
        done = machine.run(f"v_cmpx_{relation}_{kind}_e32 vcc, {left}, {right}", v=loaded, exec=mask)
        assert (done.vcc, done.exec) == (full & mask, full & mask)


def test_comparison_with_a_scalar(machine: Machine) -> None:
    loaded = {1: numpy.arange(LANES, dtype=numpy.uint32)}
    assert machine.run("v_cmp_gt_u32_e32 vcc, s4, v1", v=loaded, s={4: 10}).vcc == (1 << 10) - 1
    assert machine.run("v_cmp_gt_u32_e64 vcc, v1, 9", v=loaded).vcc == ALL & ~((1 << 10) - 1)


def test_gpr_index_moves_v_mov(machine: Machine) -> None:
    """Both sides by M0, and neither after the mode is left."""
    text = "s_set_gpr_idx_on s4, gpr_idx({})\nv_mov_b32_e32 v0, v10\ns_set_gpr_idx_off\nv_mov_b32_e32 v1, v10\n"
    loaded = {row: row * 100 for row in (0, 1, 3, 10, 13)}
    done = machine.run(text.format("SRC0"), v=loaded, s={4: 3}, read_v=(0, 1, 3), read_s=(M0, MODE))
    assert (done.v(0)[0], done.v(1)[0], done.v(3)[0]) == (1300, 1000, 300)
    done = machine.run(text.format("DST"), v=loaded, s={4: 3}, read_v=(0, 1, 3))
    assert (done.v(0)[0], done.v(1)[0], done.v(3)[0]) == (0, 1000, 1000)
    done = machine.run(text.format("SRC0,DST"), v=loaded, s={4: 3}, read_v=(0, 1, 3))
    assert (done.v(0)[0], done.v(1)[0], done.v(3)[0]) == (0, 1000, 1300)
    done = machine.run(text.format("DST"), v=loaded, s={4: 3}, exec=1 << 5, read_v=(3,))
    assert (done.v(3)[4], done.v(3)[5]) == (300, 1000)
