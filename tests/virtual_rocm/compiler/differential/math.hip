// SPDX-License-Identifier: MIT
//
// The math functions as a kernel calls them, against the host's C library. That library is not exact itself:
// a difference of a few units in the last place is its error or ours, more is a wrong function.
#include "differential.hpp"

using namespace differential;

template <typename T>
double units_apart(T left, T right) {
  if (left != left || right != right) return (left != left) == (right != right) ? 0 : 1e9;
  if (left == right) return 0;
  if (std::isinf(left) || std::isinf(right)) {
    return std::fabs(std::isinf(left) ? right : left) == std::numeric_limits<T>::max() ? 1 : 1e9;
  }
  const T size = std::fmax(std::fabs(left), std::fabs(right));
  const T unit = size < std::numeric_limits<T>::min()
                     ? std::numeric_limits<T>::denorm_min()
                     : std::ldexp(T(1), std::ilogb(size) - std::numeric_limits<T>::digits + 1);
  return static_cast<double>(std::fabs(static_cast<long double>(left) - right) /
                             static_cast<long double>(unit));
}

template <typename Function, typename In>
void compare_within(double limit, const char* name, const std::vector<In>& inputs) {
  using Out = std::decay_t<decltype(Function{}(inputs[0]))>;
  const DeviceArray<In> in(inputs);
  const DeviceArray<Out> out(zeros<Out>(inputs.size()));
  const int count = static_cast<int>(inputs.size());
  apply<Function, In, Out><<<dim3((count + 255) / 256), dim3(256)>>>(in.get(), out.get(), count);
  require(hipDeviceSynchronize(), name);
  const std::vector<Out> got = out.read();
  int wrong = 0;
  for (int i = 0; i < count; ++i) {
    ++comparisons;
    const Out wanted = Function{}(inputs[i]);
    const double error = units_apart(got[i], wanted);
    if (error <= limit) continue;
    if (++wrong < 4) {
      std::printf("%s of ", name);
      print_bits(inputs[i]);
      std::printf(": device %a, host %a, %.1f units apart\n", static_cast<double>(got[i]),
                  static_cast<double>(wanted), error);
    }
  }
  failures += wrong;
}

#define MATH_ONE(name)                                   \
  struct F_##name {                                      \
    template <typename T>                                \
    __host__ __device__ T operator()(const T& x) const { \
      return std::name(x);                               \
    }                                                    \
  };
#define MATH_TWO(name)                                         \
  struct F_##name {                                            \
    template <typename T>                                      \
    __host__ __device__ T operator()(const Pair<T>& a) const { \
      return std::name(a.x, a.y);                              \
    }                                                          \
  };
#define ALL_ONE(apply)                                                                                       \
  apply(exp) apply(exp2) apply(expm1) apply(log) apply(log2) apply(log10) apply(log1p) apply(sqrt)           \
      apply(cbrt) apply(sin) apply(cos) apply(tan) apply(asin) apply(acos) apply(atan) apply(sinh)           \
          apply(cosh) apply(tanh) apply(asinh) apply(acosh) apply(atanh) apply(erf) apply(erfc) apply(floor) \
              apply(ceil) apply(trunc) apply(rint) apply(round) apply(fabs)
#define ALL_TWO(apply) \
  apply(pow) apply(atan2) apply(hypot) apply(fmod) apply(remainder) apply(fmax) apply(fmin) apply(fdim)
ALL_ONE(MATH_ONE)
ALL_TWO(MATH_TWO)

struct SinCos {
  template <typename T>
  __host__ __device__ T operator()(const T& x) const {
    T sine, cosine;
    if constexpr (sizeof(T) == 4) {
      sincosf(x, &sine, &cosine);
    } else {
      sincos(x, &sine, &cosine);
    }
    return sine * cosine;
  }
};
struct Parts {
  template <typename T>
  __host__ __device__ T operator()(const T& x) const {
    int exponent;
    T whole;
    const T significand = std::frexp(x, &exponent);
    const T rest = std::modf(x, &whole);
    if (!std::isfinite(x)) return T(std::isnan(x));
    return std::ldexp(significand, exponent % 7) + rest;
  }
};

template <typename T>
std::vector<T> arguments() {
  std::vector<T> values = floats<T>();
  for (int i = -200; i <= 200; ++i) values.push_back(static_cast<T>(i) / 8);
  for (int i = -40; i <= 40; ++i) values.push_back(static_cast<T>(i * 17.31));
  return values;
}

template <typename T>
void all_of(double limit) {
  const auto one = arguments<T>();
  std::vector<T> some = floats<T>();
  some.resize(80);
  const auto two = pairs(some);
#define RUN_ONE(name) compare_within<F_##name>(limit, #name, one);
#define RUN_TWO(name) compare_within<F_##name>(limit, #name, two);
  ALL_ONE(RUN_ONE)
  ALL_TWO(RUN_TWO)
  compare_within<SinCos>(2 * limit, "sincos", one);
  compare_within<Parts>(0, "frexp, modf, ldexp", one);
}

// The quick forms of CUDA and HIP.
__global__ void quick(float* out) {
  out[0] = __expf(1.5f);
  out[1] = __logf(7.0f);
  out[2] = __sinf(0.75f);
  out[3] = __fdividef(1.0f, 3.0f);
  out[4] = rsqrtf(4.0f);
  out[5] = __fmaf_rn(2.0f, 3.0f, 4.0f);
  out[6] = __powf(2.0f, 10.0f);
  out[7] = fminf(fmaxf(-1.0f, 2.0f), 1.0f);
  out[8] = static_cast<float>(max(3, -4) + min(5u, 7u) + abs(-9));
}

int main() {
  all_of<float>(2);
  all_of<double>(17);
  const DeviceArray<float> out(zeros<float>(9));
  quick<<<dim3(1), dim3(1)>>>(out.get());
  const std::vector<float> got = out.read();
  const float wanted[] = {std::exp(1.5f), std::log(7.0f), std::sin(0.75f), 1.0f / 3, 0.5f, 10, 1024, 1, 17};
  for (int i = 0; i < 9; ++i) check(units_apart(got[i], wanted[i]) <= 2, "quick forms");
  return finish();
}
