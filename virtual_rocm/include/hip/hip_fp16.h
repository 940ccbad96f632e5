// SPDX-License-Identifier: MIT
//
// Half precision: __half, __half2, their conversions and arithmetic. The compiler's _Float16 does the work.
#pragma once

#include <hip/amd_detail/host_defines.h>
#include <hip/hip_vector_types.h>

#include <type_traits>

typedef _Float16 __amd_fp16_storage_t;
typedef _Float16 __amd_fp16x2_storage_t __attribute__((ext_vector_type(2)));

struct __half_raw {
  union {
    _Float16 data;
    unsigned short x;
  };
};
struct __half2_raw {
  union {
    struct {
      unsigned short x;
      unsigned short y;
    };
    __amd_fp16x2_storage_t data;
  };
};

struct __half {
  union {
    _Float16 data;
    unsigned short __x;
  };

  __HOST_DEVICE__ __half() = default;
  __HOST_DEVICE__ constexpr __half(const __half_raw& raw) : data(raw.data) {}
  __HOST_DEVICE__ constexpr __half(_Float16 value) : data(value) {}
  template <typename T, typename std::enable_if<std::is_arithmetic<T>::value, int>::type = 0>
  __HOST_DEVICE__ constexpr __half(T value) : data(static_cast<_Float16>(value)) {}

  __HOST_DEVICE__ operator _Float16() const { return data; }
  __HOST_DEVICE__ operator float() const { return static_cast<float>(data); }
  __HOST_DEVICE__ operator __half_raw() const {
    __half_raw raw;
    raw.data = data;
    return raw;
  }
  template <typename T, typename std::enable_if<std::is_integral<T>::value || std::is_same<T, double>::value,
                                                int>::type = 0>
  __HOST_DEVICE__ explicit operator T() const {
    return static_cast<T>(data);
  }

  __HOST_DEVICE__ __half& operator+=(__half other) {
    return *this = __half(static_cast<_Float16>(data + other.data));
  }
  __HOST_DEVICE__ __half& operator-=(__half other) {
    return *this = __half(static_cast<_Float16>(data - other.data));
  }
  __HOST_DEVICE__ __half& operator*=(__half other) {
    return *this = __half(static_cast<_Float16>(data * other.data));
  }
  __HOST_DEVICE__ __half& operator/=(__half other) {
    return *this = __half(static_cast<_Float16>(data / other.data));
  }
  __HOST_DEVICE__ __half operator-() const { return __half(static_cast<_Float16>(-data)); }
};
typedef __half half;

struct __half2 {
  union {
    __amd_fp16x2_storage_t data;
    struct {
      __half x;
      __half y;
    };
  };

  __HOST_DEVICE__ __half2() = default;
  __HOST_DEVICE__ constexpr __half2(__amd_fp16x2_storage_t value) : data(value) {}
  __HOST_DEVICE__ constexpr __half2(const __half2_raw& raw) : data(raw.data) {}
  __HOST_DEVICE__ constexpr __half2(const __half& x_, const __half& y_) : data{x_.data, y_.data} {}
  __HOST_DEVICE__ operator __amd_fp16x2_storage_t() const { return data; }
  __HOST_DEVICE__ operator __half2_raw() const {
    __half2_raw raw;
    raw.data = data;
    return raw;
  }
  __HOST_DEVICE__ __half2& operator+=(const __half2& other) { return *this = __half2(data + other.data); }
  __HOST_DEVICE__ __half2& operator-=(const __half2& other) { return *this = __half2(data - other.data); }
  __HOST_DEVICE__ __half2& operator*=(const __half2& other) { return *this = __half2(data * other.data); }
  __HOST_DEVICE__ __half2& operator/=(const __half2& other) { return *this = __half2(data / other.data); }
};
typedef __half2 half2;

static_assert(sizeof(__half) == 2 && sizeof(__half2) == 4, "half types are plain bits");

#define VIRTUAL_ROCM_HALF_OPERATOR(op)                                                    \
  __HOST_DEVICE__ inline __half operator op(const __half& left, const __half& right) {    \
    return __half(static_cast<_Float16>(left.data op right.data));                        \
  }                                                                                       \
  __HOST_DEVICE__ inline __half2 operator op(const __half2& left, const __half2& right) { \
    return __half2(left.data op right.data);                                              \
  }
VIRTUAL_ROCM_HALF_OPERATOR(+)
VIRTUAL_ROCM_HALF_OPERATOR(-)
VIRTUAL_ROCM_HALF_OPERATOR(*)
VIRTUAL_ROCM_HALF_OPERATOR(/)
#undef VIRTUAL_ROCM_HALF_OPERATOR
#define VIRTUAL_ROCM_HALF_COMPARE(op, name)                                          \
  __HOST_DEVICE__ inline bool operator op(const __half& left, const __half& right) { \
    return left.data op right.data;                                                  \
  }                                                                                  \
  __HOST_DEVICE__ inline bool name(__half left, __half right) { return left.data op right.data; }
VIRTUAL_ROCM_HALF_COMPARE(==, __heq)
VIRTUAL_ROCM_HALF_COMPARE(!=, __hne)
VIRTUAL_ROCM_HALF_COMPARE(<, __hlt)
VIRTUAL_ROCM_HALF_COMPARE(<=, __hle)
VIRTUAL_ROCM_HALF_COMPARE(>, __hgt)
VIRTUAL_ROCM_HALF_COMPARE(>=, __hge)
#undef VIRTUAL_ROCM_HALF_COMPARE

// --- conversions ---
__HOST_DEVICE__ inline __half __float2half(float value) { return __half(static_cast<_Float16>(value)); }
__HOST_DEVICE__ inline __half __float2half_rn(float value) { return __half(static_cast<_Float16>(value)); }
__HOST_DEVICE__ inline float __half2float(__half value) { return static_cast<float>(value.data); }
__HOST_DEVICE__ inline __half __double2half(double value) { return __half(static_cast<_Float16>(value)); }
__HOST_DEVICE__ inline __half2 __float2half2_rn(float value) { return __half2(__half(value), __half(value)); }
__HOST_DEVICE__ inline __half2 __floats2half2_rn(float x, float y) { return __half2(__half(x), __half(y)); }
__HOST_DEVICE__ inline __half2 __float22half2_rn(float2 value) { return __floats2half2_rn(value.x, value.y); }
__HOST_DEVICE__ inline float2 __half22float2(__half2 value) {
  return float2(static_cast<float>(value.data[0]), static_cast<float>(value.data[1]));
}
__HOST_DEVICE__ inline float __low2float(__half2 value) { return static_cast<float>(value.data[0]); }
__HOST_DEVICE__ inline float __high2float(__half2 value) { return static_cast<float>(value.data[1]); }
__HOST_DEVICE__ inline __half __low2half(__half2 value) { return value.x; }
__HOST_DEVICE__ inline __half __high2half(__half2 value) { return value.y; }
__HOST_DEVICE__ inline __half2 __half2half2(__half value) { return __half2(value, value); }
__HOST_DEVICE__ inline __half2 __halves2half2(__half x, __half y) { return __half2(x, y); }
__HOST_DEVICE__ inline __half2 make_half2(__half x, __half y) { return __half2(x, y); }
__HOST_DEVICE__ inline unsigned short __half_as_ushort(__half value) { return value.__x; }
__HOST_DEVICE__ inline short __half_as_short(__half value) { return static_cast<short>(value.__x); }
__HOST_DEVICE__ inline __half __ushort_as_half(unsigned short bits) {
  __half_raw raw;
  raw.x = bits;
  return __half(raw);
}

// --- arithmetic by name ---
__HOST_DEVICE__ inline __half __hadd(__half left, __half right) { return left + right; }
__HOST_DEVICE__ inline __half __hsub(__half left, __half right) { return left - right; }
__HOST_DEVICE__ inline __half __hmul(__half left, __half right) { return left * right; }
__HOST_DEVICE__ inline __half __hdiv(__half left, __half right) { return left / right; }
__HOST_DEVICE__ inline __half __hneg(__half value) { return -value; }
__HOST_DEVICE__ inline __half __habs(__half value) {
  return __half(static_cast<_Float16>(__builtin_elementwise_abs(value.data)));
}
__HOST_DEVICE__ inline __half __hfma(__half x, __half y, __half z) {
  return __half(static_cast<_Float16>(__builtin_elementwise_fma(x.data, y.data, z.data)));
}
__HOST_DEVICE__ inline __half2 __hadd2(__half2 left, __half2 right) { return left + right; }
__HOST_DEVICE__ inline __half2 __hsub2(__half2 left, __half2 right) { return left - right; }
__HOST_DEVICE__ inline __half2 __hmul2(__half2 left, __half2 right) { return left * right; }
__HOST_DEVICE__ inline __half2 __hfma2(__half2 x, __half2 y, __half2 z) {
  return __half2(__builtin_elementwise_fma(x.data, y.data, z.data));
}
__HOST_DEVICE__ inline bool __hisnan(__half value) { return value.data != value.data; }
