// SPDX-License-Identifier: MIT
//
// The older bfloat16 type: a struct that holds the bits, with arithmetic through float.
#pragma once

#include <hip/amd_detail/host_defines.h>

#include <cstdint>
#include <type_traits>

struct hip_bfloat16 {
  std::uint16_t data;

  enum truncate_t { truncate };

  __HOST_DEVICE__ hip_bfloat16() = default;
  __HOST_DEVICE__ explicit hip_bfloat16(float value) : data(round_bits(value)) {}
  __HOST_DEVICE__ explicit hip_bfloat16(float value, truncate_t) : data(truncate_bits(value)) {}

  __HOST_DEVICE__ operator float() const {
    return __builtin_bit_cast(float, static_cast<std::uint32_t>(data) << 16);
  }

  __HOST_DEVICE__ static hip_bfloat16 round_to_bfloat16(float value) { return hip_bfloat16(value); }
  __HOST_DEVICE__ static hip_bfloat16 round_to_bfloat16(float value, truncate_t) {
    return hip_bfloat16(value, truncate);
  }

  template <typename T, typename std::enable_if<std::is_arithmetic<T>::value, int>::type = 0>
  __HOST_DEVICE__ hip_bfloat16& operator=(T value) {
    data = round_bits(static_cast<float>(value));
    return *this;
  }

 private:
  // To nearest, ties to even. A NaN keeps its sign and upper payload; one whose payload is only in the lower
  // half would become infinity, so it gets the lowest bit that is kept.
  __HOST_DEVICE__ static std::uint16_t round_bits(float value) {
    std::uint32_t bits = __builtin_bit_cast(std::uint32_t, value);
    if ((bits & 0x7f800000u) != 0x7f800000u) {
      bits += 0x7fffu + ((bits >> 16) & 1u);
    } else if ((bits & 0xffffu) != 0) {
      bits |= 0x10000u;
    }
    return static_cast<std::uint16_t>(bits >> 16);
  }
  __HOST_DEVICE__ static std::uint16_t truncate_bits(float value) {
    const std::uint32_t bits = __builtin_bit_cast(std::uint32_t, value);
    const bool is_nan = (bits & 0x7f800000u) == 0x7f800000u && (bits & 0x7fffffu) != 0;
    return static_cast<std::uint16_t>((bits >> 16) | (is_nan && (bits & 0x7f0000u) == 0 ? 1u : 0u));
  }
};

static_assert(std::is_trivial<hip_bfloat16>::value && sizeof(hip_bfloat16) == 2,
              "hip_bfloat16 is two plain bytes");

__HOST_DEVICE__ inline hip_bfloat16 operator+(hip_bfloat16 value) { return value; }
__HOST_DEVICE__ inline hip_bfloat16 operator-(hip_bfloat16 value) {
  value.data ^= 0x8000;
  return value;
}
#define VIRTUAL_ROCM_BFLOAT16_OPERATOR(op)                                                       \
  __HOST_DEVICE__ inline hip_bfloat16 operator op(hip_bfloat16 left, hip_bfloat16 right) {       \
    return hip_bfloat16(static_cast<float>(left) op static_cast<float>(right));                  \
  }                                                                                              \
  __HOST_DEVICE__ inline hip_bfloat16& operator op##=(hip_bfloat16 & left, hip_bfloat16 right) { \
    left = left op right;                                                                        \
    return left;                                                                                 \
  }
VIRTUAL_ROCM_BFLOAT16_OPERATOR(+)
VIRTUAL_ROCM_BFLOAT16_OPERATOR(-)
VIRTUAL_ROCM_BFLOAT16_OPERATOR(*)
VIRTUAL_ROCM_BFLOAT16_OPERATOR(/)
#undef VIRTUAL_ROCM_BFLOAT16_OPERATOR
#define VIRTUAL_ROCM_BFLOAT16_COMPARE(op)                                          \
  __HOST_DEVICE__ inline bool operator op(hip_bfloat16 left, hip_bfloat16 right) { \
    return static_cast<float>(left) op static_cast<float>(right);                  \
  }
VIRTUAL_ROCM_BFLOAT16_COMPARE(<)
VIRTUAL_ROCM_BFLOAT16_COMPARE(<=)
VIRTUAL_ROCM_BFLOAT16_COMPARE(>)
VIRTUAL_ROCM_BFLOAT16_COMPARE(>=)
VIRTUAL_ROCM_BFLOAT16_COMPARE(==)
VIRTUAL_ROCM_BFLOAT16_COMPARE(!=)
#undef VIRTUAL_ROCM_BFLOAT16_COMPARE

namespace std {
__HOST_DEVICE__ inline bool isinf(hip_bfloat16 value) { return (value.data & 0x7fff) == 0x7f80; }
__HOST_DEVICE__ inline bool isnan(hip_bfloat16 value) { return (value.data & 0x7fff) > 0x7f80; }
__HOST_DEVICE__ inline bool iszero(hip_bfloat16 value) { return (value.data & 0x7fff) == 0; }
}  // namespace std
