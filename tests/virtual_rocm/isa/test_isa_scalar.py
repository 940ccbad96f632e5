# SPDX-License-Identifier: MIT
"""Scalar instructions: expected values from Python's integers."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from machine import ALL, EXEC, M0, MODE, SCC, Machine

EDGES = (0, 1, 2, 31, 32, 33, 63, 0x7FFFFFFF, 0x80000000, 0x80000001, 0xFFFFFFFF, 0xDEADBEEF)
WIDE_EDGES = (
    0,
    1,
    0x7FFFFFFF,
    0x80000000,
    0xFFFFFFFF,
    1 << 32,
    (1 << 63) - 1,
    1 << 63,
    ALL,
    0x0123456789ABCDEF,
)
M32, M64 = 0xFFFFFFFF, ALL


def signed(value: int, bits: int = 32) -> int:
    value &= (1 << bits) - 1
    return value - (1 << bits) if value >> (bits - 1) else value


def fits(value: int) -> bool:
    return -(1 << 31) <= value < 1 << 31


def field(value: int, selector: int, bits: int, is_signed: bool) -> int:
    offset, width = selector & (bits - 1), selector >> 16 & 0x7F
    out = value >> offset & ((1 << min(width, bits - offset)) - 1) if width else 0
    real = min(width, bits - offset)
    return out - (1 << real) if is_signed and width and out >> (real - 1) else out


Result = tuple[int, int]  # value, SCC

TWO: dict[str, Callable[[int, int, int], Result]] = {
    "s_add_u32": lambda a, b, c: (a + b, a + b > M32),
    "s_sub_u32": lambda a, b, c: (a - b, b > a),
    "s_addc_u32": lambda a, b, c: (a + b + c, a + b + c > M32),
    "s_subb_u32": lambda a, b, c: (a - b - c, b + c > a),
    "s_add_i32": lambda a, b, c: (a + b, not fits(signed(a) + signed(b))),
    "s_sub_i32": lambda a, b, c: (a - b, not fits(signed(a) - signed(b))),
    "s_min_i32": lambda a, b, c: (min(signed(a), signed(b)), signed(a) < signed(b)),
    "s_max_i32": lambda a, b, c: (max(signed(a), signed(b)), signed(a) > signed(b)),
    "s_min_u32": lambda a, b, c: (min(a, b), a < b),
    "s_max_u32": lambda a, b, c: (max(a, b), a > b),
    "s_cselect_b32": lambda a, b, c: (a if c else b, c),
    "s_and_b32": lambda a, b, c: (a & b, a & b != 0),
    "s_or_b32": lambda a, b, c: (a | b, a | b != 0),
    "s_xor_b32": lambda a, b, c: (a ^ b, a ^ b != 0),
    "s_andn2_b32": lambda a, b, c: (a & ~b, a & ~b & M32 != 0),
    "s_orn2_b32": lambda a, b, c: (a | ~b, (a | ~b) & M32 != 0),
    "s_nand_b32": lambda a, b, c: (~(a & b), ~(a & b) & M32 != 0),
    "s_nor_b32": lambda a, b, c: (~(a | b), ~(a | b) & M32 != 0),
    "s_xnor_b32": lambda a, b, c: (~(a ^ b), ~(a ^ b) & M32 != 0),
    "s_lshl_b32": lambda a, b, c: (a << (b & 31), (a << (b & 31)) & M32 != 0),
    "s_lshr_b32": lambda a, b, c: (a >> (b & 31), a >> (b & 31) != 0),
    "s_ashr_i32": lambda a, b, c: (signed(a) >> (b & 31), signed(a) >> (b & 31) != 0),
    "s_bfm_b32": lambda a, b, c: (((1 << (a & 31)) - 1) << (b & 31), c),
    "s_mul_i32": lambda a, b, c: (a * b, c),
    "s_mul_hi_u32": lambda a, b, c: (a * b >> 32, c),
    "s_mul_hi_i32": lambda a, b, c: (signed(a) * signed(b) >> 32, c),
    "s_absdiff_i32": lambda a, b, c: (abs(signed(a - b)), (a - b) & M32 != 0),
    "s_lshl1_add_u32": lambda a, b, c: ((a << 1) + b, (a << 1) + b > M32),
    "s_lshl4_add_u32": lambda a, b, c: ((a << 4) + b, (a << 4) + b > M32),
    "s_pack_ll_b32_b16": lambda a, b, c: (a & 0xFFFF | b << 16, c),
    "s_pack_lh_b32_b16": lambda a, b, c: (a & 0xFFFF | b >> 16 << 16, c),
    "s_pack_hh_b32_b16": lambda a, b, c: (a >> 16 | b >> 16 << 16, c),
}


@pytest.mark.parametrize("name", TWO)
def test_two_sources(machine: Machine, name: str) -> None:
    for a in EDGES:
        for b in EDGES:
            for carry in (0, 1):
                value, scc = TWO[name](a, b, carry)
                done = machine.run(f"{name} s4, s8, s9", s={8: a, 9: b, SCC: carry}, read_s=(4,), read_v=())
                assert (done.s(4), done.scc) == (value & M32, int(scc)), (hex(a), hex(b), carry)


WIDE: dict[str, Callable[[int, int], Result]] = {
    "s_and_b64": lambda a, b: (a & b, a & b != 0),
    "s_or_b64": lambda a, b: (a | b, a | b != 0),
    "s_xor_b64": lambda a, b: (a ^ b, a ^ b != 0),
    "s_andn2_b64": lambda a, b: (a & ~b, a & ~b & M64 != 0),
    "s_orn2_b64": lambda a, b: (a | ~b, (a | ~b) & M64 != 0),
    "s_nand_b64": lambda a, b: (~(a & b), ~(a & b) & M64 != 0),
    "s_nor_b64": lambda a, b: (~(a | b), ~(a | b) & M64 != 0),
    "s_xnor_b64": lambda a, b: (~(a ^ b), ~(a ^ b) & M64 != 0),
}


@pytest.mark.parametrize("name", WIDE)
def test_two_wide_sources(machine: Machine, name: str) -> None:
    for a in WIDE_EDGES:
        for b in WIDE_EDGES:
            value, scc = WIDE[name](a, b)
            inputs = {8: a & M32, 9: a >> 32, 10: b & M32, 11: b >> 32}
            done = machine.run(f"{name} s[4:5], s[8:9], s[10:11]", s=inputs, read_s=(4, 5), read_v=())
            assert (done.pair(4), done.scc) == (value & M64, int(scc))


SHIFTS: dict[str, Callable[[int, int], int]] = {
    "s_lshl_b64": lambda a, n: a << n,
    "s_lshr_b64": lambda a, n: a >> n,
    "s_ashr_i64": lambda a, n: signed(a, 64) >> n,
}


@pytest.mark.parametrize("name", SHIFTS)
@pytest.mark.parametrize("amount", [0, 1, 31, 32, 33, 63, 64, 65, 0xFFFFFFFF])
def test_wide_shifts_use_six_bits_of_the_amount(machine: Machine, name: str, amount: int) -> None:
    for a in WIDE_EDGES:
        value = SHIFTS[name](a, amount & 63) & M64
        inputs = {8: a & M32, 9: a >> 32, 10: amount}
        done = machine.run(f"{name} s[4:5], s[8:9], s10", s=inputs, read_s=(4, 5), read_v=())
        assert (done.pair(4), done.scc) == (value, int(value != 0))


@pytest.mark.parametrize("selector", [0, 0x80000, 0x100008, 0x1F0001, 0x200000, 0x10001F, 0x40003F, 0x400000, 0x7F0004])
def test_bit_field_extract(machine: Machine, selector: int) -> None:
    for a in EDGES:
        for name, is_signed in (("s_bfe_u32", False), ("s_bfe_i32", True)):
            value = field(a, selector, 32, is_signed) & M32
            done = machine.run(f"{name} s4, s8, s9", s={8: a, 9: selector}, read_s=(4,), read_v=())
            assert (done.s(4), done.scc) == (value, int(value != 0)), (name, hex(a))
    for a in WIDE_EDGES:
        for name, is_signed in (("s_bfe_u64", False), ("s_bfe_i64", True)):
            value = field(a, selector, 64, is_signed) & M64
            inputs = {8: a & M32, 9: a >> 32, 10: selector}
            done = machine.run(f"{name} s[4:5], s[8:9], s10", s=inputs, read_s=(4, 5), read_v=())
            assert (done.pair(4), done.scc) == (value, int(value != 0)), (name, hex(a))


def first(bits: str) -> int:
    position = bits.find("1")
    return M32 if position < 0 else position


def sign_change(value: int, width: int) -> int:
    return first(f"{(~value if value >> (width - 1) else value) & ((1 << width) - 1):0{width}b}")


ONE: dict[str, tuple[int, int, Callable[[int], Result | int]]] = {
    # name: (source registers, destination registers, function). A plain number leaves SCC alone.
    "s_mov_b32": (1, 1, lambda a: a),
    "s_mov_b64": (2, 2, lambda a: a),
    "s_not_b32": (1, 1, lambda a: (~a, ~a & M32 != 0)),
    "s_not_b64": (2, 2, lambda a: (~a, ~a & M64 != 0)),
    "s_brev_b32": (1, 1, lambda a: int(f"{a:032b}"[::-1], 2)),
    "s_brev_b64": (2, 2, lambda a: int(f"{a:064b}"[::-1], 2)),
    "s_bcnt0_i32_b32": (1, 1, lambda a: (32 - a.bit_count(), a != M32)),
    "s_bcnt0_i32_b64": (2, 1, lambda a: (64 - a.bit_count(), a != M64)),
    "s_bcnt1_i32_b32": (1, 1, lambda a: (a.bit_count(), a != 0)),
    "s_bcnt1_i32_b64": (2, 1, lambda a: (a.bit_count(), a != 0)),
    "s_ff0_i32_b32": (1, 1, lambda a: first(f"{~a & M32:032b}"[::-1])),
    "s_ff0_i32_b64": (2, 1, lambda a: first(f"{~a & M64:064b}"[::-1])),
    "s_ff1_i32_b32": (1, 1, lambda a: first(f"{a:032b}"[::-1])),
    "s_ff1_i32_b64": (2, 1, lambda a: first(f"{a:064b}"[::-1])),
    "s_flbit_i32_b32": (1, 1, lambda a: first(f"{a:032b}")),
    "s_flbit_i32_b64": (2, 1, lambda a: first(f"{a:064b}")),
    "s_flbit_i32": (1, 1, lambda a: sign_change(a, 32)),
    "s_flbit_i32_i64": (2, 1, lambda a: sign_change(a, 64)),
    "s_sext_i32_i8": (1, 1, lambda a: signed(a, 8)),
    "s_sext_i32_i16": (1, 1, lambda a: signed(a, 16)),
    "s_abs_i32": (1, 1, lambda a: (abs(signed(a)), a != 0)),
    "s_bitreplicate_b64_b32": (1, 2, lambda a: int("".join(bit * 2 for bit in f"{a:032b}"), 2)),
    "s_quadmask_b32": (1, 1, lambda a: quadmask(a, 8)),
    "s_quadmask_b64": (2, 2, lambda a: quadmask(a, 16)),
    "s_wqm_b64": (2, 2, lambda a: whole_quads(a)),
}


def quadmask(value: int, groups: int) -> Result:
    out = sum(bool(value >> 4 * group & 15) << group for group in range(groups))
    return out, out != 0


def whole_quads(value: int) -> Result:
    out = sum(15 << 4 * group for group in range(16) if value >> 4 * group & 15)
    return out, out != 0


@pytest.mark.parametrize("name", ONE)
def test_one_source(machine: Machine, name: str) -> None:
    sources, results, function = ONE[name]
    text = f"{name} {'s4' if results == 1 else 's[4:5]'}, {'s8' if sources == 1 else 's[8:9]'}"
    for a in WIDE_EDGES if sources == 2 else EDGES:
        for scc in (0, 1):
            expected = function(a)
            value, condition = expected if isinstance(expected, tuple) else (expected, scc)
            done = machine.run(text, s={8: a & M32, 9: a >> 32, SCC: scc}, read_s=(4, 5), read_v=())
            actual = done.pair(4) if results == 2 else done.s(4)
            assert (actual, done.scc) == (value & (M64 if results == 2 else M32), int(condition)), hex(a)


COMPARE: dict[str, Callable[[int, int], bool]] = {
    "eq": lambda a, b: a == b,
    "lg": lambda a, b: a != b,
    "gt": lambda a, b: a > b,
    "ge": lambda a, b: a >= b,
    "lt": lambda a, b: a < b,
    "le": lambda a, b: a <= b,
}


@pytest.mark.parametrize("relation", COMPARE)
def test_comparisons_set_the_condition(machine: Machine, relation: str) -> None:
    for a in EDGES:
        for b in EDGES:
            for kind, view in (("i32", signed), ("u32", int)):
                done = machine.run(f"s_cmp_{relation}_{kind} s8, s9", s={8: a, 9: b}, read_v=())
                assert done.scc == COMPARE[relation](view(a), view(b)), (kind, hex(a), hex(b))


@pytest.mark.parametrize("relation", COMPARE)
@pytest.mark.parametrize("immediate", [0, 1, 0x7FFF, 0x8000, 0xFFFF])
def test_immediate_comparisons_extend_as_their_type_says(machine: Machine, relation: str, immediate: int) -> None:
    for a in (*EDGES, immediate, 0xFFFF8000, 0xFFFFFFFF):
        done = machine.run(f"s_cmpk_{relation}_i32 s8, {hex(immediate)}", s={8: a}, read_v=())
        assert done.scc == COMPARE[relation](signed(a), signed(immediate, 16)), hex(a)
        done = machine.run(f"s_cmpk_{relation}_u32 s8, {hex(immediate)}", s={8: a}, read_v=())
        assert done.scc == COMPARE[relation](a, immediate), hex(a)


def test_wide_comparisons_and_bit_tests(machine: Machine) -> None:
    for a in WIDE_EDGES:
        for b in WIDE_EDGES:
            inputs = {8: a & M32, 9: a >> 32, 10: b & M32, 11: b >> 32}
            assert machine.run("s_cmp_eq_u64 s[8:9], s[10:11]", s=inputs, read_v=()).scc == (a == b)
            assert machine.run("s_cmp_lg_u64 s[8:9], s[10:11]", s=inputs, read_v=()).scc == (a != b)
        for bit in (0, 31, 32, 63, 64, 95):
            inputs = {8: a & M32, 9: a >> 32, 10: bit}
            assert machine.run("s_bitcmp1_b64 s[8:9], s10", s=inputs, read_v=()).scc == a >> (bit & 63) & 1
            assert machine.run("s_bitcmp0_b32 s8, s10", s=inputs, read_v=()).scc != ((a & M32) >> (bit & 31) & 1)


def test_immediate_forms(machine: Machine) -> None:
    assert machine.run("s_movk_i32 s4, 0x8000", read_s=(4,)).s(4) == 0xFFFF8000
    for scc, expected in ((0, 7), (1, 0xFFFFFFFF)):
        assert machine.run("s_cmovk_i32 s4, 0xffff", s={4: 7, SCC: scc}, read_s=(4,)).s(4) == expected
        assert machine.run("s_cmov_b32 s4, s8", s={4: 7, 8: 0xFFFFFFFF, SCC: scc}, read_s=(4,)).s(4) == expected
    done = machine.run("s_addk_i32 s4, 1", s={4: 0x7FFFFFFF}, read_s=(4,))
    assert (done.s(4), done.scc) == (0x80000000, 1)
    done = machine.run("s_mulk_i32 s4, 0xfffe", s={4: 3, SCC: 1}, read_s=(4,))
    assert (done.s(4), done.scc) == (0xFFFFFFFA, 1)
    assert machine.run("s_bitset1_b32 s4, 33", s={4: 0}, read_s=(4,)).s(4) == 2
    assert machine.run("s_bitset0_b64 s[4:5], 35", s={4: M32, 5: M32}, read_s=(4, 5)).pair(4) == ALL & ~(1 << 35)


SAVE: dict[str, Callable[[int, int], int]] = {
    "and": lambda source, exec: source & exec,
    "or": lambda source, exec: source | exec,
    "xor": lambda source, exec: source ^ exec,
    "andn2": lambda source, exec: source & ~exec,
    "orn2": lambda source, exec: source | ~exec,
    "nand": lambda source, exec: ~(source & exec),
    "nor": lambda source, exec: ~(source | exec),
    "xnor": lambda source, exec: ~(source ^ exec),
    "andn1": lambda source, exec: ~source & exec,
    "orn1": lambda source, exec: ~source | exec,
}


@pytest.mark.parametrize("name", SAVE)
def test_saveexec_keeps_the_old_mask_and_tests_the_new_one(machine: Machine, name: str) -> None:
    for source in WIDE_EDGES:
        for mask in WIDE_EDGES:
            new = SAVE[name](source, mask) & ALL
            inputs = {8: source & M32, 9: source >> 32}
            done = machine.run(f"s_{name}_saveexec_b64 s[4:5], s[8:9]", s=inputs, exec=mask, read_s=(4, 5), read_v=())
            assert (done.pair(4), done.exec, done.scc) == (mask, new, int(new != 0))


def test_saveexec_whose_destination_is_its_source(machine: Machine) -> None:
    done = machine.run("s_and_saveexec_b64 vcc, vcc", vcc=0xF0, exec=0x3C, read_v=())
    assert (done.vcc, done.exec) == (0x3C, 0x30)


def test_wrexec_gives_the_new_mask(machine: Machine) -> None:
    done = machine.run("s_andn2_wrexec_b64 s[4:5], s[8:9]", s={8: 0xFF, 9: 0}, exec=0x0F, read_s=(4, 5), read_v=())
    assert (done.pair(4), done.exec, done.scc) == (0xF0, 0xF0, 1)


def test_operands_that_are_not_registers(machine: Machine) -> None:
    assert machine.run("s_mov_b32 s4, 0.5", read_s=(4,)).s(4) == 0x3F000000
    assert machine.run("s_mov_b32 s4, 0.15915494", read_s=(4,)).s(4) == 0x3E22F983
    assert machine.run("s_mov_b64 s[4:5], -4.0", read_s=(4, 5)).pair(4) == 0xC010000000000000
    assert machine.run("s_mov_b64 s[4:5], -16", read_s=(4, 5)).pair(4) == ALL - 15
    assert machine.run("s_mov_b32 s4, 64", read_s=(4,)).s(4) == 64
    assert machine.run("s_mov_b64 s[4:5], 0x80000001", read_s=(4, 5)).pair(4) == 0x80000001
    assert machine.run("s_mov_b32 s4, src_scc", s={SCC: 1}, read_s=(4,)).s(4) == 1
    assert machine.run("s_mov_b64 exec, s[8:9]", s={8: 5, 9: 6}, read_v=()).exec == 5 | 6 << 32
    assert machine.run("s_mov_b32 m0, s8", s={8: 77}, read_s=(M0,)).s(M0) == 77
    assert machine.run("s_mov_b32 exec_hi, 0", read_v=()).exec == 0xFFFFFFFF


def test_relative_moves_add_m0(machine: Machine) -> None:
    done = machine.run("s_movrels_b32 s4, s8", s={M0: 3, 8: 1, 11: 99}, read_s=(4,))
    assert done.s(4) == 99
    done = machine.run("s_movreld_b64 s[4:5], s[8:9]", s={M0: 2, 8: 1, 9: 2}, read_s=(4, 5, 6, 7))
    assert (done.s(4), done.s(6), done.s(7)) == (0, 1, 2)


def test_gpr_index_mode_is_in_m0_and_mode(machine: Machine) -> None:
    done = machine.run("s_set_gpr_idx_on s8, gpr_idx(SRC0,DST)", s={8: 0x105, M0: 0xFFFFFFFF}, read_s=(M0, MODE))
    assert done.s(M0) == 0xFFFF9F05
    assert done.s(MODE) >> 27 & 1 == 1
    done = machine.run("s_set_gpr_idx_on s8, gpr_idx(DST)\ns_set_gpr_idx_off", s={8: 5}, read_s=(MODE,))
    assert done.s(MODE) >> 27 & 1 == 0
    assert done.s(EXEC) == M32
