// SPDX-License-Identifier: MIT
//
// Conversions of the 8-bit formats of gfx942: fp8 is e4m3fnuz (bias 8), bf8 is e5m2fnuz (bias 16). They have
// no infinity and no −0; 0x80 is the one NaN. A value too large for the format becomes NaN unless MODE's
// FP16_OVFL bit makes it the largest.
#include "isa/floats.hpp"

namespace virtual_rocm::isa {
namespace {

using u32 = std::uint32_t;
using i32 = std::int32_t;

template <int kExponentBits, int kFractionBits>
struct Small {
  static constexpr int kFraction = kFractionBits;
  static constexpr int kBias = 1 << (kExponentBits - 1);
  static constexpr u32 kNan = 0x80;
  static constexpr u32 kLargest = 0x7f;

  // The bits as a single's exponent and fraction are the value but for the bias, denormals included.
  static u32 decode(u32 byte) {
    const u32 magnitude = (byte & 0x7f) << (23 - kFractionBits);
    const u32 value = as_bits(as_float(magnitude) * as_float(static_cast<u32>(254 - kBias) << 23));
    return (byte & 0xff) == kNan ? 0x7fc00000 : value | (byte & 0x80) << 24;
  }

  // To nearest even, without branches.
  static u32 encode_nearest(u32 bits, bool saturates) {
    constexpr u32 kDropped = 23 - kFractionBits;
    constexpr u32 kSmallestNormal = static_cast<u32>(128 - kBias) << 23;
    constexpr u32 kUnit = static_cast<u32>(128 - kBias + 23 - kFractionBits)
                          << 23;  // its last bit is the smallest denormal
    const u32 magnitude = bits & 0x7fffffff;
    const u32 rounded = magnitude + ((1u << (kDropped - 1)) - 1) + (magnitude >> kDropped & 1);
    const u32 normal = (rounded >> kDropped) - (static_cast<u32>(127 - kBias) << kFractionBits);
    const u32 denormal = as_bits(as_float(magnitude) + as_float(kUnit)) - kUnit;
    const u32 code = static_cast<i32>(magnitude) < static_cast<i32>(kSmallestNormal) ? denormal : normal;
    const u32 sign = bits >> 24 & 0x80;
    const u32 too_large = saturates ? sign | kLargest : kNan;
    const u32 finite = static_cast<i32>(code) > static_cast<i32>(kLargest) ? too_large
                       : code == 0                                         ? 0
                                                                           : code | sign;
    return static_cast<i32>(magnitude) > 0x7f800000 ? kNan : finite;
  }

  // `dither` is added below the last bit that is kept: stochastic rounding.
  static u32 encode_stochastic(u32 bits, bool saturates, u32 dither) {
    const u32 sign = bits >> 24 & 0x80;
    const u32 magnitude = bits & 0x7fffffff;
    if (magnitude >= 0x7f800000) {
      return saturates && magnitude == 0x7f800000 ? sign | kLargest : kNan;
    }
    const int exponent = static_cast<int>(magnitude >> 23);
    if (exponent == 0) return 0;  // single-precision denormals are far below
    u32 fraction = (magnitude & 0x7fffff) | 0x800000;
    // How many bits fall off: those that the format lacks, and more where the result is denormal.
    int target = exponent - 127 + kBias;
    int dropped = 23 - kFractionBits;
    if (target < 1) {
      dropped += 1 - target;
      target = 1;
    }
    if (dropped > 30) return 0;
    const u32 random = dither >> (32 - (23 - kFractionBits));
    fraction += random << (dropped - (23 - kFractionBits));
    fraction >>= dropped;
    // The hidden bit carries into the exponent, also when a denormal becomes normal.
    const u32 out = (static_cast<u32>(target - 1) << kFractionBits) + fraction;
    if (out > kLargest) return saturates ? sign | kLargest : kNan;
    return out == 0 ? 0 : sign | out;
  }
};

using Fp8 = Small<4, 3>;
using Bf8 = Small<5, 2>;

u32 f32_from_fp8(u32 a) { return Fp8::decode(a); }
u32 f32_from_bf8(u32 a) { return Bf8::decode(a); }
Pair pair_from_fp8(u32 a) { return {Fp8::decode(a), Fp8::decode(a >> 8)}; }
Pair pair_from_bf8(u32 a) { return {Bf8::decode(a), Bf8::decode(a >> 8)}; }

constexpr u32 kOverflowBit = 1u << 23;

// Two values into the half of the destination that op_sel names; the other half stays.
template <typename Format>
const Operation* pack(const Operation* operation, Wave* wave) {
  ModifiedOperands operands;
  load_modified(*operation, *wave, 0, operands);
  load_modified(*operation, *wave, 1, operands);
  const bool saturates = wave->mode & kOverflowBit;
  const unsigned shift = operation->instruction.op_sel & 8 ? 16 : 0;
  u32* const destination = wave->at<u32>(operation->destination);
  const u32* const masks = wave->masks();
  const u32 kept = ~(0xffffu << shift);
  VIRTUAL_ROCM_LANE_LOOP
  for (unsigned lane = 0; lane < kLanes; ++lane) {
    const u32 both = Format::encode_nearest(operands.source[0][lane], saturates) |
                     Format::encode_nearest(operands.source[1][lane], saturates) << 8;
    const u32 value = (destination[lane] & kept) | both << shift;
    destination[lane] = masks[lane] ? value : destination[lane];
  }
  return operation + 1;
}

// One value with stochastic rounding into the byte that op_sel names.
template <typename Format>
const Operation* stochastic(const Operation* operation, Wave* wave) {
  ModifiedOperands operands;
  load_modified(*operation, *wave, 0, operands);
  load_modified(*operation, *wave, 1, operands);
  const bool saturates = wave->mode & kOverflowBit;
  const unsigned shift = 8 * (operation->instruction.op_sel >> 2 & 3);
  u32* const destination = wave->at<u32>(operation->destination);
  const u32* const masks = wave->masks();
  for (unsigned lane = 0; lane < kLanes; ++lane) {
    if (!masks[lane]) continue;
    const u32 byte = Format::encode_stochastic(operands.source[0][lane], saturates, operands.source[1][lane]);
    destination[lane] = (destination[lane] & ~(0xffu << shift)) | byte << shift;
  }
  return operation + 1;
}

void add_two(HandlerTable& table, Opcode opcode, Handler handler) {
  table[opcode].sources = 2;
  table[opcode].modified = handler;
}

}  // namespace

void add_small_floats(HandlerTable& table) {
  using enum Opcode;
  table.add<f32_from_fp8>(v_cvt_f32_fp8);
  table.add<f32_from_bf8>(v_cvt_f32_bf8);
  table.add<pair_from_fp8>(v_cvt_pk_f32_fp8);
  table.add<pair_from_bf8>(v_cvt_pk_f32_bf8);
  add_two(table, v_cvt_pk_fp8_f32, pack<Fp8>);
  add_two(table, v_cvt_pk_bf8_f32, pack<Bf8>);
  add_two(table, v_cvt_sr_fp8_f32, stochastic<Fp8>);
  add_two(table, v_cvt_sr_bf8_f32, stochastic<Bf8>);
}

}  // namespace virtual_rocm::isa
