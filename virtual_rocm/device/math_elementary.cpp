// SPDX-License-Identifier: MIT
//
// Exponentials, logarithms, powers, hyperbolic functions and the error function of clang's HIP math headers
// (the __ocml names).
//
// All are computed in double precision. For float that gives the nearest value in all but very rare cases;
// AMD's own library may be one to a few units in the last place away from it, so a result can differ from
// hardware's in the last bits. In double the error is at most 16 units, and mostly below 2. Portable C++: the
// tests compile this file for the host as well.
#include "math_exponential.hpp"

namespace {

using namespace virtual_rocm::device;

// --- powers ---

bool is_integer(double y) { return __builtin_elementwise_trunc(y) == y; }
bool is_odd(double y) {
  const double half = y * 0.5;
  return is_integer(y) && __builtin_elementwise_abs(y) < 0x1p53 && __builtin_elementwise_trunc(half) != half;
}

double power(double x, double y) {
  if (y == 0 || x == 1.0) return 1.0;
  if (x != x || y != y) return kNan;
  const double size = __builtin_elementwise_abs(x);
  if (__builtin_elementwise_abs(y) == kInfinity) {
    if (size == 1.0) return 1.0;
    return (size > 1.0) == (y > 0) ? kInfinity : 0.0;
  }
  const bool negative = Layout<double>::negative(x) && is_odd(y);
  double result;
  if (size == 0 || size == kInfinity) {
    result = (size == 0) == (y < 0) ? kInfinity : 0.0;
  } else if (x < 0 && !is_integer(y)) {
    return kNan;
  } else {
    const Double2 ln = logarithm(size);
    const Double2 product = two_product(ln.high, y);
    if (!(__builtin_elementwise_abs(product.high) < 1000.0)) {
      result = product.high > 0 ? kInfinity : 0.0;
    } else {
      result = exponential({product.high, product.low + ln.low * y});
    }
  }
  return negative ? -result : result;
}

double cube_root(double x) {
  if (x == 0 || x != x || __builtin_elementwise_abs(x) == kInfinity) return x;
  const double size = __builtin_elementwise_abs(x);
  const Double2 ln = logarithm(size);
  double root = exponential({ln.high / 3.0, 0.0});
  root -= (root - (size / root) / root) / 3.0;  // one step of Newton removes the error of ln / 3
  return __builtin_elementwise_copysign(root, x);
}

double hypotenuse(double x, double y) {
  x = __builtin_elementwise_abs(x);
  y = __builtin_elementwise_abs(y);
  if (x == kInfinity || y == kInfinity) return kInfinity;
  if (x != x || y != y) return kNan;
  const double large = x > y ? x : y;
  const double small = x > y ? y : x;
  if (large == 0) return large;
  const int exponent = Layout<double>::exponent(large);
  const double a = scale(large, -exponent);
  const double b = scale(small, -exponent);
  const Double2 aa = two_product(a, a);
  const Double2 bb = two_product(b, b);
  const Double2 sum = two_sum(aa.high, bb.high);
  const double root = __builtin_elementwise_sqrt(sum.high);
  const double rest = __builtin_fma(-root, root, sum.high) + (sum.low + aa.low + bb.low);
  return scale(root + rest / (2.0 * root), exponent);
}

// --- hyperbolic functions ---

double hyperbolic_sine(double x) {
  const double size = __builtin_elementwise_abs(x);
  if (size == 0 || x != x) return x;
  double result;
  if (size < 20.0) {
    const double e = exponential_minus_one(size);
    result = 0.5 * (e + e / (e + 1.0));
  } else {
    const double half = exponential(size * 0.5);  // e^x itself could overflow
    result = 0.5 * half * half;
  }
  return __builtin_elementwise_copysign(result, x);
}
double hyperbolic_cosine(double x) {
  const double size = __builtin_elementwise_abs(x);
  const double half = exponential(size * 0.5);
  return size < 20.0 ? 0.5 * (half * half + 1.0 / (half * half)) : 0.5 * half * half;
}
double hyperbolic_tangent(double x) {
  const double size = __builtin_elementwise_abs(x);
  if (size == 0 || x != x) return x;
  double result = 1.0;
  if (size < 22.0) {
    const double e = exponential_minus_one(2.0 * size);
    result = e / (e + 2.0);
  }
  return __builtin_elementwise_copysign(result, x);
}
double area_hyperbolic_sine(double x) {
  const double size = __builtin_elementwise_abs(x);
  if (size == 0 || !(size < kInfinity)) return x;
  const double square = size * size;
  const double result =
      size > 0x1p28 ? natural_logarithm(size) + (kLn2High + kLn2Low)
                    : logarithm_of_one_plus(size + square / (1.0 + __builtin_elementwise_sqrt(square + 1.0)));
  return __builtin_elementwise_copysign(result, x);
}
double area_hyperbolic_cosine(double x) {
  if (!(x >= 1.0)) return kNan;
  if (x > 0x1p28) return natural_logarithm(x) + (kLn2High + kLn2Low);
  const double t = x - 1.0;
  return logarithm_of_one_plus(t + __builtin_elementwise_sqrt(2.0 * t + t * t));
}
double area_hyperbolic_tangent(double x) {
  const double size = __builtin_elementwise_abs(x);
  if (size == 0) return x;
  return __builtin_elementwise_copysign(0.5 * logarithm_of_one_plus(2.0 * size / (1.0 - size)), x);
}

// --- the error function ---

double complementary_error_of_large(double x) {
  // Continued fraction for x ≥ 1, from its far end.
  double fraction = x;
  for (int n = x < 2.0 ? 300 : 60; n >= 1; --n) fraction = x + 0.5 * n / fraction;
  const Double2 square = two_product(x, x);
  return exponential({-square.high, -square.low}) / fraction * (0.5 * kTwoOverSqrtPi);
}
double error_of_small(double x) {
  // 2/√π e^(−x²) Σ 2^n x^(2n+1) / (1·3·5…(2n+1)): all terms have one sign.
  const double square = x * x;
  double term = x;
  double sum = x;
  for (int n = 1; n < 60; ++n) {
    term *= 2.0 * square / (2 * n + 1);
    sum += term;
  }
  return kTwoOverSqrtPi * exponential(-square) * sum;
}
double error(double x) {
  const double size = __builtin_elementwise_abs(x);
  if (x != x || x == 0) return x;
  if (size > 6.0) return __builtin_elementwise_copysign(1.0, x);
  return size < 2.0 ? error_of_small(x)
                    : __builtin_elementwise_copysign(1.0 - complementary_error_of_large(size), x);
}
double complementary_error(double x) {
  if (x != x) return x;
  if (x > 28.0) return 0.0;
  if (x < 1.0) return 1.0 - error(x);
  return complementary_error_of_large(x);
}

constexpr double kInverseLn2High = 0x1.71547652b82fep+0;
constexpr double kInverseLn2Low = 0x1.777d0ffda0d24p-56;
constexpr double kInverseLn10High = 0x1.bcb7b1526e50ep-2;
constexpr double kInverseLn10Low = 0x1.95355baaafad3p-57;

double exponential_of_base_2(double x) {
  if (!(__builtin_elementwise_abs(x) < 1100.0)) return exponential(x);
  const double n = __builtin_elementwise_rint(x);
  const Double2 r = two_product(x - n, kLn2High + kLn2Low);
  return scale(exponential({r.high, r.low + (x - n) * 0x1.abc9e3b39803fp-56}), static_cast<int>(n));
}
double exponential_of_base_10(double x) {
  if (!(__builtin_elementwise_abs(x) < 400.0)) return x != x ? x : x > 0 ? kInfinity : 0.0;
  const Double2 product = two_product(x, kLn10);
  return exponential({product.high, product.low + x * -0x1.f48ad494ea3e9p-53});
}

double logarithm_2(double x) { return logarithm_to_base(x, kInverseLn2High, kInverseLn2Low); }
double logarithm_10(double x) { return logarithm_to_base(x, kInverseLn10High, kInverseLn10Low); }

}  // namespace

VIRTUAL_ROCM_OF_ONE(exp, exponential)
VIRTUAL_ROCM_OF_ONE(exp2, exponential_of_base_2)
VIRTUAL_ROCM_OF_ONE(exp10, exponential_of_base_10)
VIRTUAL_ROCM_OF_ONE(expm1, exponential_minus_one)
VIRTUAL_ROCM_OF_ONE(log, natural_logarithm)
VIRTUAL_ROCM_OF_ONE(log2, logarithm_2)
VIRTUAL_ROCM_OF_ONE(log10, logarithm_10)
VIRTUAL_ROCM_OF_ONE(log1p, logarithm_of_one_plus)
VIRTUAL_ROCM_OF_ONE(cbrt, cube_root)
VIRTUAL_ROCM_OF_ONE(sinh, hyperbolic_sine)
VIRTUAL_ROCM_OF_ONE(cosh, hyperbolic_cosine)
VIRTUAL_ROCM_OF_ONE(tanh, hyperbolic_tangent)
VIRTUAL_ROCM_OF_ONE(asinh, area_hyperbolic_sine)
VIRTUAL_ROCM_OF_ONE(acosh, area_hyperbolic_cosine)
VIRTUAL_ROCM_OF_ONE(atanh, area_hyperbolic_tangent)
VIRTUAL_ROCM_OF_ONE(erf, error)
VIRTUAL_ROCM_OF_ONE(erfc, complementary_error)
VIRTUAL_ROCM_OF_TWO(pow, power)
VIRTUAL_ROCM_OF_TWO(hypot, hypotenuse)

VIRTUAL_ROCM_MATH double __ocml_pown_f64(double x, int n) { return power(x, n); }
VIRTUAL_ROCM_MATH float __ocml_pown_f32(float x, int n) { return static_cast<float>(power(x, n)); }

// The "native" ones promise speed and little accuracy; these are accurate.
VIRTUAL_ROCM_MATH float __ocml_native_exp_f32(float x) { return static_cast<float>(exponential(x)); }
VIRTUAL_ROCM_MATH float __ocml_native_exp10_f32(float x) {
  return static_cast<float>(exponential_of_base_10(x));
}
VIRTUAL_ROCM_MATH float __ocml_native_log_f32(float x) { return static_cast<float>(natural_logarithm(x)); }
VIRTUAL_ROCM_MATH float __ocml_native_log2_f32(float x) { return static_cast<float>(logarithm_2(x)); }
VIRTUAL_ROCM_MATH float __ocml_native_log10_f32(float x) { return static_cast<float>(logarithm_10(x)); }
