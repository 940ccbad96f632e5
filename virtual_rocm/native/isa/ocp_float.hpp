// SPDX-License-Identifier: MIT
//
// The small floating-point formats of the OCP specifications, as gfx950 converts them.
#ifndef VIRTUAL_ROCM_NATIVE_ISA_OCP_FLOAT_HPP_
#define VIRTUAL_ROCM_NATIVE_ISA_OCP_FLOAT_HPP_

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

namespace virtual_rocm::isa {

/// Sign, exponent, fraction; `largest` is the code of the largest number, `infinity` and `nan` those of what
/// the format has of them, else that of the largest number (it saturates).
struct OcpFormat {
  int exponent_bits;
  int fraction_bits;
  std::uint32_t largest;
  std::uint32_t infinity;
  std::uint32_t nan;

  constexpr int bias() const { return (1 << (exponent_bits - 1)) - 1; }
  constexpr std::uint32_t sign() const { return 1u << (exponent_bits + fraction_bits); }

  float decode(std::uint32_t code) const {
    const std::uint32_t magnitude = code & (sign() - 1);
    double value = 0;
    if (nan != largest && (magnitude == nan || magnitude > infinity)) {
      value = std::numeric_limits<double>::quiet_NaN();
    } else if (infinity != nan && infinity != largest && magnitude == infinity) {
      value = std::numeric_limits<double>::infinity();
    } else {
      const auto exponent = static_cast<int>(magnitude >> fraction_bits);
      auto fraction = static_cast<int>(magnitude & ((1u << fraction_bits) - 1));
      if (exponent != 0) fraction += 1 << fraction_bits;
      value = std::ldexp(fraction, std::max(exponent, 1) - bias() - fraction_bits);
    }
    return static_cast<float>(code & sign() ? -value : value);
  }

  /// To nearest, ties to even. What is too large becomes the largest number if `saturates`, else infinity, or
  /// NaN where there is none.
  std::uint32_t encode(float value, bool saturates) const {
    const std::uint32_t negative = std::signbit(value) ? sign() : 0;
    if (value != value) return negative | nan;
    const double magnitude = std::fabs(static_cast<double>(value));
    const std::uint32_t too_large = saturates ? largest : infinity;
    if (std::isinf(value)) return negative | too_large;
    if (magnitude == 0) return negative;
    const int exponent = std::max(std::ilogb(magnitude), 1 - bias());
    // The unit is a power of two: the division and the comparison are exact.
    const double units = std::nearbyint(std::ldexp(magnitude, fraction_bits - exponent));
    const auto code = static_cast<std::uint32_t>(units) +
                      (static_cast<std::uint32_t>(exponent + bias() - 1) << fraction_bits);
    return negative | (code > largest ? too_large : code);
  }
};

// e4m3 has one NaN for each sign and no infinity; what overflows becomes NaN.
inline constexpr OcpFormat kOcpE4M3{4, 3, 0x7e, 0x7f, 0x7f};
inline constexpr OcpFormat kOcpE5M2{5, 2, 0x7b, 0x7c, 0x7f};
inline constexpr OcpFormat kOcpE2M1{2, 1, 0x7, 0x7, 0x7};

}  // namespace virtual_rocm::isa

#endif  // VIRTUAL_ROCM_NATIVE_ISA_OCP_FLOAT_HPP_
