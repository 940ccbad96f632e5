// SPDX-License-Identifier: MIT
//
// What gfx950 adds to gfx942, and what it does otherwise: its 8-bit formats are OCP's.
#include <algorithm>
#include <cmath>
#include <utility>

#include "isa/floats.hpp"
#include "isa/ocp_float.hpp"

namespace virtual_rocm::isa {
namespace {

using u32 = std::uint32_t;
using i32 = std::int32_t;

constexpr u32 kOverflowBit = 1u << 23;  // of MODE: FP16_OVFL, numbers that are too large become the largest

// Calls `action` for each active lane with the values of up to three sources, signs and selections applied,
// and stores what it returns. `action` gets what the destination held.
template <unsigned kSources, typename Action>
void for_active_lanes(const Operation* operation, Wave* wave, Action&& action) {
  ModifiedOperands operands;
  for (unsigned index = 0; index < kSources; ++index) load_modified(*operation, *wave, index, operands);
  u32* const destination = wave->at<u32>(operation->destination);
  const u32* const masks = wave->masks();
  for (unsigned lane = 0; lane < kLanes; ++lane)
    if (masks[lane])
      destination[lane] =
          action(destination[lane], operands.source[0][lane], kSources > 1 ? operands.source[1][lane] : 0,
                 kSources > 2 ? operands.source[2][lane] : 0);
}

// Any function of three bits, as a table: bit 4a + 2b + c of `immediate`.
const Operation* bit_operation(const Operation* operation, Wave* wave) {
  const u32 function = operation->instruction.immediate;
  ModifiedOperands operands;
  for (unsigned index = 0; index < 3; ++index) load_modified(*operation, *wave, index, operands);
  for (unsigned lane = 0; lane < kLanes; ++lane) {
    const u32 a = operands.source[0][lane], b = operands.source[1][lane], c = operands.source[2][lane];
    u32 result = 0;
    for (unsigned row = 0; row < 8; ++row)
      if (function >> row & 1) result |= (row & 4 ? a : ~a) & (row & 2 ? b : ~b) & (row & 1 ? c : ~c);
    operands.result[lane] = result;
  }
  store_modified(*operation, *wave, operands);
  return operation + 1;
}

// --- 16-bit floats

u32 bfloat16_of(u32 bits) {
  if ((bits & 0x7fffffff) > 0x7f800000) return bits >> 16 | 0x40;  // a NaN stays one
  return (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
}
float float_of_bfloat16(u32 half) { return as_float(half << 16); }

u32 pack_bfloat16(u32 a, u32 b) { return bfloat16_of(a) | bfloat16_of(b) << 16; }
u32 pack_half(u32 a, u32 b) { return float_to_half(as_float(a)) | float_to_half(as_float(b)) << 16; }

// --- scaled conversions: the scale is a power of two, the exponent of a float

float scale_of(u32 bits) { return as_float(bits & 0x7f800000); }

// Which byte of a register op_sel names, by the two bits from `first` on.
unsigned byte_shift(const Operation* operation, unsigned first) {
  return 8 * (operation->instruction.op_sel >> first & 3);
}

u32 fp4_pair(float low, float high, u32 scale) {
  const float divisor = scale_of(scale);
  return kOcpE2M1.encode(low / divisor, true) | kOcpE2M1.encode(high / divisor, true) << 4;
}

u32 with_byte(u32 word, u32 byte, unsigned shift) { return (word & ~(0xffu << shift)) | byte << shift; }

const Operation* fp4_from_floats(const Operation* operation, Wave* wave) {
  const unsigned shift = byte_shift(operation, 2);
  for_active_lanes<3>(operation, wave, [&](u32 old, u32 a, u32 b, u32 scale) {
    return with_byte(old, fp4_pair(as_float(a), as_float(b), scale), shift);
  });
  return operation + 1;
}

template <auto kWiden>
const Operation* fp4_from_halves(const Operation* operation, Wave* wave) {
  const unsigned shift = byte_shift(operation, 2);
  for_active_lanes<2>(operation, wave, [&](u32 old, u32 pair, u32 scale, u32) {
    return with_byte(old, fp4_pair(kWiden(pair & 0xffff), kWiden(pair >> 16), scale), shift);
  });
  return operation + 1;
}

template <auto kNarrow>
const Operation* halves_from_fp4(const Operation* operation, Wave* wave) {
  const unsigned shift = byte_shift(operation, 0);
  for_active_lanes<2>(operation, wave, [&](u32, u32 word, u32 scale, u32) {
    const u32 byte = word >> shift & 0xff;
    return kNarrow(as_bits(kOcpE2M1.decode(byte & 15) * scale_of(scale)),
                   as_bits(kOcpE2M1.decode(byte >> 4) * scale_of(scale)));
  });
  return operation + 1;
}

const Operation* floats_from_fp4(const Operation* operation, Wave* wave) {
  const unsigned shift = byte_shift(operation, 0);
  ModifiedOperands operands;
  load_modified(*operation, *wave, 0, operands);
  load_modified(*operation, *wave, 1, operands);
  u32* const destination = wave->at<u32>(operation->destination);
  const u32* const masks = wave->masks();
  for (unsigned lane = 0; lane < kLanes; ++lane) {
    if (!masks[lane]) continue;
    const u32 byte = operands.source[0][lane] >> shift & 0xff;
    const float scale = scale_of(operands.source[1][lane]);
    destination[lane] = as_bits(kOcpE2M1.decode(byte & 15) * scale);
    destination[kLanes + lane] = as_bits(kOcpE2M1.decode(byte >> 4) * scale);
  }
  return operation + 1;
}

float widen_half(u32 half) { return half_to_float(half); }

// --- 8-bit floats: OCP's

u32 f32_from_fp8(u32 a) { return as_bits(kOcpE4M3.decode(a & 0xff)); }
u32 f32_from_bf8(u32 a) { return as_bits(kOcpE5M2.decode(a & 0xff)); }
Pair pair_from_fp8(u32 a) { return {f32_from_fp8(a), f32_from_fp8(a >> 8)}; }
Pair pair_from_bf8(u32 a) { return {f32_from_bf8(a), f32_from_bf8(a >> 8)}; }

template <const OcpFormat& kFormat>
const Operation* pack(const Operation* operation, Wave* wave) {
  const bool saturates = wave->mode & kOverflowBit;
  const unsigned shift = operation->instruction.op_sel & 8 ? 16 : 0;
  for_active_lanes<2>(operation, wave, [&](u32 old, u32 a, u32 b, u32) {
    const u32 both = kFormat.encode(as_float(a), saturates) | kFormat.encode(as_float(b), saturates) << 8;
    return (old & ~(0xffffu << shift)) | both << shift;
  });
  return operation + 1;
}

// --- the rest

u32 pack_shifted_i8(u32 a, u32 b, u32 shift) {
  const auto narrow = [&](u32 value) {
    return static_cast<u32>(std::clamp(static_cast<i32>(value) >> (shift & 31), -128, 127)) & 0xff;
  };
  return narrow(a) | narrow(b) << 8;
}
u32 pack_shifted_u8(u32 a, u32 b, u32 shift) {
  const auto narrow = [&](u32 value) {
    return static_cast<u32>(std::clamp(static_cast<i32>(value) >> (shift & 31), 0, 255));
  };
  return narrow(a) | narrow(b) << 8;
}

// NaN if any is; −0 is less than +0.
template <bool kLargest>
u32 extreme3(u32 a, u32 b, u32 c) {
  const auto two = [](float x, float y) {
    if (x != x) return x;
    if (y != y) return y;
    if (x == y) return std::signbit(x) == kLargest ? y : x;
    return (x < y) == kLargest ? y : x;
  };
  return as_bits(two(two(as_float(a), as_float(b)), as_float(c)));
}

// The odd rows of `rows` lanes of the destination change places with the even ones of the source.
template <unsigned kRows>
const Operation* swap_rows(const Operation* operation, Wave* wave) {
  u32* const left = wave->at<u32>(operation->destination);
  u32* const right = wave->at<u32>(operation->source[0]);
  const u32* const masks = wave->masks();
  for (unsigned row = 0; row < kLanes; row += 2 * kRows)
    for (unsigned lane = row; lane < row + kRows; ++lane)
      if (masks[lane] && masks[lane + kRows]) std::swap(left[lane + kRows], right[lane]);
  return operation + 1;
}

void add_general(HandlerTable& table, Opcode opcode, unsigned sources, Handler handler) {
  table[opcode] = {};
  table[opcode].sources = static_cast<std::uint8_t>(sources);
  table[opcode].modified = handler;
}

}  // namespace

void add_gfx950(HandlerTable& table) {
  using enum Opcode;
  constexpr Rounding kSingle = Rounding::single;
  for (const Opcode opcode : {v_bitop3_b16, v_bitop3_b32}) add_general(table, opcode, 3, &bit_operation);
  table.add<pack_bfloat16>(v_cvt_pk_bf16_f32);
  table.add<pack_half, Rounding::wide>(v_cvt_pk_f16_f32);
  add_general(table, v_cvt_scalef32_pk_fp4_f32, 3, &fp4_from_floats);
  add_general(table, v_cvt_scalef32_pk_fp4_f16, 2, &fp4_from_halves<widen_half>);
  add_general(table, v_cvt_scalef32_pk_fp4_bf16, 2, &fp4_from_halves<float_of_bfloat16>);
  add_general(table, v_cvt_scalef32_pk_f32_fp4, 2, &floats_from_fp4);
  add_general(table, v_cvt_scalef32_pk_f16_fp4, 2, &halves_from_fp4<pack_half>);
  add_general(table, v_cvt_scalef32_pk_bf16_fp4, 2, &halves_from_fp4<pack_bfloat16>);
  table.add<pack_shifted_i8>(v_ashr_pk_i8_i32);
  table.add<pack_shifted_u8>(v_ashr_pk_u8_i32);
  table.add<extreme3<false>, kSingle>(v_minimum3_f32);
  table.add<extreme3<true>, kSingle>(v_maximum3_f32);
  for (const Opcode opcode : {v_permlane16_swap_b32, v_permlane32_swap_b32}) table[opcode].sources = 1;
  table[v_permlane16_swap_b32].plain[0] = &swap_rows<16>;
  table[v_permlane32_swap_b32].plain[0] = &swap_rows<32>;

  // The same instructions as on gfx942, for other formats. Stochastic rounding is not there: what uses it is
  // refused.
  for (const Opcode opcode :
       {v_cvt_f32_fp8, v_cvt_f32_bf8, v_cvt_pk_f32_fp8, v_cvt_pk_f32_bf8, v_cvt_sr_fp8_f32, v_cvt_sr_bf8_f32})
    table[opcode] = {};
  table.add<f32_from_fp8>(v_cvt_f32_fp8);
  table.add<f32_from_bf8>(v_cvt_f32_bf8);
  table.add<pair_from_fp8>(v_cvt_pk_f32_fp8);
  table.add<pair_from_bf8>(v_cvt_pk_f32_bf8);
  add_general(table, v_cvt_pk_fp8_f32, 2, &pack<kOcpE4M3>);
  add_general(table, v_cvt_pk_bf8_f32, 2, &pack<kOcpE5M2>);
}

}  // namespace virtual_rocm::isa
