// SPDX-License-Identifier: MIT
//
// Numbers in two parts, and the exponential and the logarithm on which other functions are built. Everything
// is computed in double precision; see math_elementary.cpp for how exact that is.
#pragma once

#include "math_support.hpp"

namespace virtual_rocm::device {

inline constexpr double kInfinity = __builtin_inf();
inline constexpr double kNan = __builtin_nan("");

// ln 2 in two parts, of which the first has so few bits that its product with an exponent is exact.
inline constexpr double kLn2High = 0x1.62e42fefp-1;
inline constexpr double kLn2Low = 0x1.473de6af278ecp-34;
inline constexpr double kLog2E = 0x1.71547652b82fep+0;
inline constexpr double kLn10 = 0x1.26bb1bbb55516p+1;
inline constexpr double kHalfPi[3] = {0x1.921fb54442d18p+0, 0x1.1a62633145c06p-54, 0x1.c1cd129024e08p-107};
inline constexpr double kTwoOverSqrtPi = 0x1.20dd750429b6dp+0;

// A number as a sum of two, about 106 bits.
struct Double2 {
  double high;
  double low;
};
inline Double2 two_sum(double x, double y) {
  const double sum = x + y;
  const double part = sum - x;
  return {sum, (x - (sum - part)) + (y - part)};
}
inline Double2 two_product(double x, double y) {
  const double product = x * y;
  return {product, __builtin_fma(x, y, -product)};
}

// c[0] + c[1] x + … + c[N-1] x^(N-1)
template <int N>
double polynomial(const double (&c)[N], double x) {
  double sum = c[N - 1];
  for (int i = N - 2; i >= 0; --i) sum = __builtin_fma(sum, x, c[i]);
  return sum;
}

// --- exponentials ---

// (e^r - 1 - r) / r² for |r| ≤ 0.35: the next term would be below 2^-58.
inline double exponential_tail(double r) {
  constexpr double kInverseFactorials[] = {
      1.0 / 2,     1.0 / 6,      1.0 / 24,      1.0 / 120,       1.0 / 720,        1.0 / 5040,
      1.0 / 40320, 1.0 / 362880, 1.0 / 3628800, 1.0 / 39916800., 1.0 / 479001600., 1.0 / 6227020800.};
  return polynomial(kInverseFactorials, r);
}

// e^(x.high + x.low)
inline double exponential(Double2 x) {
  if (!(x.high < 710.0)) return x.high != x.high ? x.high : kInfinity;
  if (x.high < -746.0) return 0.0;
  const double n = __builtin_elementwise_rint(x.high * kLog2E);
  const double r = __builtin_fma(-n, kLn2Low, __builtin_fma(-n, kLn2High, x.high)) + x.low;
  const double result = 1.0 + (r + r * r * exponential_tail(r));
  return scale(result, static_cast<int>(n));
}
inline double exponential(double x) { return exponential({x, 0.0}); }

inline double exponential_minus_one(double x) {
  if (!(__builtin_elementwise_abs(x) < 0.35)) return exponential(x) - 1.0;
  return x == 0 ? x : x + x * x * exponential_tail(x);
}

// --- logarithms ---

// The natural logarithm of a positive finite number, to about 2^-62 of its value.
inline Double2 logarithm(double x) {
  int exponent = Layout<double>::exponent(x);
  double m = scale(x, -exponent);
  if (m > 0x1.6a09e667f3bcdp+0) {  // √2
    m *= 0.5;
    ++exponent;
  }
  // ln m = 2 (s + s³/3 + s⁵/5 + …) with s = (m − 1) / (m + 1), |s| < 0.172
  const double numerator = m - 1.0;  // exact
  const Double2 denominator = two_sum(m, 1.0);
  const double s = numerator / denominator.high;
  const double rest = __builtin_fma(-s, denominator.high, numerator) - s * denominator.low;
  const double s_low = rest / denominator.high;
  constexpr double kOdd[] = {2.0 / 3,  2.0 / 5,  2.0 / 7,  2.0 / 9,  2.0 / 11, 2.0 / 13,
                             2.0 / 15, 2.0 / 17, 2.0 / 19, 2.0 / 21, 2.0 / 23};
  const double square = s * s;
  const double tail = s * square * polynomial(kOdd, square);
  const double n = exponent;
  Double2 sum = two_sum(n * kLn2High, 2.0 * s);
  sum.low += 2.0 * s_low + tail + n * kLn2Low;
  return two_sum(sum.high, sum.low);
}

inline double natural_logarithm(double x) {
  if (x != x || x < 0) return kNan;
  if (x == 0) return -kInfinity;
  if (x == kInfinity) return x;
  const Double2 result = logarithm(x);
  return result.high + result.low;
}

// log_b x, by the inverse of ln b in two parts.
inline double logarithm_to_base(double x, double inverse_high, double inverse_low) {
  if (!(x > 0) || x == kInfinity) return natural_logarithm(x);
  const Double2 ln = logarithm(x);
  const Double2 product = two_product(ln.high, inverse_high);
  return product.high + (product.low + ln.high * inverse_low + ln.low * inverse_high);
}

inline double logarithm_of_one_plus(double x) {
  if (x < -1.0) return kNan;
  if (x == -1.0) return -kInfinity;
  if (x != x || x == kInfinity || x == 0) return x;
  const Double2 u = two_sum(1.0, x);
  const Double2 ln = logarithm(u.high);
  return ln.high + (ln.low + u.low / u.high);
}

}  // namespace virtual_rocm::device

// A function of doubles under the two names that clang's headers call.
#define VIRTUAL_ROCM_OF_ONE(name, function)                                      \
  VIRTUAL_ROCM_MATH double __ocml_##name##_f64(double x) { return function(x); } \
  VIRTUAL_ROCM_MATH float __ocml_##name##_f32(float x) {                         \
    return static_cast<float>(function(static_cast<double>(x)));                 \
  }
#define VIRTUAL_ROCM_OF_TWO(name, function)                                                   \
  VIRTUAL_ROCM_MATH double __ocml_##name##_f64(double x, double y) { return function(x, y); } \
  VIRTUAL_ROCM_MATH float __ocml_##name##_f32(float x, float y) {                             \
    return static_cast<float>(function(static_cast<double>(x), static_cast<double>(y)));      \
  }
