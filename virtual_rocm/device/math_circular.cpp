// SPDX-License-Identifier: MIT
//
// The circular functions and their inverses of clang's HIP math headers (the __ocml names); see
// math_elementary.cpp for how exact they are.
#include "math_exponential.hpp"

namespace {

using namespace virtual_rocm::device;

// --- circular functions ---

// The bits of 2/π, most significant first.
constexpr unsigned long long kTwoOverPi[20] = {
    0xa2f9836e4e441529ull, 0xfc2757d1f534ddc0ull, 0xdb6295993c439041ull, 0xfe5163abdebbc561ull,
    0xb7246e3a424dd2e0ull, 0x06492eea09d1921cull, 0xfe1deb1cb129a73eull, 0xe88235f52ebb4484ull,
    0xe99c7026b45f7e41ull, 0x3991d639835339f4ull, 0x9c845f8bbdf9283bull, 0x1ff897ffde05980full,
    0xef2f118b5a0a6d1full, 0x6d367ecf27cb09b7ull, 0x4f463f669e5fea2dull, 0x7527bac7ebe5f17bull,
    0x3d0739f78a5292eaull, 0x6bfb5fb11f8d5d08ull, 0x56033046fc7b6babull, 0xf0cfbc209af4361dull,
};

struct Angle {
  Double2 rest;      // in [−π/4, π/4]
  unsigned quarter;  // how many right angles were taken away, modulo 4
};

// Large angles: multiplies the 53 bits of x with those bits of 2/π that matter: what is above gives whole
// turns.
Angle reduce_large(double x) {
  const unsigned long long bits = bits_of(x);
  const unsigned long long significand = (bits & 0xfffffffffffffull) | 0x10000000000000ull;
  const int exponent = static_cast<int>((bits >> 52) & 0x7ff) - 1075;  // x = significand × 2^exponent
  // The product's integer bits below 2^2 begin at this bit of 2/π; before it are multiples of four right
  // angles.
  const int first = exponent - 2 < 0 ? 0 : exponent - 2;
  const auto word = [first](int i) {
    const int position = first + 64 * i;
    const int index = position / 64;
    const int shift = position % 64;
    const unsigned long long low = index + 1 < 20 ? kTwoOverPi[index + 1] : 0;
    return shift == 0 ? kTwoOverPi[index] : (kTwoOverPi[index] << shift) | (low >> (64 - shift));
  };
  using Wide = unsigned __int128;
  // significand × 192 bits of 2/π, in three parts of which each has the carry of the one below
  const Wide p2 = static_cast<Wide>(significand) * word(2);
  const Wide p1 = static_cast<Wide>(significand) * word(1) + (p2 >> 64);
  const Wide p0 = static_cast<Wide>(significand) * word(0) + (p1 >> 64);
  // 2/π has its binary point before its first bit, so x × 2/π has it `point` bits below the top of 192 bits.
  const int point = exponent - first;  // 2; less, even negative, when first is 0
  const unsigned long long whole = static_cast<unsigned long long>(p0 >> (64 - point));
  const unsigned long long middle = static_cast<unsigned long long>(p1);
  const unsigned long long last = static_cast<unsigned long long>(p2);
  unsigned long long fraction_high;
  unsigned long long fraction_low;
  if (point > 0) {
    fraction_high = (static_cast<unsigned long long>(p0) << point) | (middle >> (64 - point));
    fraction_low = (middle << point) | (last >> (64 - point));
  } else {
    fraction_high = static_cast<unsigned long long>(p0 >> -point);
    fraction_low =
        (middle >> -point) | (point == 0 ? 0 : static_cast<unsigned long long>(p0) << (64 + point));
  }
  Wide fraction = (static_cast<Wide>(fraction_high) << 64) | fraction_low;
  unsigned quarter = static_cast<unsigned>(whole & 3);
  const bool up = (fraction_high >> 63) != 0;  // over a half: the next right angle is nearer
  if (up) {
    quarter = (quarter + 1) & 3;
    fraction = -fraction;
  }
  // fraction × 2^−128 right angles, as two doubles
  const double high = static_cast<double>(static_cast<unsigned long long>(fraction >> 75)) * 0x1p-53;
  const double low =
      static_cast<double>(static_cast<unsigned long long>((fraction >> 11) & ((Wide{1} << 64) - 1))) *
      0x1p-117;
  const double sign = up ? -1.0 : 1.0;
  const Double2 product = two_product(sign * high, kHalfPi[0]);
  const double rest = product.low + sign * high * kHalfPi[1] + sign * low * kHalfPi[0];
  return {two_sum(product.high, rest), quarter};
}

Angle reduce(double x) {
  const double size = __builtin_elementwise_abs(x);
  if (size < 0x1.921fb54442d18p-1) return {{x, 0.0}, 0};
  Angle angle;
  if (size < 0x1p20) {
    const double n = __builtin_elementwise_rint(size * 0x1.45f306dc9c883p-1);
    const Double2 first = two_product(n, kHalfPi[0]);
    const Double2 second = two_product(n, kHalfPi[1]);
    const double difference = size - first.high;  // exact: both are close
    const Double2 upper = two_sum(difference, -first.low);
    const Double2 all = two_sum(upper.high, -second.high);
    angle.rest = two_sum(all.high, all.low + (upper.low - second.low - n * kHalfPi[2]));
    angle.quarter = static_cast<unsigned>(static_cast<long long>(n) & 3);
  } else {
    angle = reduce_large(size);
  }
  if (x < 0) {
    angle.rest = {-angle.rest.high, -angle.rest.low};
    angle.quarter = (4 - angle.quarter) & 3;
  }
  return angle;
}

double sine_of_small(Double2 r) {
  constexpr double kCoefficients[] = {-1.0 / 6,
                                      1.0 / 120,
                                      -1.0 / 5040,
                                      1.0 / 362880,
                                      -1.0 / 39916800.0,
                                      1.0 / 6227020800.0,
                                      -1.0 / 1307674368000.0,
                                      1.0 / 355687428096000.0};
  const double square = r.high * r.high;
  return r.high + (r.high * square * polynomial(kCoefficients, square) + r.low * (1.0 - 0.5 * square));
}
double cosine_of_small(Double2 r) {
  constexpr double kCoefficients[] = {1.0 / 24,
                                      -1.0 / 720,
                                      1.0 / 40320,
                                      -1.0 / 3628800,
                                      1.0 / 479001600.0,
                                      -1.0 / 87178291200.0,
                                      1.0 / 20922789888000.0,
                                      -1.0 / 6402373705728000.0};
  const Double2 square = two_product(r.high, r.high);
  const Double2 leading = two_sum(1.0, -0.5 * square.high);
  const double tail = square.high * square.high * polynomial(kCoefficients, square.high);
  return leading.high + (leading.low + tail - 0.5 * square.low - r.high * r.low);
}

struct SineCosine {
  double sine;
  double cosine;
};
SineCosine sine_cosine(double x) {
  if (x == 0) return {x, 1.0};
  if (!(__builtin_elementwise_abs(x) < kInfinity)) return {kNan, kNan};
  const Angle angle = reduce(x);
  const double sine = sine_of_small(angle.rest);
  const double cosine = cosine_of_small(angle.rest);
  switch (angle.quarter) {
    case 0:
      return {sine, cosine};
    case 1:
      return {cosine, -sine};
    case 2:
      return {-sine, -cosine};
    default:
      return {-cosine, sine};
  }
}

// sin and cos of πx, exact where they are 0, ±1.
SineCosine sine_cosine_of_pi(double x) {
  if (!(__builtin_elementwise_abs(x) < kInfinity)) return {kNan, kNan};
  const double n = __builtin_elementwise_rint(x * 2.0);
  const double rest = __builtin_fma(-0.5, n, x);
  const Double2 product = two_product(rest, 2.0 * kHalfPi[0]);
  const Double2 r = {product.high, product.low + rest * 2.0 * kHalfPi[1]};
  const double sine = sine_of_small(r);
  const double cosine = cosine_of_small(r);
  const double turns = n * 0.25 - __builtin_elementwise_floor(n * 0.25);
  if (turns == 0) return {rest == 0 ? __builtin_elementwise_copysign(0.0, x) : sine, cosine};
  if (turns == 0.25) return {cosine, rest == 0 ? 0.0 : -sine};
  if (turns == 0.5) return {rest == 0 ? __builtin_elementwise_copysign(0.0, x) : -sine, -cosine};
  return {-cosine, rest == 0 ? 0.0 : sine};
}

double arc_tangent(double x) {
  if (x != x || x == 0) return x;
  const double size = __builtin_elementwise_abs(x);
  // atan x = base + atan t with |t| ≤ tan(π/16), by the nearest of atan 0, tan(π/8), 1, 1/tan(π/8) and
  // infinity
  double base_high = 0.0;
  double base_low = 0.0;
  double t = size;
  constexpr double kSteps[] = {0x1.975f5e0553158p-3, 0x1.561b82ab7f990p-1, 0x1.7f218e25a7461p+0,
                               0x1.41bfee2424771p+2};
  if (size >= kSteps[3]) {
    base_high = kHalfPi[0];
    base_low = kHalfPi[1];
    t = -1.0 / size;
  } else if (size >= kSteps[0]) {
    const int eighths = size < kSteps[1] ? 1 : size < kSteps[2] ? 2 : 3;
    constexpr double kTangents[] = {0.0, 0x1.a827999fcef32p-2, 1.0, 0x1.3504f333f9de6p+1};
    // The arc tangents of these doubles, not of √2 ∓ 1.
    constexpr double kBaseHigh[] = {0.0, 0x1.921fb54442d18p-2, 0x1.921fb54442d18p-1, 0x1.2d97c7f3321d2p+0};
    constexpr double kBaseLow[] = {0.0, 0x1.c398861b78b55p-59, 0x1.1a62633145c07p-55, 0x1.fc774dbe287a0p-56};
    const double tangent = kTangents[eighths];
    t = (size - tangent) / __builtin_fma(size, tangent, 1.0);
    base_high = kBaseHigh[eighths];
    base_low = kBaseLow[eighths];
  }
  const double square = t * t;
  double sum = 0.0;
  for (int n = 27; n >= 3; n -= 2) sum = square * ((n % 4 == 1 ? 1.0 : -1.0) / n + sum);
  const double result = base_high + (base_low + (t + t * sum));
  return __builtin_elementwise_copysign(result, x);
}

double arc_tangent(double y, double x) {
  if (x != x || y != y) return kNan;
  const double pi = 2.0 * kHalfPi[0];
  double angle;
  const double ay = __builtin_elementwise_abs(y);
  const double ax = __builtin_elementwise_abs(x);
  if (ay == 0) {
    angle = 0.0;
  } else if (ax == 0) {
    angle = kHalfPi[0];
  } else if (ax == kInfinity) {
    angle = ay == kInfinity ? 0.5 * kHalfPi[0] : 0.0;
  } else if (ay == kInfinity) {
    angle = kHalfPi[0];
  } else {
    angle = arc_tangent(ay / ax);
  }
  if (Layout<double>::negative(x)) angle = pi - (angle - 2.0 * kHalfPi[1]);
  return __builtin_elementwise_copysign(angle, y);
}

double arc_sine(double x) {
  if (!(__builtin_elementwise_abs(x) <= 1.0)) return kNan;
  return x == 0 ? x : arc_tangent(x, __builtin_elementwise_sqrt((1.0 - x) * (1.0 + x)));
}
double arc_cosine(double x) {
  if (!(__builtin_elementwise_abs(x) <= 1.0)) return kNan;
  return arc_tangent(__builtin_elementwise_sqrt((1.0 - x) * (1.0 + x)), x);
}

double sine(double x) { return sine_cosine(x).sine; }
double cosine(double x) { return sine_cosine(x).cosine; }
double tangent(double x) {
  const SineCosine both = sine_cosine(x);
  return both.sine / both.cosine;
}
double sine_of_pi(double x) { return sine_cosine_of_pi(x).sine; }
double cosine_of_pi(double x) { return sine_cosine_of_pi(x).cosine; }

}  // namespace

VIRTUAL_ROCM_OF_ONE(sin, sine)
VIRTUAL_ROCM_OF_ONE(cos, cosine)
VIRTUAL_ROCM_OF_ONE(tan, tangent)
VIRTUAL_ROCM_OF_ONE(sinpi, sine_of_pi)
VIRTUAL_ROCM_OF_ONE(cospi, cosine_of_pi)
VIRTUAL_ROCM_OF_ONE(asin, arc_sine)
VIRTUAL_ROCM_OF_ONE(acos, arc_cosine)
VIRTUAL_ROCM_OF_ONE(atan, arc_tangent)
VIRTUAL_ROCM_OF_TWO(atan2, arc_tangent)

VIRTUAL_ROCM_MATH double __ocml_sincos_f64(double x, VIRTUAL_ROCM_PRIVATE double* cosine_result) {
  const SineCosine both = sine_cosine(x);
  *cosine_result = both.cosine;
  return both.sine;
}
VIRTUAL_ROCM_MATH float __ocml_sincos_f32(float x, VIRTUAL_ROCM_PRIVATE float* cosine_result) {
  const SineCosine both = sine_cosine(x);
  *cosine_result = static_cast<float>(both.cosine);
  return static_cast<float>(both.sine);
}

VIRTUAL_ROCM_MATH float __ocml_native_sin_f32(float x) { return static_cast<float>(sine(x)); }
VIRTUAL_ROCM_MATH float __ocml_native_cos_f32(float x) { return static_cast<float>(cosine(x)); }
