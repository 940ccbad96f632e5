// SPDX-License-Identifier: MIT
//
// The newer bfloat16 types: __hip_bfloat16 and __hip_bfloat162, over the compiler's __bf16.
#pragma once

#include <hip/amd_detail/host_defines.h>
#include <hip/hip_vector_types.h>

#include <type_traits>

typedef __bf16 __amd_bf16_storage_t;
typedef __bf16 __amd_bf16x2_storage_t __attribute__((ext_vector_type(2)));

struct __hip_bfloat16_raw {
  unsigned short x;
};
struct __hip_bfloat162_raw {
  unsigned short x;
  unsigned short y;
};

struct __attribute__((aligned(2))) __hip_bfloat16 {
 protected:
  __bf16 __x;

 public:
  __HOST_DEVICE__ __hip_bfloat16() = default;
  __HOST_DEVICE__ constexpr __hip_bfloat16(__bf16 value) : __x(value) {}
  __HOST_DEVICE__ constexpr __hip_bfloat16(const __hip_bfloat16_raw& raw)
      : __x(__builtin_bit_cast(__bf16, raw.x)) {}
  template <typename T, typename std::enable_if<std::is_arithmetic<T>::value, int>::type = 0>
  __HOST_DEVICE__ constexpr __hip_bfloat16(T value) : __x(static_cast<__bf16>(static_cast<float>(value))) {}

  __HOST_DEVICE__ constexpr operator __bf16() const { return __x; }
  __HOST_DEVICE__ constexpr operator float() const { return static_cast<float>(__x); }
  __HOST_DEVICE__ constexpr operator __hip_bfloat16_raw() const {
    return __hip_bfloat16_raw{__builtin_bit_cast(unsigned short, __x)};
  }
  template <typename T, typename std::enable_if<std::is_integral<T>::value || std::is_same<T, double>::value,
                                                int>::type = 0>
  __HOST_DEVICE__ explicit constexpr operator T() const {
    return static_cast<T>(static_cast<float>(__x));
  }

  __HOST_DEVICE__ __hip_bfloat16& operator+=(const __hip_bfloat16& other) {
    return *this = __hip_bfloat16(static_cast<float>(__x) + static_cast<float>(other.__x));
  }
  __HOST_DEVICE__ __hip_bfloat16& operator-=(const __hip_bfloat16& other) {
    return *this = __hip_bfloat16(static_cast<float>(__x) - static_cast<float>(other.__x));
  }
  __HOST_DEVICE__ __hip_bfloat16& operator*=(const __hip_bfloat16& other) {
    return *this = __hip_bfloat16(static_cast<float>(__x) * static_cast<float>(other.__x));
  }
  __HOST_DEVICE__ __hip_bfloat16& operator/=(const __hip_bfloat16& other) {
    return *this = __hip_bfloat16(static_cast<float>(__x) / static_cast<float>(other.__x));
  }
  __HOST_DEVICE__ __hip_bfloat16 operator-() const { return __hip_bfloat16(static_cast<__bf16>(-__x)); }
};
typedef __hip_bfloat16 __nv_bfloat16;

struct __attribute__((aligned(4))) __hip_bfloat162 {
  // Two plain members, so that a member can be named and passed by reference; the vector form is a copy of
  // the bits.
  __hip_bfloat16 x;
  __hip_bfloat16 y;

  __HOST_DEVICE__ __hip_bfloat162() = default;
  __HOST_DEVICE__ constexpr __hip_bfloat162(const __hip_bfloat16& x_, const __hip_bfloat16& y_)
      : x(x_), y(y_) {}
  __HOST_DEVICE__ constexpr __hip_bfloat162(const __hip_bfloat162_raw& raw)
      : x(__hip_bfloat16_raw{raw.x}), y(__hip_bfloat16_raw{raw.y}) {}
  __HOST_DEVICE__ __hip_bfloat162(__amd_bf16x2_storage_t value) : x(value[0]), y(value[1]) {}
  __HOST_DEVICE__ operator __amd_bf16x2_storage_t() const {
    return __amd_bf16x2_storage_t{static_cast<__bf16>(x), static_cast<__bf16>(y)};
  }
  __HOST_DEVICE__ operator __hip_bfloat162_raw() const {
    return __hip_bfloat162_raw{static_cast<__hip_bfloat16_raw>(x).x, static_cast<__hip_bfloat16_raw>(y).x};
  }
  __HOST_DEVICE__ operator float2() const { return float2(static_cast<float>(x), static_cast<float>(y)); }
  __HOST_DEVICE__ __hip_bfloat162& operator+=(const __hip_bfloat162& other) {
    x += other.x;
    y += other.y;
    return *this;
  }
  __HOST_DEVICE__ __hip_bfloat162& operator-=(const __hip_bfloat162& other) {
    x -= other.x;
    y -= other.y;
    return *this;
  }
  __HOST_DEVICE__ __hip_bfloat162& operator*=(const __hip_bfloat162& other) {
    x *= other.x;
    y *= other.y;
    return *this;
  }
};
typedef __hip_bfloat162 __nv_bfloat162;

static_assert(sizeof(__hip_bfloat16) == 2 && sizeof(__hip_bfloat162) == 4, "bfloat16 types are plain bits");

#define VIRTUAL_ROCM_BF16_OPERATOR(op)                                               \
  __HOST_DEVICE__ inline __hip_bfloat16 operator op(const __hip_bfloat16& left,      \
                                                    const __hip_bfloat16& right) {   \
    return __hip_bfloat16(static_cast<float>(left) op static_cast<float>(right));    \
  }                                                                                  \
  __HOST_DEVICE__ inline __hip_bfloat162 operator op(const __hip_bfloat162& left,    \
                                                     const __hip_bfloat162& right) { \
    return __hip_bfloat162(left.x op right.x, left.y op right.y);                    \
  }
VIRTUAL_ROCM_BF16_OPERATOR(+)
VIRTUAL_ROCM_BF16_OPERATOR(-)
VIRTUAL_ROCM_BF16_OPERATOR(*)
VIRTUAL_ROCM_BF16_OPERATOR(/)
#undef VIRTUAL_ROCM_BF16_OPERATOR
#define VIRTUAL_ROCM_BF16_COMPARE(op, name)                                                          \
  __HOST_DEVICE__ inline bool operator op(const __hip_bfloat16& left, const __hip_bfloat16& right) { \
    return static_cast<float>(left) op static_cast<float>(right);                                    \
  }                                                                                                  \
  __HOST_DEVICE__ inline bool name(const __hip_bfloat16 left, const __hip_bfloat16 right) {          \
    return left op right;                                                                            \
  }
VIRTUAL_ROCM_BF16_COMPARE(==, __heq)
VIRTUAL_ROCM_BF16_COMPARE(!=, __hne)
VIRTUAL_ROCM_BF16_COMPARE(<, __hlt)
VIRTUAL_ROCM_BF16_COMPARE(<=, __hle)
VIRTUAL_ROCM_BF16_COMPARE(>, __hgt)
VIRTUAL_ROCM_BF16_COMPARE(>=, __hge)
#undef VIRTUAL_ROCM_BF16_COMPARE

// --- conversions ---
__HOST_DEVICE__ inline __hip_bfloat16 __float2bfloat16(float value) { return __hip_bfloat16(value); }
__HOST_DEVICE__ inline __hip_bfloat16 __float2bfloat16_rn(float value) { return __hip_bfloat16(value); }
__HOST_DEVICE__ inline __hip_bfloat16 __double2bfloat16(double value) {
  return __hip_bfloat16(static_cast<__bf16>(value));
}
__HOST_DEVICE__ inline float __bfloat162float(__hip_bfloat16 value) { return static_cast<float>(value); }
__HOST_DEVICE__ inline __hip_bfloat162 __bfloat162bfloat162(__hip_bfloat16 value) {
  return __hip_bfloat162(value, value);
}
__HOST_DEVICE__ inline __hip_bfloat162 __float2bfloat162_rn(float value) {
  return __hip_bfloat162(__hip_bfloat16(value), __hip_bfloat16(value));
}
__HOST_DEVICE__ inline __hip_bfloat162 __floats2bfloat162_rn(float x, float y) {
  return __hip_bfloat162(__hip_bfloat16(x), __hip_bfloat16(y));
}
__HOST_DEVICE__ inline __hip_bfloat162 __float22bfloat162_rn(float2 value) {
  return __floats2bfloat162_rn(value.x, value.y);
}
__HOST_DEVICE__ inline float2 __bfloat1622float2(__hip_bfloat162 value) { return static_cast<float2>(value); }
__HOST_DEVICE__ inline __hip_bfloat16 __low2bfloat16(__hip_bfloat162 value) { return value.x; }
__HOST_DEVICE__ inline __hip_bfloat16 __high2bfloat16(__hip_bfloat162 value) { return value.y; }
__HOST_DEVICE__ inline float __low2float(__hip_bfloat162 value) { return static_cast<float>(value.x); }
__HOST_DEVICE__ inline float __high2float(__hip_bfloat162 value) { return static_cast<float>(value.y); }
__HOST_DEVICE__ inline __hip_bfloat162 __halves2bfloat162(__hip_bfloat16 x, __hip_bfloat16 y) {
  return __hip_bfloat162(x, y);
}
__HOST_DEVICE__ inline __hip_bfloat162 make_bfloat162(__hip_bfloat16 x, __hip_bfloat16 y) {
  return __hip_bfloat162(x, y);
}
__HOST_DEVICE__ inline unsigned short __bfloat16_as_ushort(__hip_bfloat16 value) {
  return static_cast<__hip_bfloat16_raw>(value).x;
}
__HOST_DEVICE__ inline __hip_bfloat16 __ushort_as_bfloat16(unsigned short bits) {
  return __hip_bfloat16(__hip_bfloat16_raw{bits});
}

// --- arithmetic by name ---
__HOST_DEVICE__ inline __hip_bfloat16 __hadd(__hip_bfloat16 left, __hip_bfloat16 right) {
  return left + right;
}
__HOST_DEVICE__ inline __hip_bfloat16 __hsub(__hip_bfloat16 left, __hip_bfloat16 right) {
  return left - right;
}
__HOST_DEVICE__ inline __hip_bfloat16 __hmul(__hip_bfloat16 left, __hip_bfloat16 right) {
  return left * right;
}
__HOST_DEVICE__ inline __hip_bfloat16 __hdiv(__hip_bfloat16 left, __hip_bfloat16 right) {
  return left / right;
}
__HOST_DEVICE__ inline __hip_bfloat16 __hneg(__hip_bfloat16 value) { return -value; }
__HOST_DEVICE__ inline __hip_bfloat16 __habs(__hip_bfloat16 value) {
  return __ushort_as_bfloat16(__bfloat16_as_ushort(value) & 0x7fff);
}
__HOST_DEVICE__ inline __hip_bfloat16 __hmax(__hip_bfloat16 left, __hip_bfloat16 right) {
  return __hip_bfloat16(__builtin_fmaxf(static_cast<float>(left), static_cast<float>(right)));
}
__HOST_DEVICE__ inline __hip_bfloat16 __hmin(__hip_bfloat16 left, __hip_bfloat16 right) {
  return __hip_bfloat16(__builtin_fminf(static_cast<float>(left), static_cast<float>(right)));
}
__HOST_DEVICE__ inline __hip_bfloat16 __hfma(__hip_bfloat16 x, __hip_bfloat16 y, __hip_bfloat16 z) {
  return __hip_bfloat16(__builtin_fmaf(static_cast<float>(x), static_cast<float>(y), static_cast<float>(z)));
}
__HOST_DEVICE__ inline __hip_bfloat162 __hadd2(__hip_bfloat162 left, __hip_bfloat162 right) {
  return left + right;
}
__HOST_DEVICE__ inline __hip_bfloat162 __hsub2(__hip_bfloat162 left, __hip_bfloat162 right) {
  return left - right;
}
__HOST_DEVICE__ inline __hip_bfloat162 __hmul2(__hip_bfloat162 left, __hip_bfloat162 right) {
  return left * right;
}
__HOST_DEVICE__ inline bool __hisnan(__hip_bfloat16 value) {
  return (__bfloat16_as_ushort(value) & 0x7fff) > 0x7f80;
}
