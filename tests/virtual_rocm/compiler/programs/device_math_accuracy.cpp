// SPDX-License-Identifier: MIT
//
// Compares the device's math functions, compiled for the host, with the C library's in long double. Prints
// one line per function: its name, the number of arguments tried, the largest error in units of the last
// place.
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <limits>
#include <vector>

extern "C" {
#define DECLARE_ONE(name)             \
  double __ocml_##name##_f64(double); \
  float __ocml_##name##_f32(float);
#define DECLARE_TWO(name)                     \
  double __ocml_##name##_f64(double, double); \
  float __ocml_##name##_f32(float, float);
#define FUNCTIONS_OF_ONE(apply)                                                                             \
  apply(exp) apply(exp2) apply(exp10) apply(expm1) apply(log) apply(log2) apply(log10) apply(log1p)         \
      apply(cbrt) apply(sin) apply(cos) apply(tan) apply(asin) apply(acos) apply(atan) apply(sinh)          \
          apply(cosh) apply(tanh) apply(asinh) apply(acosh) apply(atanh) apply(erf) apply(erfc) apply(sqrt) \
              apply(floor) apply(ceil) apply(trunc) apply(rint) apply(round) apply(fabs) apply(logb)
#define FUNCTIONS_OF_TWO(apply) \
  apply(pow) apply(atan2) apply(hypot) apply(fmod) apply(remainder) apply(fmax) apply(fmin) apply(fdim)
FUNCTIONS_OF_ONE(DECLARE_ONE)
FUNCTIONS_OF_TWO(DECLARE_TWO)
DECLARE_TWO(nextafter)
}

namespace {

std::uint64_t state = 88172645463325252ull;
std::uint64_t next_bits() {
  state ^= state << 13;
  state ^= state >> 7;
  state ^= state << 17;
  return state;
}

// All sizes of numbers, and the edges.
template <typename T>
std::vector<T> arguments() {
  using Limits = std::numeric_limits<T>;
  std::vector<T> values = {T(0),
                           -T(0),
                           T(1),
                           T(-1),
                           T(0.5),
                           T(-0.5),
                           T(2),
                           T(-2),
                           T(3),
                           T(-3),
                           Limits::max(),
                           -Limits::max(),
                           Limits::min(),
                           -Limits::min(),
                           Limits::denorm_min(),
                           -Limits::denorm_min(),
                           Limits::infinity(),
                           -Limits::infinity(),
                           Limits::quiet_NaN(),
                           T(1) + Limits::epsilon(),
                           T(1) - Limits::epsilon() / 2,
                           T(0.49999999999999994),
                           T(1e22),
                           T(355),
                           T(710.5),
                           T(-745.2),
                           T(88.8),
                           T(-103.5),
                           T(11),
                           T(6.5)};
  for (int i = 0; i < 6000; ++i) {
    const std::uint64_t bits = next_bits();
    T value;
    std::memcpy(&value, &bits, sizeof value);
    values.push_back(value);  // any bits at all
    values.push_back(
        static_cast<T>((static_cast<double>(next_bits() >> 11) / 0x1p53 - 0.5) * 4));  // around 1
    values.push_back(
        static_cast<T>((static_cast<double>(next_bits() >> 11) / 0x1p53 - 0.5) * 1500));  // hundreds
  }
  return values;
}

// The distance in units of the last place of T at `exact`; a wrong NaN or infinity is a large one. So is
// a wrong sign of zero, except of fmax and fmin, whose zeros the C library orders or not as it likes.
template <typename T>
double units(T result, long double exact, bool zeros_are_equal = false) {
  const T rounded = static_cast<T>(exact);
  if (std::isnan(rounded) || std::isnan(result)) return std::isnan(rounded) == std::isnan(result) ? 0 : 1e9;
  if (rounded == result) {
    return rounded == 0 && !zeros_are_equal && std::signbit(rounded) != std::signbit(result) ? 1e9 : 0;
  }
  if (std::isinf(rounded) || std::isinf(result)) {
    // Half a unit below the limit both answers are next to each other.
    const T limit = std::numeric_limits<T>::max();
    return std::fabs(std::isinf(rounded) ? result : rounded) == limit ? 1 : 1e9;
  }
  const T size = std::fabs(rounded);
  const T unit = size < std::numeric_limits<T>::min()
                     ? std::numeric_limits<T>::denorm_min()
                     : std::ldexp(T(1), std::ilogb(size) - std::numeric_limits<T>::digits + 1);
  return static_cast<double>(std::fabs(static_cast<long double>(result) - exact) /
                             static_cast<long double>(unit));
}

template <typename T, typename Function, typename Reference>
void compare_one(const char* name, Function function, Reference reference) {
  double worst = 0;
  T at = 0;
  int count = 0;
  for (const T x : arguments<T>()) {
    const double error = units<T>(function(x), reference(static_cast<long double>(x)));
    if (error > worst) {
      worst = error;
      at = x;
    }
    ++count;
  }
  std::printf("%s_%s %d %.3f %a\n", name, sizeof(T) == 4 ? "f32" : "f64", count, worst,
              static_cast<double>(at));
}

template <typename T, typename Function, typename Reference>
void compare_two(const char* name, Function function, Reference reference) {
  const std::vector<T> xs = arguments<T>();
  double worst = 0;
  T at_x = 0;
  T at_y = 0;
  int count = 0;
  const bool zeros_are_equal = std::strncmp(name, "fm", 2) == 0 && std::strcmp(name, "fmod") != 0;
  const auto check = [&](T x, T y) {
    const double error = units<T>(function(x, y), reference(x, y), zeros_are_equal);
    if (error > worst) {
      worst = error;
      at_x = x;
      at_y = y;
    }
    ++count;
  };
  for (std::size_t i = 0; i < xs.size(); ++i) check(xs[i], xs[(i * 7919 + 13) % xs.size()]);
  for (std::size_t i = 0; i < 30; ++i) {
    for (std::size_t j = 0; j < 30; ++j) check(xs[i], xs[j]);
  }
  std::printf("%s_%s %d %.3f %a %a\n", name, sizeof(T) == 4 ? "f32" : "f64", count, worst,
              static_cast<double>(at_x), static_cast<double>(at_y));
}

long double exp10_long(long double x) { return powl(10.0L, x); }
#define exp10l exp10_long

}  // namespace

int main() {
#define COMPARE_ONE(name)                                                                    \
  compare_one<double>(#name, __ocml_##name##_f64, [](long double x) { return name##l(x); }); \
  compare_one<float>(#name, __ocml_##name##_f32, [](long double x) { return name##l(x); });
  FUNCTIONS_OF_ONE(COMPARE_ONE)
#define COMPARE_TWO(name)                                                               \
  compare_two<double>(#name, __ocml_##name##_f64,                                       \
                      [](double x, double y) -> long double { return name##l(x, y); }); \
  compare_two<float>(#name, __ocml_##name##_f32,                                        \
                     [](float x, float y) -> long double { return name##l(x, y); });
  FUNCTIONS_OF_TWO(COMPARE_TWO)
  // The next number is one of the type itself, so the reference is too.
  compare_two<double>("nextafter", __ocml_nextafter_f64,
                      [](double x, double y) { return std::nextafter(x, y); });
  compare_two<float>("nextafter", __ocml_nextafter_f32,
                     [](float x, float y) { return std::nextafter(x, y); });
  return 0;
}
