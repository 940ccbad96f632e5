// SPDX-License-Identifier: MIT
//
// Half precision in terms of what the host computes.
#ifndef VIRTUAL_ROCM_NATIVE_ISA_HALF_HPP_
#define VIRTUAL_ROCM_NATIVE_ISA_HALF_HPP_

#include <immintrin.h>

#include <bit>
#include <cstdint>

namespace virtual_rocm::isa {

inline float half_to_float(std::uint32_t half) { return _cvtsh_ss(static_cast<std::uint16_t>(half)); }

// Rounds as the host's mode says.
inline std::uint32_t float_to_half(float value) { return _cvtss_sh(value, _MM_FROUND_CUR_DIRECTION); }

// From double precision with one rounding. Rounding to single precision first would round twice, so the bits
// that single precision would drop are gathered into its last bit (rounding to odd): the second rounding then
// sees all it needs.
inline std::uint32_t double_to_half(double value) {
  const float nearest = static_cast<float>(value);
  const double back = nearest;
  if (back == value || value != value) return float_to_half(nearest);
  auto bits = std::bit_cast<std::uint32_t>(nearest);
  const bool magnitude_grew = (back > value) == (value > 0);
  if (magnitude_grew) bits -= 1;
  return float_to_half(std::bit_cast<float>(bits | 1));
}

}  // namespace virtual_rocm::isa

#endif  // VIRTUAL_ROCM_NATIVE_ISA_HALF_HPP_
