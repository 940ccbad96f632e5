// SPDX-License-Identifier: MIT
//
// Conversions of the 8-bit formats of gfx942: fp8 is e4m3fnuz (bias 8), bf8 is e5m2fnuz (bias 16). They have no infinity and
// no −0; 0x80 is the one NaN. A value too large for the format becomes NaN unless MODE's FP16_OVFL bit makes it the largest.
#include "isa/floats.hpp"

namespace virtual_rocm::isa {
namespace {

using u32 = std::uint32_t;
using u64 = std::uint64_t;

template <int kExponentBits, int kFractionBits>
struct Small {
  static constexpr int kFraction = kFractionBits;
  static constexpr int kBias = 1 << (kExponentBits - 1);
  static constexpr u32 kNan = 0x80;
  static constexpr u32 kLargest = 0x7f;

  static float decode(u32 byte) {
    byte &= 0xff;
    if (byte == kNan) return as_float(0x7fc00000);
    const u32 fraction = byte & ((1u << kFractionBits) - 1);
    const int exponent = static_cast<int>(byte >> kFractionBits & ((1u << kExponentBits) - 1));
    const float magnitude = exponent == 0 ? std::ldexp(static_cast<float>(fraction), 1 - kBias - kFractionBits)
                                          : std::ldexp(static_cast<float>(fraction + (1u << kFractionBits)),
                                                       exponent - kBias - kFractionBits);
    return byte & 0x80 ? -magnitude : magnitude;
  }

  // `dither` is added below the last bit that is kept (stochastic rounding); without it, to nearest even.
  static u32 encode(float value, bool saturates, const u32* dither = nullptr) {
    const u32 bits = as_bits(value);
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
    if (dither != nullptr) {
      const u32 random = *dither >> (32 - (23 - kFractionBits));
      fraction += dropped > 23 - kFractionBits ? random << (dropped - (23 - kFractionBits)) : random;
      fraction >>= dropped;
    } else {
      const u32 half = 1u << (dropped - 1);
      const u32 rest = fraction & ((half << 1) - 1);
      fraction >>= dropped;
      if (rest > half || (rest == half && (fraction & 1))) ++fraction;
    }
    // The hidden bit carries into the exponent, also when a denormal becomes normal.
    const u32 out = (static_cast<u32>(target - 1) << kFractionBits) + fraction;
    if (out > kLargest) return saturates ? sign | kLargest : kNan;
    return out == 0 ? 0 : sign | out;
  }
};

using Fp8 = Small<4, 3>;
using Bf8 = Small<5, 2>;

template <typename Format>
struct DecodeTable {
  u32 values[256];
  DecodeTable() {
    for (u32 byte = 0; byte < 256; ++byte) values[byte] = as_bits(Format::decode(byte));
  }
};
const DecodeTable<Fp8> kFp8Values;
const DecodeTable<Bf8> kBf8Values;

u32 f32_from_fp8(u32 a) { return kFp8Values.values[a & 0xff]; }
u32 f32_from_bf8(u32 a) { return kBf8Values.values[a & 0xff]; }
u64 pair_from_fp8(u32 a) { return f32_from_fp8(a) | static_cast<u64>(f32_from_fp8(a >> 8)) << 32; }
u64 pair_from_bf8(u32 a) { return f32_from_bf8(a) | static_cast<u64>(f32_from_bf8(a >> 8)) << 32; }

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
  for (unsigned lane = 0; lane < kLanes; ++lane) {
    if (!masks[lane]) continue;
    const u32 both = Format::encode(as_float(operands.source[0][lane]), saturates) |
                     Format::encode(as_float(operands.source[1][lane]), saturates) << 8;
    destination[lane] = (destination[lane] & ~(0xffffu << shift)) | both << shift;
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
    const u32 byte = Format::encode(as_float(operands.source[0][lane]), saturates, &operands.source[1][lane]);
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
