// SPDX-License-Identifier: MIT
//
// Exponentials, logarithms, powers, circular and hyperbolic functions of clang's HIP math headers (the __ocml names).
//
// All are computed in double precision. For float that gives the nearest value in all but very rare cases; AMD's own
// library may be one to a few units in the last place away from it, so a result can differ from hardware's in the last
// bits. In double the error is at most 16 units, and mostly below 2. Portable C++: the tests compile this file for the host
// as well.
#include "math_support.hpp"

namespace {

using virtual_rocm::device::bits_of;
using virtual_rocm::device::Layout;
using virtual_rocm::device::scale;
using virtual_rocm::device::value_of;

constexpr double kInfinity = __builtin_inf();
constexpr double kNan = __builtin_nan("");

// ln 2 in two parts, of which the first has so few bits that its product with an exponent is exact.
constexpr double kLn2High = 0x1.62e42fefp-1;
constexpr double kLn2Low = 0x1.473de6af278ecp-34;
constexpr double kLog2E = 0x1.71547652b82fep+0;
constexpr double kLn10 = 0x1.26bb1bbb55516p+1;
constexpr double kHalfPi[3] = {0x1.921fb54442d18p+0, 0x1.1a62633145c06p-54, 0x1.c1cd129024e08p-107};
constexpr double kTwoOverSqrtPi = 0x1.20dd750429b6dp+0;

// A number as a sum of two, about 106 bits.
struct Double2 {
  double high;
  double low;
};
Double2 two_sum(double x, double y) {
  const double sum = x + y;
  const double part = sum - x;
  return {sum, (x - (sum - part)) + (y - part)};
}
Double2 two_product(double x, double y) {
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
double exponential_tail(double r) {
  constexpr double kInverseFactorials[] = {1.0 / 2,       1.0 / 6,         1.0 / 24,        1.0 / 120,
                                           1.0 / 720,     1.0 / 5040,      1.0 / 40320,     1.0 / 362880,
                                           1.0 / 3628800, 1.0 / 39916800., 1.0 / 479001600., 1.0 / 6227020800.};
  return polynomial(kInverseFactorials, r);
}

// e^(x.high + x.low)
double exponential(Double2 x) {
  if (!(x.high < 710.0)) return x.high != x.high ? x.high : kInfinity;
  if (x.high < -746.0) return 0.0;
  const double n = __builtin_elementwise_rint(x.high * kLog2E);
  const double r = __builtin_fma(-n, kLn2Low, __builtin_fma(-n, kLn2High, x.high)) + x.low;
  const double result = 1.0 + (r + r * r * exponential_tail(r));
  return scale(result, static_cast<int>(n));
}
double exponential(double x) { return exponential({x, 0.0}); }

double exponential_minus_one(double x) {
  if (!(__builtin_elementwise_abs(x) < 0.35)) return exponential(x) - 1.0;
  return x == 0 ? x : x + x * x * exponential_tail(x);
}

// --- logarithms ---

// The natural logarithm of a positive finite number, to about 2^-62 of its value.
Double2 logarithm(double x) {
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

double natural_logarithm(double x) {
  if (x != x || x < 0) return kNan;
  if (x == 0) return -kInfinity;
  if (x == kInfinity) return x;
  const Double2 result = logarithm(x);
  return result.high + result.low;
}

// log_b x, by the inverse of ln b in two parts.
double logarithm_to_base(double x, double inverse_high, double inverse_low) {
  if (!(x > 0) || x == kInfinity) return natural_logarithm(x);
  const Double2 ln = logarithm(x);
  const Double2 product = two_product(ln.high, inverse_high);
  return product.high + (product.low + ln.high * inverse_low + ln.low * inverse_high);
}

double logarithm_of_one_plus(double x) {
  if (x < -1.0) return kNan;
  if (x == -1.0) return -kInfinity;
  if (x != x || x == kInfinity || x == 0) return x;
  const Double2 u = two_sum(1.0, x);
  const Double2 ln = logarithm(u.high);
  return ln.high + (ln.low + u.low / u.high);
}

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

// Large angles: multiplies the 53 bits of x with those bits of 2/π that matter: what is above gives whole turns.
Angle reduce_large(double x) {
  const unsigned long long bits = bits_of(x);
  const unsigned long long significand = (bits & 0xfffffffffffffull) | 0x10000000000000ull;
  const int exponent = static_cast<int>((bits >> 52) & 0x7ff) - 1075;  // x = significand × 2^exponent
  // The product's integer bits below 2^2 begin at this bit of 2/π; before it are multiples of four right angles.
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
    fraction_low = (middle >> -point) | (point == 0 ? 0 : static_cast<unsigned long long>(p0) << (64 + point));
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
  const double low = static_cast<double>(static_cast<unsigned long long>((fraction >> 11) & ((Wide{1} << 64) - 1))) *
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
  constexpr double kCoefficients[] = {-1.0 / 6,          1.0 / 120,          -1.0 / 5040,        1.0 / 362880,
                                      -1.0 / 39916800.0, 1.0 / 6227020800.0, -1.0 / 1307674368000.0,
                                      1.0 / 355687428096000.0};
  const double square = r.high * r.high;
  return r.high + (r.high * square * polynomial(kCoefficients, square) + r.low * (1.0 - 0.5 * square));
}
double cosine_of_small(Double2 r) {
  constexpr double kCoefficients[] = {1.0 / 24,          -1.0 / 720,           1.0 / 40320,          -1.0 / 3628800,
                                      1.0 / 479001600.0, -1.0 / 87178291200.0, 1.0 / 20922789888000.0,
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
  // atan x = base + atan t with |t| ≤ tan(π/16), by the nearest of atan 0, tan(π/8), 1, 1/tan(π/8) and infinity
  double base_high = 0.0;
  double base_low = 0.0;
  double t = size;
  constexpr double kSteps[] = {0x1.975f5e0553158p-3, 0x1.561b82ab7f990p-1, 0x1.7f218e25a7461p+0, 0x1.41bfee2424771p+2};
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
  const double result = size > 0x1p28
                            ? natural_logarithm(size) + (kLn2High + kLn2Low)
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

}  // namespace

#define VIRTUAL_ROCM_OF_ONE(name, function)                                                               \
  VIRTUAL_ROCM_MATH double __ocml_##name##_f64(double x) { return function(x); }                          \
  VIRTUAL_ROCM_MATH float __ocml_##name##_f32(float x) { return static_cast<float>(function(static_cast<double>(x))); }
#define VIRTUAL_ROCM_OF_TWO(name, function)                                                               \
  VIRTUAL_ROCM_MATH double __ocml_##name##_f64(double x, double y) { return function(x, y); }             \
  VIRTUAL_ROCM_MATH float __ocml_##name##_f32(float x, float y) {                                         \
    return static_cast<float>(function(static_cast<double>(x), static_cast<double>(y)));                  \
  }

namespace {
double sine(double x) { return sine_cosine(x).sine; }
double cosine(double x) { return sine_cosine(x).cosine; }
double tangent(double x) {
  const SineCosine both = sine_cosine(x);
  return both.sine / both.cosine;
}
double sine_of_pi(double x) { return sine_cosine_of_pi(x).sine; }
double cosine_of_pi(double x) { return sine_cosine_of_pi(x).cosine; }
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
VIRTUAL_ROCM_OF_ONE(sin, sine)
VIRTUAL_ROCM_OF_ONE(cos, cosine)
VIRTUAL_ROCM_OF_ONE(tan, tangent)
VIRTUAL_ROCM_OF_ONE(sinpi, sine_of_pi)
VIRTUAL_ROCM_OF_ONE(cospi, cosine_of_pi)
VIRTUAL_ROCM_OF_ONE(asin, arc_sine)
VIRTUAL_ROCM_OF_ONE(acos, arc_cosine)
VIRTUAL_ROCM_OF_ONE(atan, arc_tangent)
VIRTUAL_ROCM_OF_ONE(sinh, hyperbolic_sine)
VIRTUAL_ROCM_OF_ONE(cosh, hyperbolic_cosine)
VIRTUAL_ROCM_OF_ONE(tanh, hyperbolic_tangent)
VIRTUAL_ROCM_OF_ONE(asinh, area_hyperbolic_sine)
VIRTUAL_ROCM_OF_ONE(acosh, area_hyperbolic_cosine)
VIRTUAL_ROCM_OF_ONE(atanh, area_hyperbolic_tangent)
VIRTUAL_ROCM_OF_ONE(erf, error)
VIRTUAL_ROCM_OF_ONE(erfc, complementary_error)
VIRTUAL_ROCM_OF_TWO(pow, power)
VIRTUAL_ROCM_OF_TWO(atan2, arc_tangent)
VIRTUAL_ROCM_OF_TWO(hypot, hypotenuse)

VIRTUAL_ROCM_MATH double __ocml_pown_f64(double x, int n) { return power(x, n); }
VIRTUAL_ROCM_MATH float __ocml_pown_f32(float x, int n) { return static_cast<float>(power(x, n)); }

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

// The "native" ones promise speed and little accuracy; these are accurate.
VIRTUAL_ROCM_MATH float __ocml_native_exp_f32(float x) { return static_cast<float>(exponential(x)); }
VIRTUAL_ROCM_MATH float __ocml_native_exp10_f32(float x) { return static_cast<float>(exponential_of_base_10(x)); }
VIRTUAL_ROCM_MATH float __ocml_native_log_f32(float x) { return static_cast<float>(natural_logarithm(x)); }
VIRTUAL_ROCM_MATH float __ocml_native_log2_f32(float x) { return static_cast<float>(logarithm_2(x)); }
VIRTUAL_ROCM_MATH float __ocml_native_log10_f32(float x) { return static_cast<float>(logarithm_10(x)); }
VIRTUAL_ROCM_MATH float __ocml_native_sin_f32(float x) { return static_cast<float>(sine(x)); }
VIRTUAL_ROCM_MATH float __ocml_native_cos_f32(float x) { return static_cast<float>(cosine(x)); }
