# SPDX-License-Identifier: MIT
"""Floating-point instructions: expected bits from numpy's IEEE arithmetic and from exact rationals."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction

import numpy
import numpy.typing
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from machine import ALL, LANES, MODE, SCC, VCC, Machine, halves_of

F32 = numpy.float32
SINGLE_EDGES = (
    0x00000000, 0x80000000, 0x00000001, 0x80000001, 0x007FFFFF, 0x00800000, 0x80800000, 0x3F000000, 0x3F800000,
    0xBF800000, 0x3F800001, 0x3FC00000, 0x40200000, 0x4B000000, 0x4B7FFFFF, 0x4EFFFFFF, 0x4F000000, 0xCF000000,
    0x4F7FFFFF, 0x4F800000, 0x5F000000, 0x7F7FFFFF, 0xFF7FFFFF, 0x7F800000, 0xFF800000, 0x7FC00000, 0xFFC00001,
)  # fmt: skip
DOUBLE_EDGES = (
    0, 1 << 63, 1, 0x000FFFFFFFFFFFFF, 0x0010000000000000, 0x3FE0000000000000, 0x3FF0000000000000, 0xBFF8000000000000,
    0x41DFFFFFFFC00000, 0x41E0000000000000, 0xC1E0000000000000, 0x41EFFFFFFFE00000, 0x41F0000000000000,
    0x4330000000000001, 0x7FEFFFFFFFFFFFFF, 0x7FF0000000000000, 0xFFF0000000000000, 0x7FF8000000000000,
)  # fmt: skip
HALF_EDGES = (
    0, 0x8000, 1, 0x03FF, 0x0400, 0x3800, 0x3C00, 0xBC00, 0x3C01, 0x3E00, 0x4100, 0x6400, 0x7BFF, 0xFBFF, 0x7C00,
    0xFC00, 0x7E00,
)  # fmt: skip


def singles(seed: int) -> numpy.typing.NDArray[numpy.float32]:
    generator = numpy.random.default_rng(seed)
    words = generator.integers(0, 1 << 32, LANES, dtype=numpy.uint64).astype(numpy.uint32)
    near = generator.normal(0, 100, LANES).astype(F32).view(numpy.uint32)
    words[::2] = near[::2]
    for index, edge in enumerate(SINGLE_EDGES):
        words[(index * (1 + 2 * (seed % 5)) + 3 * seed) % LANES] = edge
    words[(words & 0x7FFFFFFF > 0x7F800000) & (words & 0x400000 == 0)] |= 0x400000  # no signaling NaNs here
    return words.view(F32)


def doubles(seed: int) -> numpy.typing.NDArray[numpy.float64]:
    generator = numpy.random.default_rng(seed)
    words = generator.integers(0, 1 << 64, LANES, dtype=numpy.uint64)
    words[::2] = generator.normal(0, 1e6, LANES).view(numpy.uint64)[::2]
    for index, edge in enumerate(DOUBLE_EDGES):
        words[(index * (1 + 2 * (seed % 5)) + 3 * seed) % LANES] = edge
    words[(words & numpy.uint64((1 << 63) - 1)) > numpy.uint64(0x7FF0000000000000)] = 0x7FF8000000000000
    return words.view(numpy.float64)


def halves(seed: int) -> numpy.typing.NDArray[numpy.float16]:
    generator = numpy.random.default_rng(seed)
    words = generator.integers(0, 1 << 16, LANES, dtype=numpy.uint64).astype(numpy.uint16)
    for index, edge in enumerate(HALF_EDGES):
        words[(index * (1 + 2 * (seed % 5)) + 3 * seed) % LANES] = edge
    words[(words & 0x7FFF) > 0x7C00] = 0x7E00
    return words.view(numpy.float16)


def same(actual: object, expected: object, dtype: str) -> None:
    """Equal bits, except that any NaN equals any other (payloads are unspecified)."""
    left = numpy.asarray(actual).view(dtype)
    right = numpy.asarray(expected).astype(dtype)
    width = {"float16": numpy.uint16, "float32": numpy.uint32, "float64": numpy.uint64}[dtype]
    equal = (left.view(width) == right.view(width)) | (numpy.isnan(left) & numpy.isnan(right))
    assert equal.all(), [(n, left[n], right[n], hex(left.view(width)[n])) for n in numpy.flatnonzero(~equal)[:5]]


def low_halves(words: numpy.typing.NDArray[numpy.uint32]) -> numpy.typing.NDArray[numpy.float16]:
    assert (words >> 16 == 0).all(), "a half-precision result has zeros above"
    return words.astype(numpy.uint16).view(numpy.float16)


def minimum(a: float, b: float) -> float:
    if math.isnan(a) or math.isnan(b):
        return b if math.isnan(a) else a
    return -0.0 if a == b == 0 and (math.copysign(1, a) < 0 or math.copysign(1, b) < 0) else min(a, b)


def maximum(a: float, b: float) -> float:
    return -minimum(-a, -b)


def exact_fma(a: float, b: float, c: float, round_to: Callable[[Fraction], float]) -> float:
    """One rounding of the exact a·b + c."""
    if not all(map(math.isfinite, (a, b, c))):
        return float(numpy.float64(a) * numpy.float64(b) + numpy.float64(c))
    exact = Fraction(a) * Fraction(b) + Fraction(c)
    if exact == 0:
        negative = math.copysign(1, a) * math.copysign(1, b) < 0 and math.copysign(1, c) < 0
        product_is_zero = Fraction(a) * Fraction(b) == 0
        return -0.0 if negative and product_is_zero and c == 0 else 0.0
    return round_to(exact)


def to_precision(bits: int, lowest: int, highest: int) -> Callable[[Fraction], float]:
    """Rounds a rational to nearest even in a format with `bits` of precision and exponents from lowest to highest."""

    def rounded(value: Fraction) -> float:
        magnitude = abs(value)
        exponent = magnitude.numerator.bit_length() - magnitude.denominator.bit_length()
        while Fraction(2) ** (exponent + 1) <= magnitude:
            exponent += 1
        while Fraction(2) ** exponent > magnitude:
            exponent -= 1
        unit = Fraction(2) ** (max(exponent, lowest) - bits + 1)
        out = round(magnitude / unit) * unit
        if out >= Fraction(2) ** (highest + 1):
            return math.inf if value > 0 else -math.inf
        return float(out) if value > 0 else -float(out)

    return rounded


SINGLE_ROUND = to_precision(24, -126, 127)
HALF_ROUND = to_precision(11, -14, 15)
DOUBLE_ROUND = to_precision(53, -1022, 1023)

TWO: dict[str, Callable[..., object]] = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "subrev": lambda a, b: b - a,
    "mul": lambda a, b: a * b,
    "min": lambda a, b: numpy.array([minimum(float(x), float(y)) for x, y in zip(a, b, strict=True)]),
    "max": lambda a, b: numpy.array([maximum(float(x), float(y)) for x, y in zip(a, b, strict=True)]),
}


@pytest.mark.parametrize("name", TWO)
def test_single_arithmetic(machine: Machine, name: str) -> None:
    for seed in range(6):
        a, b = singles(seed), singles(seed + 20)
        with numpy.errstate(all="ignore"):
            same(machine.run(f"v_{name}_f32_e32 v0, v1, v2", v={1: a, 2: b}).v(0), TWO[name](a, b), "float32")
            same(
                machine.run(f"v_{name}_f32_e64 v0, -v1, |v2|", v={1: a, 2: b}).v(0),
                TWO[name](-a, abs(b)),
                "float32",
            )
            two = numpy.full(LANES, F32(2))
            same(machine.run(f"v_{name}_f32_e32 v0, 2.0, v1", v={1: a}).v(0), TWO[name](two, a), "float32")
            same(machine.run(f"v_{name}_f32_e64 v0, -|v1|, s4", v={1: a}, s={4: 0x40000000}).v(0),
                 TWO[name](-abs(a), two), "float32")  # fmt: skip


@pytest.mark.parametrize("name", ["add", "mul", "min", "max"])
def test_double_arithmetic(machine: Machine, name: str) -> None:
    for seed in range(6):
        a, b = doubles(seed), doubles(seed + 20)
        loaded = dict(zip((2, 3, 4, 5), (*halves_of(a, "float64"), *halves_of(b, "float64")), strict=True))
        with numpy.errstate(all="ignore"):
            same(
                machine.run(f"v_{name}_f64 v[0:1], v[2:3], v[4:5]", v=loaded).wide(0),
                TWO[name](a, b),
                "float64",
            )
            same(
                machine.run(f"v_{name}_f64 v[0:1], -v[2:3], |v[4:5]|", v=loaded).wide(0),
                TWO[name](-a, abs(b)),
                "float64",
            )
            same(machine.run(f"v_{name}_f64 v[0:1], v[2:3], 0.5", v=loaded).wide(0),
                 TWO[name](a, numpy.full(LANES, 0.5)), "float64")  # fmt: skip


@pytest.mark.parametrize("name", TWO)
def test_half_arithmetic(machine: Machine, name: str) -> None:
    for seed in range(8):
        a, b = halves(seed), halves(seed + 20)
        loaded = {
            1: a.view(numpy.uint16).astype(numpy.uint32),
            2: b.view(numpy.uint16).astype(numpy.uint32) | 0xABCD0000,
        }
        with numpy.errstate(all="ignore"):
            done = machine.run(f"v_{name}_f16_e32 v0, v1, v2", v=loaded)
            same(low_halves(done.v(0)), TWO[name](a, b), "float16")
            done = machine.run(f"v_{name}_f16_e64 v0, -v1, |v2|", v=loaded)
            same(low_halves(done.v(0)), TWO[name](-a, abs(b)), "float16")


def test_fused_multiply_add_rounds_once(machine: Machine) -> None:
    for seed in range(6):
        a, b, c = singles(seed), singles(seed + 1), singles(seed + 2)
        c[::3] = -(a * b)[::3]
        c[numpy.isnan(c)] = F32(1)
        with numpy.errstate(all="ignore"):
            expected = [exact_fma(float(x), float(y), float(z), SINGLE_ROUND) for x, y, z in zip(a, b, c, strict=True)]
        loaded = {0: c, 1: a, 2: b, 3: c}
        same(machine.run("v_fma_f32 v0, v1, v2, v3", v=loaded).v(0), expected, "float32")
        same(machine.run("v_fmac_f32_e32 v0, v1, v2", v=loaded).v(0), expected, "float32")
        with numpy.errstate(all="ignore"):
            negated = [exact_fma(-float(x), float(y), -float(z), SINGLE_ROUND) for x, y, z in zip(a, b, c, strict=True)]
            literal = [exact_fma(float(x), 3.5, float(z), SINGLE_ROUND) for x, z in zip(a, c, strict=True)]
        same(machine.run("v_fma_f32 v0, -v1, v2, -v3", v=loaded).v(0), negated, "float32")
        same(machine.run("v_fmamk_f32 v0, v1, 0x40600000, v3", v=loaded).v(0), literal, "float32")
        same(machine.run("v_fmaak_f32 v0, v1, v2, 0x40600000", v=loaded).v(0),
             [exact_fma(float(x), float(y), 3.5, SINGLE_ROUND) for x, y in zip(a, b, strict=True)], "float32")  # fmt: skip


def test_double_fused_multiply_add(machine: Machine) -> None:
    for seed in range(3):
        a, b, c = doubles(seed), doubles(seed + 1), doubles(seed + 2)
        with numpy.errstate(all="ignore"):
            expected = [exact_fma(float(x), float(y), float(z), DOUBLE_ROUND) for x, y, z in zip(a, b, c, strict=True)]
        rows = (*halves_of(a, "float64"), *halves_of(b, "float64"), *halves_of(c, "float64"))
        loaded = dict(zip(range(2, 8), rows, strict=True))
        same(machine.run("v_fma_f64 v[0:1], v[2:3], v[4:5], v[6:7]", v=loaded).wide(0), expected, "float64")


def test_half_fused_multiply_add_keeps_the_other_half(machine: Machine) -> None:
    for seed in range(4):
        a, b, c = halves(seed), halves(seed + 1), halves(seed + 2)
        with numpy.errstate(all="ignore"):
            expected = [exact_fma(float(x), float(y), float(z), HALF_ROUND) for x, y, z in zip(a, b, c, strict=True)]
        loaded = {n: x.view(numpy.uint16).astype(numpy.uint32) for n, x in ((1, a), (2, b), (3, c))}
        done = machine.run("v_fma_f16 v0, v1, v2, v3", v=loaded | {0: 0x12345678}).v(0)
        assert (done >> 16 == 0x1234).all()
        same((done & 0xFFFF).astype(numpy.uint16).view(numpy.float16), expected, "float16")
        shifted = loaded | {0: 0x12345678, 1: loaded[1] << 16}
        done = machine.run("v_fma_f16 v0, v1, v2, v3 op_sel:[1,0,0,1]", v=shifted).v(0)
        assert (done & 0xFFFF == 0x5678).all()
        same((done >> 16).astype(numpy.uint16).view(numpy.float16), expected, "float16")


def test_signaling_nans_win_a_minimum_and_come_out_quiet(machine: Machine) -> None:
    loaded = {1: 0x7F800001, 2: 0x3F800000, 3: 0x7FC00055}
    assert machine.run("v_min_f32_e32 v0, v1, v2", v=loaded).v(0)[0] == 0x7FC00001
    assert machine.run("v_max_f32_e32 v0, v2, v1", v=loaded).v(0)[0] == 0x7FC00001
    assert machine.run("v_max_f32_e32 v0, v3, v2", v=loaded).v(0)[0] == 0x3F800000
    assert machine.run("v_max_f32_e32 v0, v1, v1", v=loaded).v(0)[0] == 0x7FC00001


ROUND: dict[str, Callable[..., object]] = {
    "trunc": numpy.trunc,
    "ceil": numpy.ceil,
    "floor": numpy.floor,
    "rndne": numpy.rint,
}


@pytest.mark.parametrize("name", ROUND)
def test_rounding_to_integers(machine: Machine, name: str) -> None:
    for seed in range(4):
        a, b, c = singles(seed), doubles(seed), halves(seed)
        a[:9] = numpy.array([0.5, 1.5, 2.5, -0.5, -1.5, 0.49999997, 8388607.5, -0.25, 0.75], dtype=F32)
        with numpy.errstate(all="ignore"):
            same(machine.run(f"v_{name}_f32_e32 v0, v1", v={1: a}).v(0), ROUND[name](a), "float32")
            low, high = halves_of(b, "float64")
            same(
                machine.run(f"v_{name}_f64_e32 v[0:1], v[2:3]", v={2: low, 3: high}).wide(0),
                ROUND[name](b),
                "float64",
            )
            done = machine.run(f"v_{name}_f16_e32 v0, v1", v={1: c.view(numpy.uint16).astype(numpy.uint32)})
            same(low_halves(done.v(0)), ROUND[name](c), "float16")


def test_fract_is_less_than_one(machine: Machine) -> None:
    a = singles(2)
    a[:4] = numpy.array([-1e-30, 1.75, -0.25, 1e30], dtype=F32)
    with numpy.errstate(all="ignore"):
        expected = numpy.minimum(a - numpy.floor(a), numpy.uint32(0x3F7FFFFF).view(F32))
    same(machine.run("v_fract_f32_e32 v0, v1", v={1: a}).v(0), expected, "float32")


def test_frexp_and_ldexp(machine: Machine) -> None:
    for seed in range(3):
        a = singles(seed)
        finite = numpy.isfinite(a)
        mantissa, exponent = numpy.frexp(a)
        done = machine.run("v_frexp_mant_f32_e32 v0, v2\nv_frexp_exp_i32_f32_e32 v1, v2\n", v={2: a})
        same(done.v(0), numpy.where(finite, mantissa, a), "float32")
        assert (done.v(1).view(numpy.int32) == numpy.where(finite, exponent, 0)).all()
        shifts = numpy.random.default_rng(seed).integers(-160, 160, LANES).astype(numpy.int32)
        with numpy.errstate(all="ignore"):
            same(
                machine.run("v_ldexp_f32 v0, v1, v2", v={1: a, 2: shifts}).v(0),
                numpy.ldexp(a, shifts),
                "float32",
            )


def integer(value: float, low: int, high: int) -> int:
    if math.isnan(value):
        return 0
    return high if value >= high else low if value <= low else int(value)


def test_conversions_to_integers_truncate_and_saturate(machine: Machine) -> None:
    for seed in range(6):
        a, b = singles(seed), doubles(seed)
        low, high = halves_of(b, "float64")
        signed = [integer(float(x), -(1 << 31), (1 << 31) - 1) for x in a]
        unsigned = [integer(float(x), 0, (1 << 32) - 1) for x in a]
        assert machine.run("v_cvt_i32_f32_e32 v0, v1", v={1: a}).v(0).view(numpy.int32).tolist() == signed
        assert machine.run("v_cvt_u32_f32_e32 v0, v1", v={1: a}).v(0).tolist() == unsigned
        done = machine.run("v_cvt_i32_f64_e32 v0, v[2:3]\nv_cvt_u32_f64_e32 v1, v[2:3]\n", v={2: low, 3: high})
        assert done.v(0).view(numpy.int32).tolist() == [integer(float(x), -(1 << 31), (1 << 31) - 1) for x in b]
        assert done.v(1).tolist() == [integer(float(x), 0, (1 << 32) - 1) for x in b]


def test_conversions_from_integers(machine: Machine) -> None:
    words = numpy.array(
        [0, 1, 0xFFFFFFFF, 0x7FFFFFFF, 0x80000000, 0x1000001, 0x1000003, 0xFFFFFF7F] * 8,
        dtype=numpy.uint32,
    )
    same(machine.run("v_cvt_f32_u32_e32 v0, v1", v={1: words}).v(0), words.astype(F32), "float32")
    same(
        machine.run("v_cvt_f32_i32_e32 v0, v1", v={1: words}).v(0),
        words.view(numpy.int32).astype(F32),
        "float32",
    )
    same(machine.run("v_cvt_f64_u32_e32 v[0:1], v2", v={2: words}).wide(0), words.astype(float), "float64")
    same(
        machine.run("v_cvt_f64_i32_e32 v[0:1], v2", v={2: words}).wide(0),
        words.view(numpy.int32).astype(float),
        "float64",
    )
    for byte in range(4):
        done = machine.run(f"v_cvt_f32_ubyte{byte}_e32 v0, v1", v={1: words})
        same(done.v(0), words >> 8 * byte & 0xFF, "float32")


def test_conversions_between_formats(machine: Machine) -> None:
    for seed in range(6):
        a, b, c = singles(seed), doubles(seed), halves(seed)
        low, high = halves_of(b, "float64")
        with numpy.errstate(all="ignore"):
            same(
                low_halves(machine.run("v_cvt_f16_f32_e32 v0, v1", v={1: a}).v(0)),
                a.astype(numpy.float16),
                "float16",
            )
            same(machine.run("v_cvt_f64_f32_e32 v[0:1], v2", v={2: a}).wide(0), a.astype(float), "float64")
            same(
                machine.run("v_cvt_f32_f64_e32 v0, v[2:3]", v={2: low, 3: high}).v(0),
                b.astype(F32),
                "float32",
            )
        words = c.view(numpy.uint16).astype(numpy.uint32)
        same(machine.run("v_cvt_f32_f16_e32 v0, v1", v={1: words | 0x77770000}).v(0), c.astype(F32), "float32")
        packed = machine.run("v_cvt_pkrtz_f16_f32 v0, v1, v2", v={1: a, 2: -a}).v(0)
        for half, source in ((packed & 0xFFFF, a), (packed >> 16, -a)):
            value = half.astype(numpy.uint16).view(numpy.float16).astype(float)
            wanted = source.astype(float)
            finite = numpy.isfinite(wanted)
            assert (abs(value[finite]) <= abs(wanted[finite])).all(), "rounds towards zero"
            limit = numpy.minimum(abs(wanted[finite]), 65504.0)
            assert (abs(value[finite]) >= limit * (1 - 2.0**-10) - 2.0**-24).all()


CLASSES = (  # bit, words
    (0, 0x7F800001), (1, 0x7FC00000), (2, 0xFF800000), (3, 0xBF800000), (4, 0x80000001), (5, 0x80000000), (6, 0),
    (7, 0x007FFFFF), (8, 0x3F800000), (9, 0x7F800000),
)  # fmt: skip


@pytest.mark.parametrize(("bit", "word"), CLASSES)
def test_class_tests(machine: Machine, bit: int, word: int) -> None:
    for tested in range(10):
        done = machine.run("v_cmp_class_f32_e64 vcc, v1, s4", v={1: word}, s={4: 1 << tested})
        assert done.vcc == (ALL if tested == bit else 0)


FLOAT_RELATIONS: dict[str, Callable[[float, float], bool]] = {
    "f": lambda a, b: False,
    "lt": lambda a, b: a < b,
    "eq": lambda a, b: a == b,
    "le": lambda a, b: a <= b,
    "gt": lambda a, b: a > b,
    "lg": lambda a, b: a < b or a > b,
    "ge": lambda a, b: a >= b,
    "o": lambda a, b: not (math.isnan(a) or math.isnan(b)),
    "u": lambda a, b: math.isnan(a) or math.isnan(b),
    "nge": lambda a, b: not a >= b,
    "nlg": lambda a, b: not (a < b or a > b),
    "ngt": lambda a, b: not a > b,
    "nle": lambda a, b: not a <= b,
    "neq": lambda a, b: a != b,
    "nlt": lambda a, b: not a < b,
    "tru": lambda a, b: True,
}


@pytest.mark.parametrize("relation", FLOAT_RELATIONS)
def test_float_comparisons(machine: Machine, relation: str) -> None:
    mask = 0xF0F0F0F0F0F0FFFF
    for seed in range(3):
        a, b = singles(seed), singles(seed + 1)
        b[::4] = a[::4]
        expected = sum(
            int(FLOAT_RELATIONS[relation](float(x), float(y))) << n for n, (x, y) in enumerate(zip(a, b, strict=True))
        )
        done = machine.run(f"v_cmp_{relation}_f32_e32 vcc, v1, v2", v={1: a, 2: b}, exec=mask, vcc=ALL)
        assert done.vcc == expected & mask
        with numpy.errstate(over="ignore"):
            wide = dict(zip((2, 3, 4, 5), (*halves_of(a, "float64"), *halves_of(b, "float64")), strict=True))
        done = machine.run(f"v_cmp_{relation}_f64_e64 s[10:11], v[2:3], v[4:5]", v=wide, read_s=(10, 11))
        assert done.pair(10) == expected
        negated = sum(
            int(FLOAT_RELATIONS[relation](-float(x), abs(float(y)))) << n
            for n, (x, y) in enumerate(zip(a, b, strict=True))
        )
        done = machine.run(f"v_cmp_{relation}_f32_e64 s[10:11], -v1, |v2|", v={1: a, 2: b}, read_s=(10, 11))
        assert done.pair(10) == negated


def test_median_of_three(machine: Machine) -> None:
    a, b, c = (numpy.random.default_rng(n).normal(0, 9, LANES).astype(F32) for n in range(3))
    done = machine.run("v_med3_f32 v0, v1, v2, v3", v={1: a, 2: b, 3: c})
    same(done.v(0), numpy.median([a, b, c], axis=0), "float32")
    done = machine.run("v_med3_f32 v0, v1, s4, s4", v={1: a}, s={4: 0x43700000})
    assert (done.v(0) == 0x43700000).all()
    done = machine.run("v_med3_f32 v0, v1, v2, v3", v={1: 0x7FC00000, 2: 0x3F800000, 3: 0x40000000})
    assert (done.v(0) == 0x3F800000).all(), "with a NaN it is the minimum of the others"


DIVISION_32 = """
v_div_scale_f32 v4, s[0:1], v3, v3, v2
v_rcp_f32_e32 v5, v4
v_fma_f32 v6, -v4, v5, 1.0
v_fmac_f32_e32 v5, v6, v5
v_div_scale_f32 v6, vcc, v2, v3, v2
v_mul_f32_e32 v7, v6, v5
v_fma_f32 v8, -v4, v7, v6
v_fmac_f32_e32 v7, v8, v5
v_fma_f32 v4, -v4, v7, v6
v_div_fmas_f32 v4, v4, v5, v7
v_div_fixup_f32 v0, v4, v3, v2
"""  # what compilers emit for n / d, with n in v2 and d in v3


@pytest.mark.parametrize("seed", range(8))
def test_single_division_is_correctly_rounded(machine: Machine, seed: int) -> None:
    n, d = singles(seed), singles(seed + 40)
    tiny = numpy.array(
        [0x00000001, 0x00000007, 0x00400000, 0x7F7FFFFF, 0x7E800000, 0x3F800000, 0x00800001, 0x34000000],
        dtype=numpy.uint32,
    )
    n[:8], d[:8] = tiny.view(F32), numpy.roll(tiny, seed).view(F32)
    n[8:16], d[8:16] = F32(1), tiny.view(F32)
    with numpy.errstate(all="ignore"):
        expected = n / d
    same(machine.run(DIVISION_32, v={2: n, 3: d}).v(0), expected, "float32")


DIVISION_64 = """
v_div_scale_f64 v[8:9], s[0:1], v[4:5], v[4:5], v[2:3]
v_rcp_f64_e32 v[10:11], v[8:9]
v_fma_f64 v[12:13], -v[8:9], v[10:11], 1.0
v_fmac_f64_e32 v[10:11], v[10:11], v[12:13]
v_fma_f64 v[12:13], -v[8:9], v[10:11], 1.0
v_fmac_f64_e32 v[10:11], v[10:11], v[12:13]
v_div_scale_f64 v[12:13], vcc, v[2:3], v[4:5], v[2:3]
v_mul_f64 v[14:15], v[12:13], v[10:11]
v_fma_f64 v[8:9], -v[8:9], v[14:15], v[12:13]
v_div_fmas_f64 v[8:9], v[8:9], v[10:11], v[14:15]
v_div_fixup_f64 v[0:1], v[8:9], v[4:5], v[2:3]
"""


@pytest.mark.parametrize("seed", range(8))
def test_double_division_is_correctly_rounded(machine: Machine, seed: int) -> None:
    n, d = doubles(seed), doubles(seed + 40)
    edges = numpy.array([1, 7, 0x0008000000000000, 0x7FEFFFFFFFFFFFFF, 0x7FD0000000000000, 0x3FF0000000000000,
                         0x0010000000000001, 0x3000000000000000], dtype=numpy.uint64)  # fmt: skip
    n[:8], d[:8] = edges.view(float), numpy.roll(edges, seed).view(float)
    with numpy.errstate(all="ignore"):
        expected = n / d
    loaded = dict(zip((2, 3, 4, 5), (*halves_of(n, "float64"), *halves_of(d, "float64")), strict=True))
    same(machine.run(DIVISION_64, v=loaded).wide(0), expected, "float64")


def test_approximations_are_within_one_unit(machine: Machine) -> None:
    a = abs(numpy.random.default_rng(5).normal(1, 3, LANES).astype(F32)) + F32(0.01)
    x = a.astype(float)
    for name, expected in (("rcp", 1 / x), ("rsq", 1 / numpy.sqrt(x)), ("sqrt", numpy.sqrt(x)), ("exp", numpy.exp2(x)),
                           ("log", numpy.log2(x))):  # fmt: skip
        actual = machine.run(f"v_{name}_f32_e32 v0, v1", v={1: a}).v(0).view(F32).astype(float)
        unit = numpy.spacing(abs(expected).astype(F32)).astype(float)
        assert (abs(actual - expected) <= unit).all(), name
    for name, function in (("sin", numpy.sin), ("cos", numpy.cos)):
        actual = machine.run(f"v_{name}_f32_e32 v0, v1", v={1: a}).v(0).view(F32).astype(float)
        assert (abs(actual - function(2 * numpy.pi * x)) < 1e-6).all(), name


def test_approximations_flush_denormals(machine: Machine) -> None:
    loaded = {1: 0x00000001, 2: 0x7F7FFFFF, 3: 0x80000001}
    assert machine.run("v_rcp_f32_e32 v0, v1", v=loaded).v(0)[0] == 0x7F800000
    assert machine.run("v_rcp_f32_e32 v0, v3", v=loaded).v(0)[0] == 0xFF800000
    assert machine.run("v_rcp_f32_e32 v0, v2", v=loaded).v(0)[0] == 0
    assert machine.run("v_log_f32_e32 v0, v1", v=loaded).v(0)[0] == 0xFF800000


def test_output_modifiers_and_clamp(machine: Machine) -> None:
    a = numpy.array([0.25, -1.0, 0.75, 3.0, numpy.nan, numpy.inf, -0.0, 1.0] * 8, dtype=F32)
    same(machine.run("v_add_f32_e64 v0, v1, v1 mul:2", v={1: a}).v(0), a * 4, "float32")
    same(machine.run("v_add_f32_e64 v0, v1, v1 mul:4", v={1: a}).v(0), a * 8, "float32")
    same(machine.run("v_add_f32_e64 v0, v1, v1 div:2", v={1: a}).v(0), a, "float32")
    clamped = numpy.nan_to_num(numpy.clip(a, 0, 1), nan=0.0) + 0.0
    same(machine.run("v_max_f32_e64 v0, v1, v1 clamp", v={1: a}).v(0), clamped, "float32")
    kept = numpy.where(numpy.isnan(a), a, clamped)
    same(
        machine.run("v_max_f32_e64 v0, v1, v1 clamp", v={1: a}, s={MODE: 0x2F0}).v(0), kept, "float32"
    )  # no dx10_clamp


@pytest.mark.parametrize(("round_mode", "up", "down"), [(0, 0, 0), (1, 1, 0), (2, 0, 1), (3, 0, 0)])
def test_mode_rounds_single_and_double_apart(machine: Machine, round_mode: int, up: int, down: int) -> None:
    """1 + 2^-25 and −1 − 2^-25 are a quarter of a unit away from ±1."""
    loaded = {1: 0x3F800000, 2: 0x33000000, 3: 0xBF800000, 4: 0xB3000000}
    text = "v_add_f32_e32 v0, v1, v2\nv_add_f32_e32 v1, v3, v4\n"
    done = machine.run(text, v=loaded, s={MODE: 0x3F0 | round_mode})
    assert (done.v(0)[0], done.v(1)[0]) == (0x3F800000 + up, 0xBF800000 + down)
    done = machine.run(text, v=loaded, s={MODE: 0x3F0 | round_mode << 2})
    assert (done.v(0)[0], done.v(1)[0]) == (0x3F800000, 0xBF800000), "the double field does not matter here"


def test_mode_flushes_denormals_of_its_format(machine: Machine) -> None:
    small = {1: 0x00400000, 2: 0x3F800000, 4: 0, 5: 0x00080000}
    text = "v_mul_f32_e32 v0, v1, v2\n"
    assert machine.run(text, v=small, s={MODE: 0x3F0}).v(0)[0] == 0x00400000
    assert machine.run(text, v=small, s={MODE: 0x3C0}).v(0)[0] == 0
    assert machine.run("v_max_f32_e32 v0, v1, v1", v=small, s={MODE: 0x3C0}).v(0)[0] == 0
    assert (
        machine.run("v_add_f64 v[2:3], v[4:5], 0", v=small, s={MODE: 0x3C0}, read_v=(2, 3)).wide(2)[0]
        == 0x0008000000000000
    )
    assert machine.run("v_add_f64 v[2:3], v[4:5], 0", v=small, s={MODE: 0x330}, read_v=(2, 3)).wide(2)[0] == 0


def test_lanes_that_are_disabled_keep_their_values(machine: Machine) -> None:
    for mask in (0, 1, 0x8000000000000001, 0x00FF00FF00FF00FF):
        done = machine.run(
            "v_add_f32_e32 v0, v1, v1\nv_fma_f64 v[2:3], v[4:5], 1.0, 1.0",
            v={0: 7, 1: F32(1), 2: 8, 3: 9, 4: 0, 5: 0},
            exec=mask,
            read_v=(0, 2, 3),
            vcc=3,
        )
        for lane in range(LANES):
            enabled = mask >> lane & 1
            assert done.v(0)[lane] == (0x40000000 if enabled else 7)
            assert (done.v(2)[lane], done.v(3)[lane]) == ((0, 0x3FF00000) if enabled else (8, 9))
        assert done.vcc == 3
        assert done.scc == 0
        assert VCC != SCC


@given(a=st.floats(width=32), b=st.floats(width=32), c=st.floats(width=32))
@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_fused_multiply_add(machine: Machine, a: float, b: float, c: float) -> None:
    with numpy.errstate(all="ignore"):
        expected = numpy.full(LANES, exact_fma(a, b, c, SINGLE_ROUND), dtype=F32)
    done = machine.run("v_fma_f32 v0, v1, v2, v3", v={1: F32(a), 2: F32(b), 3: F32(c)})
    same(done.v(0), expected, "float32")
