// SPDX-License-Identifier: MIT
//
// Conversions of single values between the OCP formats and float, half or bfloat16, with a power-of-two
// scale.
#pragma once

#include <hip/amd_detail/small_float.h>
#include <hip/hip_ext_ocp.h>

#include <cstdint>
#include <type_traits>

namespace fcbx {

enum class Encoding {
  E2M1,
  E2M3,
  E3M2,
  E4M3,
  E4M3Nanoo,
  E5M2,
  E5M2Nanoo,
  E8M0,
  IEEE754,
};

namespace detail {

template <Encoding Format>
struct Codec;
template <>
struct Codec<Encoding::E2M1> : virtual_rocm_hip::Float4E2M1 {};
template <>
struct Codec<Encoding::E2M3> : virtual_rocm_hip::Float6E2M3 {};
template <>
struct Codec<Encoding::E3M2> : virtual_rocm_hip::Float6E3M2 {};
template <>
struct Codec<Encoding::E4M3> : virtual_rocm_hip::Float8E4M3 {};
template <>
struct Codec<Encoding::E4M3Nanoo> : virtual_rocm_hip::Float8E4M3Fnuz {};
template <>
struct Codec<Encoding::E5M2> : virtual_rocm_hip::Float8E5M2 {};
template <>
struct Codec<Encoding::E5M2Nanoo> : virtual_rocm_hip::Float8E5M2Fnuz {};

// 2 to the power of an 8-bit scale; -127 and -128 are below the normal range of float.
__HOST_DEVICE__ constexpr float power_of_two(int exponent) {
  return exponent > -127 ? __builtin_bit_cast(float, static_cast<std::uint32_t>(exponent + 127) << 23)
                         : __builtin_bit_cast(float, std::uint32_t{1} << (23 + exponent + 126));
}

}  // namespace detail

// The code of value / 2^scale.
template <typename T, Encoding Format, bool Saturate>
__HOST_DEVICE__ inline std::uint8_t from_float(T value, int scale) {
  using Source = typename std::conditional<std::is_same<T, double>::value, double, float>::type;
  Source scaled = static_cast<Source>(value);
  if (scale != 0) scaled = scaled / static_cast<Source>(detail::power_of_two(scale));
  return static_cast<std::uint8_t>(detail::Codec<Format>::encode(scaled, Saturate));
}

// The value of a code × 2^scale.
template <typename T, Encoding Format, bool Saturate>
__HOST_DEVICE__ inline T to_float(std::uint8_t code, int scale) {
  float value = detail::Codec<Format>::decode(code);
  if (scale != 0) value = value * detail::power_of_two(scale);
  return static_cast<T>(value);
}

}  // namespace fcbx
