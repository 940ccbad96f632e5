// SPDX-License-Identifier: MIT
//
// The functions of clang's HIP math headers (the __ocml names) that an instruction or a few of them compute
// exactly.
//
// Portable C++: the tests compile this file for the host as well and compare.
#include "math_support.hpp"

#define VIRTUAL_ROCM_ROUNDING_FUNCTIONS(type, suffix)                                                \
  VIRTUAL_ROCM_MATH type __ocml_fabs_##suffix(type x) { return __builtin_elementwise_abs(x); }       \
  VIRTUAL_ROCM_MATH type __ocml_floor_##suffix(type x) { return __builtin_elementwise_floor(x); }    \
  VIRTUAL_ROCM_MATH type __ocml_ceil_##suffix(type x) { return __builtin_elementwise_ceil(x); }      \
  VIRTUAL_ROCM_MATH type __ocml_trunc_##suffix(type x) { return __builtin_elementwise_trunc(x); }    \
  VIRTUAL_ROCM_MATH type __ocml_rint_##suffix(type x) { return __builtin_elementwise_rint(x); }      \
  VIRTUAL_ROCM_MATH type __ocml_nearbyint_##suffix(type x) { return __builtin_elementwise_rint(x); } \
  VIRTUAL_ROCM_MATH type __ocml_sqrt_##suffix(type x) { return __builtin_elementwise_sqrt(x); }      \
  VIRTUAL_ROCM_MATH type __ocml_copysign_##suffix(type x, type y) {                                  \
    return __builtin_elementwise_copysign(x, y);                                                     \
  }                                                                                                  \
  VIRTUAL_ROCM_MATH type __ocml_fma_##suffix(type x, type y, type z) {                               \
    return __builtin_elementwise_fma(x, y, z);                                                       \
  }

VIRTUAL_ROCM_ROUNDING_FUNCTIONS(float, f32)
VIRTUAL_ROCM_ROUNDING_FUNCTIONS(double, f64)
#if defined(__AMDGCN__)
VIRTUAL_ROCM_ROUNDING_FUNCTIONS(_Float16, f16)
#endif

namespace {

using virtual_rocm::device::bits_of;
using virtual_rocm::device::Layout;
using virtual_rocm::device::value_of;

template <typename T>
bool is_nan(T x) {
  return x != x;
}
template <typename T>
bool is_infinite(T x) {
  return __builtin_elementwise_abs(x) == static_cast<T>(__builtin_inf());
}

// Halves away from zero. The sum with a half would round up the number just below it.
template <typename T>
T round_half_away(T x) {
  const T whole = __builtin_elementwise_trunc(x);
  const T rest = __builtin_elementwise_abs(x - whole);
  return rest >= T(0.5) ? whole + __builtin_elementwise_copysign(T(1), x) : whole;
}

template <typename T>
T larger(T x, T y) {
  return is_nan(x) ? y : (is_nan(y) || x > y || (x == y && !Layout<T>::negative(x))) ? x : y;
}
template <typename T>
T smaller(T x, T y) {
  return is_nan(x) ? y : (is_nan(y) || x < y || (x == y && Layout<T>::negative(x))) ? x : y;
}

// Divides as on paper, one bit of the quotient at a time, so the remainder is exact. `quotient` gets its low
// bits.
template <typename T>
T remainder_towards_zero(T x, T y, unsigned* quotient) {
  *quotient = 0;
  if (is_nan(x) || is_nan(y) || is_infinite(x) || y == 0) return static_cast<T>(__builtin_nan(""));
  if (is_infinite(y) || x == 0) return x;
  T rest = __builtin_elementwise_abs(x);
  const T divisor = __builtin_elementwise_abs(y);
  if (rest < divisor) return x;
  int shift = Layout<T>::exponent(rest) - Layout<T>::exponent(divisor);
  for (; shift >= 0; --shift) {
    const T scaled = virtual_rocm::device::scale(divisor, shift);
    *quotient <<= 1;
    if (rest >= scaled) {
      rest -= scaled;
      *quotient |= 1;
    }
  }
  return __builtin_elementwise_copysign(rest, x);
}

template <typename T>
T remainder_to_nearest(T x, T y, unsigned* quotient) {
  const T rest = remainder_towards_zero(x, y, quotient);
  if (is_nan(rest) || is_infinite(y)) return rest;
  const T size = __builtin_elementwise_abs(rest);
  const T divisor = __builtin_elementwise_abs(y);
  // Twice the rest could overflow, so the two are compared by what is missing to the divisor.
  const T missing = divisor - size;
  if (size > missing || (size == missing && (*quotient & 1) != 0)) {
    *quotient += 1;
    return __builtin_elementwise_copysign(missing, Layout<T>::negative(x) ? T(1) : T(-1));
  }
  return rest;
}

template <typename T>
T next_after(T x, T y) {
  if (is_nan(x) || is_nan(y)) return x + y;
  if (x == y) return y;
  using Bits = typename Layout<T>::Bits;
  if (x == 0) return __builtin_elementwise_copysign(value_of<T>(Bits{1}), y);
  const bool outwards = (y > x) == (x > 0);
  return value_of<T>(static_cast<Bits>(bits_of(x) + (outwards ? 1 : -1)));
}

}  // namespace

#define VIRTUAL_ROCM_BASIC_FUNCTIONS(type, suffix)                                                           \
  VIRTUAL_ROCM_MATH type __ocml_round_##suffix(type x) { return round_half_away(x); }                        \
  VIRTUAL_ROCM_MATH type __ocml_rsqrt_##suffix(type x) { return type(1) / __builtin_elementwise_sqrt(x); }   \
  VIRTUAL_ROCM_MATH type __ocml_fmax_##suffix(type x, type y) { return larger(x, y); }                       \
  VIRTUAL_ROCM_MATH type __ocml_fmin_##suffix(type x, type y) { return smaller(x, y); }                      \
  VIRTUAL_ROCM_MATH type __ocml_fdim_##suffix(type x, type y) {                                              \
    return is_nan(x) || is_nan(y) ? x + y : x > y ? x - y : type(0);                                         \
  }                                                                                                          \
  VIRTUAL_ROCM_MATH int __ocml_isnan_##suffix(type x) { return is_nan(x); }                                  \
  VIRTUAL_ROCM_MATH int __ocml_isinf_##suffix(type x) { return is_infinite(x); }                             \
  VIRTUAL_ROCM_MATH int __ocml_isfinite_##suffix(type x) { return !is_nan(x) && !is_infinite(x); }           \
  VIRTUAL_ROCM_MATH int __ocml_signbit_##suffix(type x) { return Layout<type>::negative(x); }                \
  VIRTUAL_ROCM_MATH type __ocml_ldexp_##suffix(type x, int n) { return virtual_rocm::device::scale(x, n); }  \
  VIRTUAL_ROCM_MATH type __ocml_scalbn_##suffix(type x, int n) { return virtual_rocm::device::scale(x, n); } \
  VIRTUAL_ROCM_MATH type __ocml_frexp_##suffix(type x, VIRTUAL_ROCM_PRIVATE int* exponent) {                 \
    if (is_nan(x) || is_infinite(x) || x == 0) {                                                             \
      *exponent = 0;                                                                                         \
      return x;                                                                                              \
    }                                                                                                        \
    *exponent = Layout<type>::exponent(x) + 1;                                                               \
    return virtual_rocm::device::scale(x, -*exponent);                                                       \
  }                                                                                                          \
  VIRTUAL_ROCM_MATH int __ocml_ilogb_##suffix(type x) {                                                      \
    return x == 0 ? -2147483647 - 1 : is_nan(x) || is_infinite(x) ? 2147483647 : Layout<type>::exponent(x);  \
  }                                                                                                          \
  VIRTUAL_ROCM_MATH type __ocml_logb_##suffix(type x) {                                                      \
    return is_nan(x)        ? x                                                                              \
           : is_infinite(x) ? static_cast<type>(__builtin_inf())                                             \
           : x == 0         ? -static_cast<type>(__builtin_inf())                                            \
                            : static_cast<type>(Layout<type>::exponent(x));                                          \
  }                                                                                                          \
  VIRTUAL_ROCM_MATH type __ocml_modf_##suffix(type x, VIRTUAL_ROCM_PRIVATE type* whole) {                    \
    *whole = __builtin_elementwise_trunc(x);                                                                 \
    return __builtin_elementwise_copysign(is_infinite(x) ? type(0) : x - *whole, x);                         \
  }                                                                                                          \
  VIRTUAL_ROCM_MATH type __ocml_fmod_##suffix(type x, type y) {                                              \
    unsigned quotient;                                                                                       \
    return remainder_towards_zero(x, y, &quotient);                                                          \
  }                                                                                                          \
  VIRTUAL_ROCM_MATH type __ocml_remainder_##suffix(type x, type y) {                                         \
    unsigned quotient;                                                                                       \
    return remainder_to_nearest(x, y, &quotient);                                                            \
  }                                                                                                          \
  VIRTUAL_ROCM_MATH type __ocml_remquo_##suffix(type x, type y, VIRTUAL_ROCM_PRIVATE int* result) {          \
    unsigned quotient;                                                                                       \
    const type rest = remainder_to_nearest(x, y, &quotient);                                                 \
    const int low = static_cast<int>(quotient & 0x7f);                                                       \
    *result = Layout<type>::negative(x) != Layout<type>::negative(y) ? -low : low;                           \
    return rest;                                                                                             \
  }                                                                                                          \
  VIRTUAL_ROCM_MATH type __ocml_nextafter_##suffix(type x, type y) { return next_after(x, y); }

VIRTUAL_ROCM_BASIC_FUNCTIONS(float, f32)
VIRTUAL_ROCM_BASIC_FUNCTIONS(double, f64)

// Arithmetic that asks for rounding to nearest by name; the other roundings are not here.
#define VIRTUAL_ROCM_ROUNDED_ARITHMETIC(type, suffix)                                               \
  VIRTUAL_ROCM_MATH type __ocml_add_rte_##suffix(type x, type y) { return x + y; }                  \
  VIRTUAL_ROCM_MATH type __ocml_sub_rte_##suffix(type x, type y) { return x - y; }                  \
  VIRTUAL_ROCM_MATH type __ocml_mul_rte_##suffix(type x, type y) { return x * y; }                  \
  VIRTUAL_ROCM_MATH type __ocml_div_rte_##suffix(type x, type y) { return x / y; }                  \
  VIRTUAL_ROCM_MATH type __ocml_sqrt_rte_##suffix(type x) { return __builtin_elementwise_sqrt(x); } \
  VIRTUAL_ROCM_MATH type __ocml_fma_rte_##suffix(type x, type y, type z) {                          \
    return __builtin_elementwise_fma(x, y, z);                                                      \
  }
VIRTUAL_ROCM_ROUNDED_ARITHMETIC(float, f32)
VIRTUAL_ROCM_ROUNDED_ARITHMETIC(double, f64)
