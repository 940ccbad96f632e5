// SPDX-License-Identifier: MIT
//
// 32-bit integer and bit instructions with up to two sources.
#include <bit>

#include "isa/handlers.hpp"

namespace virtual_rocm::isa {
namespace {

using u32 = std::uint32_t;
using u64 = std::uint64_t;
using i32 = std::int32_t;
using i64 = std::int64_t;

constexpr u32 kNotFound = 0xffffffff;

i32 s(u32 value) { return static_cast<i32>(value); }
u32 u(i32 value) { return static_cast<u32>(value); }
i32 low24(u32 value) { return s(value << 8) >> 8; }
u32 ulow24(u32 value) { return value & 0xffffff; }

u32 mov(u32 a) { return a; }
Pair mov64(Pair a) { return a; }
u32 bit_not(u32 a) { return ~a; }
u32 add(u32 a, u32 b) { return a + b; }
u32 sub(u32 a, u32 b) { return a - b; }
u32 subrev(u32 a, u32 b) { return b - a; }
u32 bit_and(u32 a, u32 b) { return a & b; }
u32 bit_or(u32 a, u32 b) { return a | b; }
u32 bit_xor(u32 a, u32 b) { return a ^ b; }
u32 bit_xnor(u32 a, u32 b) { return ~(a ^ b); }
u32 min_i(u32 a, u32 b) { return s(a) < s(b) ? a : b; }
u32 max_i(u32 a, u32 b) { return s(a) > s(b) ? a : b; }
u32 min_u(u32 a, u32 b) { return a < b ? a : b; }
u32 max_u(u32 a, u32 b) { return a > b ? a : b; }
u32 lshlrev(u32 a, u32 b) { return b << (a & 31); }
u32 lshrrev(u32 a, u32 b) { return b >> (a & 31); }
u32 ashrrev(u32 a, u32 b) { return u(s(b) >> (a & 31)); }
u32 mul_lo(u32 a, u32 b) { return a * b; }
u32 mul_hi_u(u32 a, u32 b) { return static_cast<u32>(static_cast<u64>(a) * b >> 32); }
u32 mul_hi_i(u32 a, u32 b) { return static_cast<u32>(static_cast<i64>(s(a)) * s(b) >> 32); }
u32 mul_i24(u32 a, u32 b) { return u(low24(a)) * u(low24(b)); }
u32 mul_u24(u32 a, u32 b) { return ulow24(a) * ulow24(b); }
u32 mul_hi_i24(u32 a, u32 b) { return static_cast<u32>(static_cast<i64>(low24(a)) * low24(b) >> 32); }
u32 mul_hi_u24(u32 a, u32 b) { return static_cast<u32>(static_cast<u64>(ulow24(a)) * ulow24(b) >> 32); }
u32 bfm(u32 a, u32 b) { return ((1u << (a & 31)) - 1) << (b & 31); }
u32 bcnt(u32 a, u32 b) { return count_bits(a) + b; }

u32 reverse(u32 a) {
  a = (a >> 1 & 0x55555555) | (a & 0x55555555) << 1;
  a = (a >> 2 & 0x33333333) | (a & 0x33333333) << 2;
  a = (a >> 4 & 0x0f0f0f0f) | (a & 0x0f0f0f0f) << 4;
  a = (a >> 8 & 0x00ff00ff) | (a & 0x00ff00ff) << 8;
  return a >> 16 | a << 16;
}

u32 first_high(u32 a) { return a == 0 ? kNotFound : static_cast<u32>(std::countl_zero(a)); }
u32 first_low(u32 a) { return a == 0 ? kNotFound : static_cast<u32>(std::countr_zero(a)); }
// The first bit, from the top, that differs from the sign.
u32 first_high_signed(u32 a) { return first_high(s(a) < 0 ? ~a : a); }

u32 add_sat_u(u32 a, u32 b) { return a + b < a ? 0xffffffff : a + b; }
u32 sub_sat_u(u32 a, u32 b) { return a < b ? 0 : a - b; }
u32 subrev_sat_u(u32 a, u32 b) { return sub_sat_u(b, a); }
u32 clamp_i(i64 value) {
  return u(value > INT32_MAX ? INT32_MAX : value < INT32_MIN ? INT32_MIN : static_cast<i32>(value));
}
u32 add_sat_i(u32 a, u32 b) { return clamp_i(static_cast<i64>(s(a)) + s(b)); }
u32 sub_sat_i(u32 a, u32 b) { return clamp_i(static_cast<i64>(s(a)) - s(b)); }

u32 pack_u16(u32 a, u32 b) { return (a < 0xffff ? a : 0xffff) | (b < 0xffff ? b : 0xffff) << 16; }
u32 saturate_i16(u32 a) { return u(s(a) > 0x7fff ? 0x7fff : s(a) < -0x8000 ? -0x8000 : s(a)) & 0xffff; }
u32 pack_i16(u32 a, u32 b) { return saturate_i16(a) | saturate_i16(b) << 16; }

u32 saturate_u8(u32 half) {
  const i32 value = static_cast<std::int16_t>(half);
  return u(value < 0 ? 0 : value > 255 ? 255 : value);
}
u32 sat_pk_u8(u32 a) { return saturate_u8(a) | saturate_u8(a >> 16) << 8; }

// v_mov_b32 is the one instruction that compilers use between s_set_gpr_idx_on and s_set_gpr_idx_off.
template <bool kScalar>
const Operation* move(const Operation* operation, Wave* wave) {
  if (wave->gpr_index_mode == 0) [[likely]] {
    return Lanes<mov>::execute<kScalar ? 1 : 0, Rounding::none, false>(operation, wave);
  }
  Operation shifted = *operation;
  const u32 distance = (wave->scalar[engine::operand::kM0] & 0xff) * kLanes * static_cast<u32>(sizeof(u32));
  constexpr u32 kIndexesSource0 = 1;
  constexpr u32 kIndexesDestination = 8;
  if (!kScalar && (wave->gpr_index_mode & kIndexesSource0)) shifted.source[0] += distance;
  if (wave->gpr_index_mode & kIndexesDestination) shifted.destination += distance;
  Lanes<mov>::execute<kScalar ? 1 : 0, Rounding::none, false>(&shifted, wave);
  return operation + 1;
}

const Operation* nothing(const Operation* operation, Wave*) { return operation + 1; }

}  // namespace

void add_integer(HandlerTable& table) {
  using enum Opcode;
  table.add<mov>(v_mov_b32);
  table[v_mov_b32].plain[0] = &move<false>;
  table[v_mov_b32].plain[1] = &move<true>;
  table.add<mov64>(v_mov_b64);
  table.add<mov>(v_accvgpr_read_b32);
  table.add<mov>(v_accvgpr_write_b32);
  table.add<mov>(v_accvgpr_mov_b32);
  table[v_nop].plain[0] = &nothing;
  table[v_clrexcp].plain[0] = &nothing;
  table.add<bit_not>(v_not_b32);
  table.add<reverse>(v_bfrev_b32);
  table.add<first_high>(v_ffbh_u32);
  table.add<first_low>(v_ffbl_b32);
  table.add<first_high_signed>(v_ffbh_i32);
  table.add<add>(v_add_u32);
  table.add<sub>(v_sub_u32);
  table.add<subrev>(v_subrev_u32);
  table.add<add>(v_add_i32);
  table.add<sub>(v_sub_i32);
  table.saturate<add_sat_u>(v_add_u32);
  table.saturate<sub_sat_u>(v_sub_u32);
  table.saturate<subrev_sat_u>(v_subrev_u32);
  table.saturate<add_sat_i>(v_add_i32);
  table.saturate<sub_sat_i>(v_sub_i32);
  table.add<bit_and>(v_and_b32);
  table.add<bit_or>(v_or_b32);
  table.add<bit_xor>(v_xor_b32);
  table.add<bit_xnor>(v_xnor_b32);
  table.add<min_i>(v_min_i32);
  table.add<max_i>(v_max_i32);
  table.add<min_u>(v_min_u32);
  table.add<max_u>(v_max_u32);
  table.add<lshlrev>(v_lshlrev_b32);
  table.add<lshrrev>(v_lshrrev_b32);
  table.add<ashrrev>(v_ashrrev_i32);
  table.add<mul_lo>(v_mul_lo_u32);
  table.add<mul_hi_u>(v_mul_hi_u32);
  table.add<mul_hi_i>(v_mul_hi_i32);
  table.add<mul_i24>(v_mul_i32_i24);
  table.add<mul_u24>(v_mul_u32_u24);
  table.add<mul_hi_i24>(v_mul_hi_i32_i24);
  table.add<mul_hi_u24>(v_mul_hi_u32_u24);
  table.add<bfm>(v_bfm_b32);
  table.add<bcnt>(v_bcnt_u32_b32);
  table.add<pack_u16>(v_cvt_pk_u16_u32);
  table.add<pack_i16>(v_cvt_pk_i16_i32);
  table.add<sat_pk_u8>(v_sat_pk_u8_i16);
}

}  // namespace virtual_rocm::isa
