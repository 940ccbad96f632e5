// SPDX-License-Identifier: MIT
//
// Lane functions that single, double and half precision share, over the bits of the format.
#ifndef VIRTUAL_ROCM_NATIVE_ISA_FLOATS_HPP_
#define VIRTUAL_ROCM_NATIVE_ISA_FLOATS_HPP_

#include <cmath>
#include <cstdint>
#include <type_traits>

#include "isa/half.hpp"
#include "isa/handlers.hpp"

namespace virtual_rocm::isa {

// A format: the word that holds it, the type that computes it, and the masks of its fields.
struct Single {
  using Word = std::uint32_t;
  using Signed = std::int32_t;
  using Value = float;
  static constexpr Word kSign = 0x80000000, kInfinity = 0x7f800000, kQuiet = 0x00400000;
  static constexpr int kFraction = 23, kBias = 127;
  static constexpr Rounding kRounding = Rounding::single;
  static Value value(Word bits) { return as_float(bits); }
  static Word bits(Value value) { return as_bits(value); }
};

struct Double {
  using Word = std::uint64_t;
  using Signed = std::int64_t;
  using Value = double;
  static constexpr Word kSign = 0x8000000000000000, kInfinity = 0x7ff0000000000000,
                        kQuiet = 0x0008000000000000;
  static constexpr int kFraction = 52, kBias = 1023;
  static constexpr Rounding kRounding = Rounding::wide;
  static Value value(Word bits) { return as_double(bits); }
  static Word bits(Value value) { return as_bits(value); }
};

// Half precision is computed in single: the results of one operation, rounded again, are those of one
// rounding (24 ≥ 2·11 + 2).
struct Half {
  using Word = std::uint32_t;
  using Signed = std::int32_t;
  using Value = float;
  static constexpr Word kSign = 0x8000, kInfinity = 0x7c00, kQuiet = 0x0200;
  static constexpr int kFraction = 10, kBias = 15;
  static constexpr Rounding kRounding = Rounding::wide;
  static Value value(Word bits) { return half_to_float(bits); }
  static Word bits(Value value) { return float_to_half(value); }
};

template <typename Format>
bool is_nan(typename Format::Word bits) {
  constexpr auto kMagnitude = static_cast<typename Format::Word>(Format::kSign - 1);
  return (bits & kMagnitude) > Format::kInfinity;
}

template <typename Format>
bool is_signaling(typename Format::Word bits) {
  constexpr auto kMagnitude = static_cast<typename Format::Word>(Format::kSign - 1);
  return static_cast<typename Format::Signed>(bits & kMagnitude) >
             static_cast<typename Format::Signed>(Format::kInfinity) &&
         !(bits & Format::kQuiet);
}

// One, where the compiler cannot see it: multiplying by it quiets a signaling NaN and flushes what the mode
// flushes.
extern const float kOpaqueOne;

// The minimum and maximum of IEEE mode: a quiet NaN loses against a number, a signaling one wins as a quiet
// one, and −0 is less than +0.
template <typename Format, bool kMaximum>
typename Format::Word extreme(typename Format::Word a, typename Format::Word b) {
  const auto x = Format::value(a);
  const auto y = Format::value(b);
  auto out = (kMaximum ? x > y : x < y) ? a : b;
  out = x == y ? (kMaximum ? a & b : a | b) : out;
  out = y != y ? a : out;
  out = is_signaling<Format>(b) ? b : out;
  out = is_signaling<Format>(a) ? a : out;
  if constexpr (std::is_same_v<Format, Half>)
    return is_nan<Format>(out) ? (out & 0xffff) | Format::kQuiet : out & 0xffff;
  else
    return Format::bits(Format::value(out) * static_cast<typename Format::Value>(kOpaqueOne));
}

template <typename Format>
typename Format::Word minimum(typename Format::Word a, typename Format::Word b) {
  return extreme<Format, false>(a, b);
}
template <typename Format>
typename Format::Word maximum(typename Format::Word a, typename Format::Word b) {
  return extreme<Format, true>(a, b);
}

template <typename Format>
typename Format::Word add(typename Format::Word a, typename Format::Word b) {
  return Format::bits(Format::value(a) + Format::value(b));
}
template <typename Format>
typename Format::Word sub(typename Format::Word a, typename Format::Word b) {
  return Format::bits(Format::value(a) - Format::value(b));
}
template <typename Format>
typename Format::Word subrev(typename Format::Word a, typename Format::Word b) {
  return Format::bits(Format::value(b) - Format::value(a));
}
template <typename Format>
typename Format::Word mul(typename Format::Word a, typename Format::Word b) {
  return Format::bits(Format::value(a) * Format::value(b));
}

template <typename Format>
typename Format::Word trunc(typename Format::Word a) {
  return Format::bits(std::trunc(Format::value(a)));
}
template <typename Format>
typename Format::Word ceil(typename Format::Word a) {
  return Format::bits(std::ceil(Format::value(a)));
}
template <typename Format>
typename Format::Word floor(typename Format::Word a) {
  return Format::bits(std::floor(Format::value(a)));
}
// To nearest even, whatever the mode.
template <typename Format>
typename Format::Word round_even(typename Format::Word a) {
  const auto x = Format::value(a);
  const auto down = std::floor(x);
  const auto rest = x - down;
  auto out = rest > 0.5f ? down + 1 : down;
  if (rest == 0.5f && std::floor(down * 0.5f) != down * 0.5f) out = down + 1;
  return Format::bits(std::abs(x) < (std::is_same_v<typename Format::Value, double> ? 0x1p52 : 0x1p23)
                          ? std::copysign(out, x)
                          : x * static_cast<typename Format::Value>(kOpaqueOne));
}

// x − floor(x), less than one.
template <typename Format>
typename Format::Word fract(typename Format::Word a) {
  const auto x = Format::value(a);
  const auto rest = x - std::floor(x);
  const auto below_one = Format::value(static_cast<typename Format::Word>(
      (static_cast<typename Format::Word>(Format::kBias) << Format::kFraction) - 1));
  return Format::bits(rest < below_one || rest != rest ? rest : below_one);
}

template <typename Format>
typename Format::Word frexp_mantissa(typename Format::Word a) {
  const auto x = Format::value(a);
  if (!(x - x == 0)) return Format::bits(x * static_cast<typename Format::Value>(kOpaqueOne));
  int exponent;
  return Format::bits(std::frexp(x, &exponent));
}
template <typename Format>
std::uint32_t frexp_exponent(typename Format::Word a) {
  const auto x = Format::value(a);
  int exponent = 0;
  if (x - x == 0) std::frexp(x, &exponent);
  return static_cast<std::uint32_t>(exponent);
}

template <typename Format>
typename Format::Word ldexp(typename Format::Word a, std::uint32_t exponent) {
  return Format::bits(std::ldexp(Format::value(a), static_cast<std::int32_t>(exponent)));
}

template <typename Format>
typename Format::Word min3(typename Format::Word a, typename Format::Word b, typename Format::Word c) {
  return minimum<Format>(minimum<Format>(a, b), c);
}
template <typename Format>
typename Format::Word max3(typename Format::Word a, typename Format::Word b, typename Format::Word c) {
  return maximum<Format>(maximum<Format>(a, b), c);
}
// With a NaN among them it is the least of the three.
template <typename Format>
typename Format::Word med3(typename Format::Word a, typename Format::Word b, typename Format::Word c) {
  if (is_nan<Format>(a) || is_nan<Format>(b) || is_nan<Format>(c)) return min3<Format>(a, b, c);
  return maximum<Format>(minimum<Format>(a, b), minimum<Format>(maximum<Format>(a, b), c));
}

}  // namespace virtual_rocm::isa

#endif  // VIRTUAL_ROCM_NATIVE_ISA_FLOATS_HPP_
