// SPDX-License-Identifier: MIT
//
// VOP3P: two 16-bit values in a register or two single-precision values in a pair, mixed precision, and dot
// products.
#include "isa/floats.hpp"

namespace virtual_rocm::isa {
namespace {

using u32 = std::uint32_t;
using u64 = std::uint64_t;
using i32 = std::int32_t;

// Makes a packed function of one on 16-bit words.
template <u32 (*kFunction)(u32, u32)>
u32 halves(u32 a, u32 b) {
  return (kFunction(a & 0xffff, b & 0xffff) & 0xffff) | kFunction(a >> 16, b >> 16) << 16;
}
template <u32 (*kFunction)(u32, u32, u32)>
u32 halves3(u32 a, u32 b, u32 c) {
  return (kFunction(a & 0xffff, b & 0xffff, c & 0xffff) & 0xffff) | kFunction(a >> 16, b >> 16, c >> 16)
                                                                        << 16;
}

i32 s(u32 value) { return static_cast<std::int16_t>(value); }
u32 u(i32 value) { return static_cast<u32>(value); }
u32 clamp_i(i32 value) { return u(value > 0x7fff ? 0x7fff : value < -0x8000 ? -0x8000 : value); }

u32 add_i(u32 a, u32 b) { return a + b; }
u32 sub_i(u32 a, u32 b) { return a - b; }
u32 mul_lo(u32 a, u32 b) { return a * b; }
u32 lshlrev(u32 a, u32 b) { return b << (a & 15); }
u32 lshrrev(u32 a, u32 b) { return b >> (a & 15); }
u32 ashrrev(u32 a, u32 b) { return u(s(b) >> (a & 15)); }
u32 min_i(u32 a, u32 b) { return s(a) < s(b) ? a : b; }
u32 max_i(u32 a, u32 b) { return s(a) > s(b) ? a : b; }
u32 min_u(u32 a, u32 b) { return a < b ? a : b; }
u32 max_u(u32 a, u32 b) { return a > b ? a : b; }
u32 mad(u32 a, u32 b, u32 c) { return a * b + c; }
u32 add_sat_i(u32 a, u32 b) { return clamp_i(s(a) + s(b)); }
u32 sub_sat_i(u32 a, u32 b) { return clamp_i(s(a) - s(b)); }
u32 add_sat_u(u32 a, u32 b) { return a + b > 0xffff ? 0xffff : a + b; }
u32 sub_sat_u(u32 a, u32 b) { return a < b ? 0 : a - b; }
u32 mad_sat_u(u32 a, u32 b, u32 c) {
  const u64 sum = static_cast<u64>(a) * b + c;
  return sum > 0xffff ? 0xffff : static_cast<u32>(sum);
}
u32 mad_sat_i(u32 a, u32 b, u32 c) {
  const std::int64_t sum = static_cast<std::int64_t>(s(a)) * s(b) + s(c);
  return u(sum > 0x7fff ? 0x7fff : sum < -0x8000 ? -0x8000 : static_cast<i32>(sum));
}
u32 fma_f16(u32 a, u32 b, u32 c) {
  const double product = static_cast<double>(half_to_float(a)) * static_cast<double>(half_to_float(b));
  return double_to_half(product + static_cast<double>(half_to_float(c)));
}

Pair pk_add(Pair a, Pair b) { return {add<Single>(a.low, b.low), add<Single>(a.high, b.high)}; }
Pair pk_mul(Pair a, Pair b) { return {mul<Single>(a.low, b.low), mul<Single>(a.high, b.high)}; }
u32 fma_f32(u32 a, u32 b, u32 c) { return as_bits(__builtin_fmaf(as_float(a), as_float(b), as_float(c))); }
Pair pk_fma(Pair a, Pair b, Pair c) {
  return {fma_f32(a.low, b.low, c.low), fma_f32(a.high, b.high, c.high)};
}

u32 fma_to_half(u32 a, u32 b, u32 c) { return float_to_half(as_float(fma_f32(a, b, c))); }

u32 dot2_f32(u32 a, u32 b, u32 c) {
  const float high_product = half_to_float(a >> 16) * half_to_float(b >> 16);  // exact
  return as_bits(__builtin_fmaf(half_to_float(a), half_to_float(b), high_product + as_float(c)));
}
u32 dot2_i32(u32 a, u32 b, u32 c) { return u(s(a) * s(b)) + u(s(a >> 16) * s(b >> 16)) + c; }
u32 dot2_u32(u32 a, u32 b, u32 c) { return (a & 0xffff) * (b & 0xffff) + (a >> 16) * (b >> 16) + c; }
template <unsigned kBits, bool kSigned>
u32 dot(u32 a, u32 b, u32 c) {
  for (unsigned at = 0; at < 32; at += kBits) {
    const u32 left = a << (32 - kBits - at);
    const u32 right = b << (32 - kBits - at);
    c += kSigned ? u((static_cast<i32>(left) >> (32 - kBits)) * (static_cast<i32>(right) >> (32 - kBits)))
                 : (left >> (32 - kBits)) * (right >> (32 - kBits));
  }
  return c;
}

// The low result is a half of source 0, the high one a half of source 1, as op_sel says.
const Operation* pk_move(const Operation* operation, Wave* wave) {
  const Instruction& instruction = operation->instruction;
  ModifiedOperands operands;
  Operation plain = *operation;
  plain.instruction.op_sel = 0;
  plain.instruction.op_sel_hi = 7;
  load_modified(plain, *wave, 0, operands);
  load_modified(plain, *wave, 1, operands);
  const unsigned first = instruction.op_sel & 1 ? kLanes : 0;
  const unsigned second = instruction.op_sel & 2 ? kLanes : 0;
  for (unsigned lane = 0; lane < kLanes; ++lane) {
    operands.result[lane] = operands.source[0][first + lane];
    operands.result[kLanes + lane] = operands.source[1][second + lane];
  }
  store_modified(plain, *wave, operands);
  return operation + 1;
}

void add_half_precision(HandlerTable& table) {
  using enum Opcode;
  constexpr Rounding kWide = Rounding::wide;
  table.add<halves<add<Half>>, kWide>(v_pk_add_f16);
  table.add<halves<mul<Half>>, kWide>(v_pk_mul_f16);
  table.add<halves<minimum<Half>>, kWide>(v_pk_min_f16);
  table.add<halves<maximum<Half>>, kWide>(v_pk_max_f16);
  table.add<halves3<fma_f16>, kWide>(v_pk_fma_f16);
  table.add<halves3<fma_f16>, kWide>(v_pk_fmac_f16);
}

void add_integer_halves(HandlerTable& table) {
  using enum Opcode;
  table.add<halves<add_i>>(v_pk_add_i16);
  table.add<halves<add_i>>(v_pk_add_u16);
  table.add<halves<sub_i>>(v_pk_sub_i16);
  table.add<halves<sub_i>>(v_pk_sub_u16);
  table.saturate<halves<add_sat_i>>(v_pk_add_i16);
  table.saturate<halves<add_sat_u>>(v_pk_add_u16);
  table.saturate<halves<sub_sat_i>>(v_pk_sub_i16);
  table.saturate<halves<sub_sat_u>>(v_pk_sub_u16);
  table.add<halves<mul_lo>>(v_pk_mul_lo_u16);
  table.add<halves<lshlrev>>(v_pk_lshlrev_b16);
  table.add<halves<lshrrev>>(v_pk_lshrrev_b16);
  table.add<halves<ashrrev>>(v_pk_ashrrev_i16);
  table.add<halves<min_i>>(v_pk_min_i16);
  table.add<halves<max_i>>(v_pk_max_i16);
  table.add<halves<min_u>>(v_pk_min_u16);
  table.add<halves<max_u>>(v_pk_max_u16);
  table.add<halves3<mad>>(v_pk_mad_i16);
  table.add<halves3<mad>>(v_pk_mad_u16);
  table.saturate<halves3<mad_sat_i>>(v_pk_mad_i16);
  table.saturate<halves3<mad_sat_u>>(v_pk_mad_u16);
}

}  // namespace

void add_packed(HandlerTable& table) {
  using enum Opcode;
  add_half_precision(table);
  add_integer_halves(table);
  table.add<pk_add, Rounding::single>(v_pk_add_f32);
  table.add<pk_mul, Rounding::single>(v_pk_mul_f32);
  table.add<pk_fma, Rounding::single>(v_pk_fma_f32);
  table[v_pk_mov_b32].sources = 2;
  table[v_pk_mov_b32].modified = &pk_move;
  table.add_modified<fma_f32, Rounding::single>(v_fma_mix_f32);
  table.add_modified<fma_to_half, Rounding::single>(v_fma_mixlo_f16);
  table.add_modified<fma_to_half, Rounding::single>(v_fma_mixhi_f16);
  table.add_modified<dot2_f32, Rounding::single>(v_dot2_f32_f16);
  table.add_modified<dot2_f32, Rounding::single>(v_dot2c_f32_f16);
  table.add_modified<dot2_i32>(v_dot2_i32_i16);
  table.add_modified<dot2_i32>(v_dot2c_i32_i16);
  table.add_modified<dot2_u32>(v_dot2_u32_u16);
  table.add_modified<dot<8, true>>(v_dot4_i32_i8);
  table.add_modified<dot<8, true>>(v_dot4c_i32_i8);
  table.add_modified<dot<8, false>>(v_dot4_u32_u8);
  table.add_modified<dot<4, true>>(v_dot8_i32_i4);
  table.add_modified<dot<4, true>>(v_dot8c_i32_i4);
  table.add_modified<dot<4, false>>(v_dot8_u32_u4);
}

}  // namespace virtual_rocm::isa
