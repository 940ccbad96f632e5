// SPDX-License-Identifier: MIT
//
// Conversion between float or double and the floating-point formats of 4, 6 and 8 bits, in integer
// arithmetic.
//
// A format has `Exponent` and `Mantissa` bits below a sign bit. Rounding is to nearest, ties to even, and
// what overflows either becomes the largest finite value (saturate) or what the format has for infinity.
#pragma once

#include <hip/amd_detail/host_defines.h>

#include <cstdint>
#include <type_traits>

namespace virtual_rocm_hip {

enum class SmallFloatStyle {
  ieee,         // infinity and NaNs at the top exponent, as e5m2 of OCP
  nan_only,     // one NaN per sign, all bits set; no infinity, as e4m3 of OCP
  fnuz,         // one NaN in the place of minus zero; no infinity; the bias is one larger
  finite_only,  // neither, as e2m1, e2m3 and e3m2 of OCP
};

template <int Exponent, int Mantissa, SmallFloatStyle Style>
struct SmallFloat {
  static constexpr int kSignShift = Exponent + Mantissa;
  static constexpr unsigned kAllOnes = (1u << kSignShift) - 1;
  static constexpr int kBias = (1 << (Exponent - 1)) - (Style == SmallFloatStyle::fnuz ? 0 : 1);
  static constexpr int kSmallestExponent = 1 - kBias;
  static constexpr unsigned kInfinity = ((1u << Exponent) - 1) << Mantissa;  // of the ieee style
  static constexpr unsigned kLargest = Style == SmallFloatStyle::ieee       ? kInfinity - 1
                                       : Style == SmallFloatStyle::nan_only ? kAllOnes - 1
                                                                            : kAllOnes;

  // The code of a value that is not a number, or is infinite and must not be made finite.
  __HOST_DEVICE__ static constexpr unsigned not_finite(unsigned sign, bool nan) {
    switch (Style) {
      case SmallFloatStyle::ieee:
        return (sign << kSignShift) | (nan ? kAllOnes : kInfinity);
      case SmallFloatStyle::nan_only:
        return (sign << kSignShift) | kAllOnes;
      case SmallFloatStyle::fnuz:
        return 1u << kSignShift;
      default:
        return nan ? kLargest : (sign << kSignShift) | kLargest;
    }
  }

  template <typename T>
  __HOST_DEVICE__ static constexpr unsigned encode(T value, bool saturate) {
    static_assert(std::is_same<T, float>::value || std::is_same<T, double>::value, "float or double");
    using Bits = typename std::conditional<sizeof(T) == 4, std::uint32_t, std::uint64_t>::type;
    constexpr int kFraction = sizeof(T) == 4 ? 23 : 52;
    constexpr int kTopExponent = sizeof(T) == 4 ? 255 : 2047;
    constexpr int kSourceBias = kTopExponent / 2;

    const Bits bits = __builtin_bit_cast(Bits, value);
    const unsigned sign = static_cast<unsigned>(bits >> (8 * sizeof(T) - 1));
    const int biased = static_cast<int>(bits >> kFraction) & kTopExponent;
    const Bits fraction = bits & ((Bits{1} << kFraction) - 1);
    if (biased == kTopExponent) {
      const bool nan = fraction != 0;
      // In fnuz an infinity is passed on as NaN even where finite values saturate, as AMD's headers have it.
      if (!nan && saturate && Style != SmallFloatStyle::fnuz) return (sign << kSignShift) | kLargest;
      return not_finite(sign, nan);
    }

    const Bits significand = biased == 0 ? fraction : fraction | (Bits{1} << kFraction);
    const int exponent = (biased == 0 ? 1 : biased) - kSourceBias;
    const bool subnormal = exponent < kSmallestExponent;
    const int shift = kFraction - Mantissa + (subnormal ? kSmallestExponent - exponent : 0);
    unsigned rounded = 0;
    if (shift <= kFraction + 1) {
      const Bits kept = significand >> shift;
      const Bits rest = significand & ((Bits{1} << shift) - 1);
      const Bits half = Bits{1} << (shift - 1);
      const bool up = rest > half || (rest == half && (kept & 1) != 0);
      rounded = static_cast<unsigned>(kept) + (up ? 1 : 0);
    }
    // The leading one of a normal significand adds itself to the exponent field, and so does a carry from
    // rounding.
    const int field = subnormal ? 0 : exponent + kBias - 1;
    const long long code = (static_cast<long long>(field) << Mantissa) + rounded;
    if (code > static_cast<long long>(kLargest)) {
      if (saturate || Style == SmallFloatStyle::finite_only) return (sign << kSignShift) | kLargest;
      return not_finite(sign, false);
    }
    if (Style == SmallFloatStyle::fnuz && code == 0) return 0;  // its zero has no sign
    return (sign << kSignShift) | static_cast<unsigned>(code);
  }

  __HOST_DEVICE__ static constexpr float decode(unsigned code) {
    const unsigned sign = (code >> kSignShift) & 1;
    const unsigned magnitude = code & kAllOnes;
    const unsigned field = magnitude >> Mantissa;
    const unsigned fraction = magnitude & ((1u << Mantissa) - 1);
    bool nan = false;
    bool infinite = false;
    if (Style == SmallFloatStyle::ieee && magnitude >= kInfinity) {
      nan = fraction != 0;
      infinite = !nan;
    } else if (Style == SmallFloatStyle::nan_only) {
      nan = magnitude == kAllOnes;
    } else if (Style == SmallFloatStyle::fnuz) {
      nan = sign != 0 && magnitude == 0;
    }
    if (nan) return __builtin_bit_cast(float, (sign << 31) | 0x7fc00000u);
    if (infinite) return __builtin_bit_cast(float, (sign << 31) | 0x7f800000u);
    std::uint32_t bits = 0;
    if (field != 0) {
      bits = (static_cast<std::uint32_t>(static_cast<int>(field) - kBias + 127) << 23) |
             (fraction << (23 - Mantissa));
    } else {
      // fraction × 2^(smallest exponent − mantissa bits): a power of two times a small integer is exact in
      // float.
      constexpr std::uint32_t kUnit = static_cast<std::uint32_t>(kSmallestExponent - Mantissa + 127) << 23;
      bits =
          __builtin_bit_cast(std::uint32_t, static_cast<float>(fraction) * __builtin_bit_cast(float, kUnit));
    }
    return __builtin_bit_cast(float, (sign << 31) | bits);
  }
};

using Float8E4M3 = SmallFloat<4, 3, SmallFloatStyle::nan_only>;
using Float8E5M2 = SmallFloat<5, 2, SmallFloatStyle::ieee>;
using Float8E4M3Fnuz = SmallFloat<4, 3, SmallFloatStyle::fnuz>;
using Float8E5M2Fnuz = SmallFloat<5, 2, SmallFloatStyle::fnuz>;
using Float6E2M3 = SmallFloat<2, 3, SmallFloatStyle::finite_only>;
using Float6E3M2 = SmallFloat<3, 2, SmallFloatStyle::finite_only>;
using Float4E2M1 = SmallFloat<2, 1, SmallFloatStyle::finite_only>;

}  // namespace virtual_rocm_hip
