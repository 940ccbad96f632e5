// SPDX-License-Identifier: MIT
//
// The 16-bit floating-point formats, for packed atomics. Round to nearest even.
#pragma once

#include <immintrin.h>

#include <bit>
#include <cstdint>

namespace virtual_rocm::engine {

inline float half_to_float(std::uint16_t half) { return _cvtsh_ss(half); }
inline std::uint16_t float_to_half(float value) { return static_cast<std::uint16_t>(_cvtss_sh(value, 0)); }

inline float bfloat_to_float(std::uint16_t value) { return std::bit_cast<float>(std::uint32_t{value} << 16); }
inline std::uint16_t float_to_bfloat(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  // A NaN stays one: rounding could carry its mantissa away.
  if ((bits & 0x7fffffff) > 0x7f800000) return static_cast<std::uint16_t>(bits >> 16 | 0x40);
  return static_cast<std::uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

/// Adds both halves of two words.
template <float widen(std::uint16_t), std::uint16_t narrow(float)>
inline std::uint32_t add_halves(std::uint32_t left, std::uint32_t right) {
  const auto low = narrow(widen(static_cast<std::uint16_t>(left)) + widen(static_cast<std::uint16_t>(right)));
  const auto high =
      narrow(widen(static_cast<std::uint16_t>(left >> 16)) + widen(static_cast<std::uint16_t>(right >> 16)));
  return low | std::uint32_t{high} << 16;
}

}  // namespace virtual_rocm::engine
