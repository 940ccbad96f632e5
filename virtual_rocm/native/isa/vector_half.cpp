// SPDX-License-Identifier: MIT
//
// Half-precision arithmetic, and 16-bit integers. Results have zeros in the upper half, except those of the
// instructions that select a half of their destination (modified<> keeps the other).
#include "isa/floats.hpp"

namespace virtual_rocm::isa {
namespace {

using u32 = std::uint32_t;
using i32 = std::int32_t;

// In double precision the product is exact and the sum's rounding cannot disturb the one to half precision.
u32 fma_f16(u32 a, u32 b, u32 c) {
  const double product = static_cast<double>(half_to_float(a)) * static_cast<double>(half_to_float(b));
  return double_to_half(product + static_cast<double>(half_to_float(c)));
}

// v_mad rounds the product first.
u32 mad_f16(u32 a, u32 b, u32 c) {
  return float_to_half(half_to_float(float_to_half(half_to_float(a) * half_to_float(b))) + half_to_float(c));
}

u32 ldexp_f16(u32 a, u32 b) {
  return double_to_half(std::ldexp(static_cast<double>(half_to_float(a)), static_cast<std::int16_t>(b)));
}
u32 frexp_exp_f16(u32 a) { return frexp_exponent<Half>(a) & 0xffff; }

i32 s(u32 value) { return static_cast<std::int16_t>(value); }
u32 low(u32 value) { return value & 0xffff; }
u32 low(i32 value) { return static_cast<u32>(value) & 0xffff; }

u32 add_u16(u32 a, u32 b) { return low(a + b); }
u32 sub_u16(u32 a, u32 b) { return low(a - b); }
u32 subrev_u16(u32 a, u32 b) { return low(b - a); }
u32 mul_lo_u16(u32 a, u32 b) { return low(low(a) * low(b)); }
u32 lshlrev_b16(u32 a, u32 b) { return low(b << (a & 15)); }
u32 lshrrev_b16(u32 a, u32 b) { return low(b) >> (a & 15); }
u32 ashrrev_i16(u32 a, u32 b) { return low(s(b) >> (a & 15)); }
u32 min_i16(u32 a, u32 b) { return low(s(a) < s(b) ? a : b); }
u32 max_i16(u32 a, u32 b) { return low(s(a) > s(b) ? a : b); }
u32 min_u16(u32 a, u32 b) { return low(a) < low(b) ? low(a) : low(b); }
u32 max_u16(u32 a, u32 b) { return low(a) > low(b) ? low(a) : low(b); }
u32 mad_16(u32 a, u32 b, u32 c) { return low(low(a) * low(b) + c); }
u32 mad_u32_u16(u32 a, u32 b, u32 c) { return low(a) * low(b) + c; }
u32 mad_i32_i16(u32 a, u32 b, u32 c) { return static_cast<u32>(s(a) * s(b)) + c; }
u32 min3_i16(u32 a, u32 b, u32 c) { return min_i16(min_i16(a, b), c); }
u32 max3_i16(u32 a, u32 b, u32 c) { return max_i16(max_i16(a, b), c); }
u32 med3_i16(u32 a, u32 b, u32 c) { return max_i16(min_i16(a, b), min_i16(max_i16(a, b), c)); }
u32 min3_u16(u32 a, u32 b, u32 c) { return min_u16(min_u16(a, b), c); }
u32 max3_u16(u32 a, u32 b, u32 c) { return max_u16(max_u16(a, b), c); }
u32 med3_u16(u32 a, u32 b, u32 c) { return max_u16(min_u16(a, b), min_u16(max_u16(a, b), c)); }

u32 saturate_u(u32 value) { return value > 0xffff ? 0xffff : value; }
u32 saturate_i(std::int64_t value) {
  return low(static_cast<i32>(value > 0x7fff ? 0x7fff : value < -0x8000 ? -0x8000 : value));
}
u32 add_sat_u16(u32 a, u32 b) { return saturate_u(low(a) + low(b)); }
u32 sub_sat_u16(u32 a, u32 b) { return low(a) < low(b) ? 0 : low(a) - low(b); }
u32 subrev_sat_u16(u32 a, u32 b) { return sub_sat_u16(b, a); }
u32 add_sat_i16(u32 a, u32 b) { return saturate_i(s(a) + s(b)); }
u32 sub_sat_i16(u32 a, u32 b) { return saturate_i(s(a) - s(b)); }
u32 mad_sat_u16(u32 a, u32 b, u32 c) {
  const std::uint64_t sum = static_cast<std::uint64_t>(low(a)) * low(b) + low(c);
  return sum > 0xffff ? 0xffff : static_cast<u32>(sum);
}
u32 mad_sat_i16(u32 a, u32 b, u32 c) { return saturate_i(static_cast<std::int64_t>(s(a)) * s(b) + s(c)); }

u32 pack_f16(u32 a, u32 b) { return low(a) | b << 16; }

}  // namespace

void add_half(HandlerTable& table) {
  using enum Opcode;
  constexpr Rounding kWide = Rounding::wide;
  table.add<add<Half>, kWide>(v_add_f16);
  table.add<sub<Half>, kWide>(v_sub_f16);
  table.add<subrev<Half>, kWide>(v_subrev_f16);
  table.add<mul<Half>, kWide>(v_mul_f16);
  table.add<minimum<Half>, kWide>(v_min_f16);
  table.add<maximum<Half>, kWide>(v_max_f16);
  table.add_modified<min3<Half>, kWide>(v_min3_f16);
  table.add_modified<max3<Half>, kWide>(v_max3_f16);
  table.add_modified<med3<Half>, kWide>(v_med3_f16);
  table.add_modified<fma_f16, kWide>(v_fma_f16);
  table.add_modified<fma_f16, kWide>(v_fma_legacy_f16);
  table.add_modified<mad_f16, kWide>(v_mad_f16);
  table.add_modified<mad_f16, kWide>(v_mad_legacy_f16);
  table.add<mad_f16, kWide>(v_mac_f16);
  table.add<mad_f16, kWide>(v_madmk_f16);
  table.add<mad_f16, kWide>(v_madak_f16);
  table.add<ldexp_f16, kWide>(v_ldexp_f16);
  table.add<trunc<Half>, kWide>(v_trunc_f16);
  table.add<ceil<Half>, kWide>(v_ceil_f16);
  table.add<floor<Half>, kWide>(v_floor_f16);
  table.add<round_even<Half>, kWide>(v_rndne_f16);
  table.add<fract<Half>, kWide>(v_fract_f16);
  table.add<frexp_mantissa<Half>, kWide>(v_frexp_mant_f16);
  table.add<frexp_exp_f16, kWide>(v_frexp_exp_i16_f16);
  table.add_modified<pack_f16, kWide>(v_pack_b32_f16);
}

void add_integer_16(HandlerTable& table) {
  using enum Opcode;
  table.add<add_u16>(v_add_u16);
  table.add<sub_u16>(v_sub_u16);
  table.add<subrev_u16>(v_subrev_u16);
  table.saturate<add_sat_u16>(v_add_u16);
  table.saturate<sub_sat_u16>(v_sub_u16);
  table.saturate<subrev_sat_u16>(v_subrev_u16);
  table.add<mul_lo_u16>(v_mul_lo_u16);
  table.add<lshlrev_b16>(v_lshlrev_b16);
  table.add<lshrrev_b16>(v_lshrrev_b16);
  table.add<ashrrev_i16>(v_ashrrev_i16);
  table.add<min_i16>(v_min_i16);
  table.add<max_i16>(v_max_i16);
  table.add<min_u16>(v_min_u16);
  table.add<max_u16>(v_max_u16);
  table.add_modified<add_u16>(v_add_i16);
  table.add_modified<sub_u16>(v_sub_i16);
  table.saturate<add_sat_i16>(v_add_i16);
  table.saturate<sub_sat_i16>(v_sub_i16);
  table.add_modified<mad_16>(v_mad_u16);
  table.add_modified<mad_16>(v_mad_i16);
  table.add_modified<mad_16>(v_mad_legacy_u16);
  table.add_modified<mad_16>(v_mad_legacy_i16);
  table.saturate<mad_sat_u16>(v_mad_u16);
  table.saturate<mad_sat_i16>(v_mad_i16);
  table.saturate<mad_sat_u16>(v_mad_legacy_u16);
  table.saturate<mad_sat_i16>(v_mad_legacy_i16);
  table.add_modified<mad_u32_u16>(v_mad_u32_u16);
  table.add_modified<mad_i32_i16>(v_mad_i32_i16);
  table.add_modified<min3_i16>(v_min3_i16);
  table.add_modified<max3_i16>(v_max3_i16);
  table.add_modified<med3_i16>(v_med3_i16);
  table.add_modified<min3_u16>(v_min3_u16);
  table.add_modified<max3_u16>(v_max3_u16);
  table.add_modified<med3_u16>(v_med3_u16);
}

}  // namespace virtual_rocm::isa
