// SPDX-License-Identifier: MIT
//
// Floating-point arithmetic of single and double precision, edges included: every operation rounds once, as
// IEEE says.
#include "differential.hpp"

using namespace differential;

#define BINARY(name, ...) \
  template <typename T>   \
  FUNCTION(name, Pair<T>, __VA_ARGS__)
#define UNARY(name, ...) \
  template <typename T>  \
  FUNCTION(name, T, __VA_ARGS__)

BINARY(Add, a.x + a.y)
BINARY(Subtract, a.x - a.y)
BINARY(Multiply, a.x* a.y)
BINARY(Divide, a.x / a.y)
BINARY(Less, a.x < a.y)
BINARY(LessOrEqual, a.x <= a.y)
BINARY(Greater, a.x > a.y)
BINARY(GreaterOrEqual, a.x >= a.y)
BINARY(Equal, a.x == a.y)
BINARY(NotEqual, a.x != a.y)
BINARY(NotLess, !(a.x < a.y))
BINARY(Unordered, __builtin_isunordered(a.x, a.y))
BINARY(LessOrGreater, __builtin_islessgreater(a.x, a.y))
BINARY(Choose, a.x < a.y ? a.x : -a.y)
BINARY(CopySign, __builtin_elementwise_copysign(a.x, a.y))
// Zeros of different sign may come in either order, so they are left out of the smaller and the larger.
BINARY(Smaller, a.x == 0 && a.y == 0 ? T(0) : __builtin_elementwise_min(a.x, a.y))
BINARY(Larger, a.x == 0 && a.y == 0 ? T(0) : __builtin_elementwise_max(a.x, a.y))
UNARY(Negate, -a)
UNARY(Absolute, __builtin_elementwise_abs(a))
UNARY(Floor, __builtin_elementwise_floor(a))
UNARY(Ceil, __builtin_elementwise_ceil(a))
UNARY(Truncate, __builtin_elementwise_trunc(a))
UNARY(Rint, __builtin_elementwise_rint(a))
UNARY(SquareRoot, __builtin_elementwise_sqrt(a))
UNARY(OneOver, T(1) / a)
UNARY(Scale, __builtin_elementwise_abs(a) < T(1e30) ? a * T(0x1p90) : a * T(0x1p-90))
UNARY(IsFinite, __builtin_isfinite(a))
UNARY(IsNormal, __builtin_isnormal(a))
UNARY(SignBit, __builtin_signbit(a) != 0)
template <typename T>
FUNCTION(Fused, Triple<T>, __builtin_elementwise_fma(a.x, a.y, a.z))
template <typename T>
FUNCTION(FusedNegative, Triple<T>, __builtin_elementwise_fma(-a.x, a.y, -a.z))
template <typename T>
FUNCTION(Unfused, Triple<T>, a.x* a.y + a.z)
template <typename T>
FUNCTION(Clamp, Triple<T>, a.x<a.y ? a.y : a.x> a.z ? a.z : a.x)

// Conversions to integers, where the value is in the integer's range: beyond it C++ gives no result.
template <typename T, typename I>
struct ToInteger {
  __host__ __device__ I operator()(const T& a) const {
    const T low = static_cast<T>(std::numeric_limits<I>::min());
    const T high = static_cast<T>(std::numeric_limits<I>::max() / 2 + 1) * 2;
    return a > low - 1 && a < high && a == a ? static_cast<I>(a) : I(0);
  }
};
template <typename T, typename I>
struct FromInteger {
  __host__ __device__ T operator()(const I& a) const { return static_cast<T>(a); }
};
UNARY(ToFloat, static_cast<float>(a))
UNARY(ToDouble, static_cast<double>(a))
UNARY(ToHalfAndBack, static_cast<float>(static_cast<_Float16>(a)))

template <typename T, typename I>
void conversions(const char* name) {
  compare<ToInteger<T, I>>(name, floats<T>());
  compare<FromInteger<T, I>>(name, integers<I>());
}

template <typename T>
void all_of() {
  const std::vector<T> one = floats<T>();
  const std::vector<Pair<T>> two = pairs(one);
  const std::vector<Triple<T>> three = triples(one);
#define RUN(name, values) compare<name<T>>(#name, values)
  RUN(Add, two), RUN(Subtract, two), RUN(Multiply, two), RUN(Divide, two);
  RUN(Less, two), RUN(LessOrEqual, two), RUN(Greater, two), RUN(GreaterOrEqual, two), RUN(Equal, two),
      RUN(NotEqual, two);
  RUN(NotLess, two), RUN(Unordered, two), RUN(LessOrGreater, two), RUN(Choose, two), RUN(CopySign, two);
  RUN(Smaller, two), RUN(Larger, two);
  RUN(Negate, one), RUN(Absolute, one), RUN(Floor, one), RUN(Ceil, one), RUN(Truncate, one), RUN(Rint, one);
  RUN(SquareRoot, one), RUN(OneOver, one), RUN(Scale, one), RUN(IsFinite, one), RUN(IsNormal, one),
      RUN(SignBit, one);
  RUN(Fused, three), RUN(FusedNegative, three), RUN(Unfused, three), RUN(Clamp, three);
  RUN(ToFloat, one), RUN(ToDouble, one), RUN(ToHalfAndBack, one);
  conversions<T, std::int8_t>("int8"), conversions<T, std::uint8_t>("uint8"),
      conversions<T, std::int16_t>("int16");
  conversions<T, std::uint16_t>("uint16"), conversions<T, std::int32_t>("int32"),
      conversions<T, std::uint32_t>("uint32");
  conversions<T, std::int64_t>("int64"), conversions<T, std::uint64_t>("uint64");
}

int main() {
  all_of<float>();
  all_of<double>();
  return finish();
}
