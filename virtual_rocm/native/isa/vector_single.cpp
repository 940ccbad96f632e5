// SPDX-License-Identifier: MIT
//
// Single-precision arithmetic. The host's IEEE arithmetic is the GPU's, its default NaN included.
#include "isa/floats.hpp"

namespace virtual_rocm::isa {

namespace {

using u32 = std::uint32_t;

u32 fma_f32(u32 a, u32 b, u32 c) { return as_bits(__builtin_fmaf(as_float(a), as_float(b), as_float(c))); }

// Zero times anything is zero.
u32 mul_legacy(u32 a, u32 b) {
  const float x = as_float(a);
  const float y = as_float(b);
  return x == 0 || y == 0 ? 0 : as_bits(x * y);
}

u32 cube_id(u32 a, u32 b, u32 c) {
  const float x = as_float(a), y = as_float(b), z = as_float(c);
  if (std::abs(z) >= std::abs(x) && std::abs(z) >= std::abs(y)) return as_bits(z < 0 ? 5.0f : 4.0f);
  if (std::abs(y) >= std::abs(x)) return as_bits(y < 0 ? 3.0f : 2.0f);
  return as_bits(x < 0 ? 1.0f : 0.0f);
}
u32 cube_ma(u32 a, u32 b, u32 c) {
  const float x = as_float(a), y = as_float(b), z = as_float(c);
  if (std::abs(z) >= std::abs(x) && std::abs(z) >= std::abs(y)) return as_bits(2 * z);
  return as_bits(std::abs(y) >= std::abs(x) ? 2 * y : 2 * x);
}
u32 cube_sc(u32 a, u32 b, u32 c) {
  const float x = as_float(a), y = as_float(b), z = as_float(c);
  if (std::abs(z) >= std::abs(x) && std::abs(z) >= std::abs(y)) return as_bits(z < 0 ? -x : x);
  if (std::abs(y) >= std::abs(x)) return as_bits(x);
  return as_bits(x < 0 ? z : -z);
}
u32 cube_tc(u32 a, u32 b, u32 c) {
  const float x = as_float(a), y = as_float(b), z = as_float(c);
  if (std::abs(z) >= std::abs(x) && std::abs(z) >= std::abs(y)) return as_bits(-y);
  if (std::abs(y) >= std::abs(x)) return as_bits(y < 0 ? -z : z);
  return as_bits(-y);
}

constexpr Rounding kSingle = Rounding::single;

}  // namespace

void add_single(HandlerTable& table) {
  using enum Opcode;
  table.add_signed<add<Single>, kSingle>(v_add_f32);
  table.add_signed<sub<Single>, kSingle>(v_sub_f32);
  table.add<subrev<Single>, kSingle>(v_subrev_f32);
  table.add_signed<mul<Single>, kSingle>(v_mul_f32);
  table.add<mul_legacy, kSingle>(v_mul_legacy_f32);
  table.add<minimum<Single>, kSingle>(v_min_f32);
  table.add_signed<maximum<Single>, kSingle>(v_max_f32);
  table.add<min3<Single>, kSingle>(v_min3_f32);
  table.add<max3<Single>, kSingle>(v_max3_f32);
  table.add<med3<Single>, kSingle>(v_med3_f32);
  table.add_signed<fma_f32, kSingle>(v_fma_f32);
  table.add<fma_f32, kSingle>(v_fmac_f32);
  table.add<fma_f32, kSingle>(v_fmamk_f32);
  table.add<fma_f32, kSingle>(v_fmaak_f32);
  table.add<trunc<Single>, kSingle>(v_trunc_f32);
  table.add<ceil<Single>, kSingle>(v_ceil_f32);
  table.add<floor<Single>, kSingle>(v_floor_f32);
  table.add<round_even<Single>, kSingle>(v_rndne_f32);
  table.add<fract<Single>, kSingle>(v_fract_f32);
  table.add<frexp_mantissa<Single>, kSingle>(v_frexp_mant_f32);
  table.add<frexp_exponent<Single>, kSingle>(v_frexp_exp_i32_f32);
  table.add<ldexp<Single>, kSingle>(v_ldexp_f32);
  table.add_modified<cube_id, kSingle>(v_cubeid_f32);
  table.add_modified<cube_ma, kSingle>(v_cubema_f32);
  table.add_modified<cube_sc, kSingle>(v_cubesc_f32);
  table.add_modified<cube_tc, kSingle>(v_cubetc_f32);
}

}  // namespace virtual_rocm::isa
