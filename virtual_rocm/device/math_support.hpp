// SPDX-License-Identifier: MIT
//
// What the device's math functions share: access to the bits of a number, and scaling by powers of two.
#pragma once

#if defined(__AMDGCN__)
// Kept out of line: they are large, and a kernel calls few of them. The pointers of clang's math headers are
// private.
#define VIRTUAL_ROCM_MATH extern "C" __attribute__((visibility("hidden")))
#define VIRTUAL_ROCM_PRIVATE __attribute__((address_space(5)))
#else
#define VIRTUAL_ROCM_MATH extern "C" __attribute__((visibility("default")))
#define VIRTUAL_ROCM_PRIVATE
#endif

namespace virtual_rocm::device {

template <typename T>
struct Layout;

template <>
struct Layout<float> {
  using Bits = unsigned;
  static constexpr int kFraction = 23;
  static constexpr int kBias = 127;
  static bool negative(float x) { return __builtin_bit_cast(Bits, x) >> 31 != 0; }
  // floor(log2 |x|) of a finite x that is not 0.
  static int exponent(float x) {
    const Bits bits = __builtin_bit_cast(Bits, x) & 0x7fffffffu;
    const int field = static_cast<int>(bits >> kFraction);
    return field != 0 ? field - kBias : 31 - __builtin_clz(bits) - kFraction - kBias + 1;
  }
};

template <>
struct Layout<double> {
  using Bits = unsigned long long;
  static constexpr int kFraction = 52;
  static constexpr int kBias = 1023;
  static bool negative(double x) { return __builtin_bit_cast(Bits, x) >> 63 != 0; }
  static int exponent(double x) {
    const Bits bits = __builtin_bit_cast(Bits, x) & 0x7fffffffffffffffull;
    const int field = static_cast<int>(bits >> kFraction);
    return field != 0 ? field - kBias : 63 - __builtin_clzll(bits) - kFraction - kBias + 1;
  }
};

template <typename T>
typename Layout<T>::Bits bits_of(T x) {
  return __builtin_bit_cast(typename Layout<T>::Bits, x);
}
template <typename T>
T value_of(typename Layout<T>::Bits bits) {
  return __builtin_bit_cast(T, bits);
}

// x × 2^n, rounded once. A large n goes in three steps, of which only the last can lose bits: those before it
// leave the number far from the subnormal range.
template <typename T>
T scale(T x, int n) {
  using Bits = typename Layout<T>::Bits;
  constexpr int kBias = Layout<T>::kBias;
  constexpr int kFraction = Layout<T>::kFraction;
  const auto power = [](int exponent) {
    return value_of<T>(static_cast<Bits>(exponent + kBias) << kFraction);
  };
  if (n > kBias) {
    x *= power(kBias);
    n -= kBias;
    if (n > kBias) {
      x *= power(kBias);
      n -= kBias;
      if (n > kBias) n = kBias;
    }
  } else if (n < 1 - kBias) {
    constexpr int kStep = 1 - kBias + kFraction + 1;
    x *= power(kStep);
    n -= kStep;
    if (n < 1 - kBias) {
      x *= power(kStep);
      n -= kStep;
      if (n < 1 - kBias) n = 1 - kBias;
    }
  }
  return x * power(n);
}

}  // namespace virtual_rocm::device
