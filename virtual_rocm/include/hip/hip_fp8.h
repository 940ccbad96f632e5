// SPDX-License-Identifier: MIT
//
// The 8-bit floating-point types: e4m3 and e5m2, each as OCP defines it and as gfx942 has it (fnuz), alone
// and packed by two and four.
//
// A device converts in hardware where it has the format (gfx942: fnuz, gfx950: OCP), and by small_float.h
// elsewhere.
#pragma once

#include <hip/amd_detail/host_defines.h>
#include <hip/amd_detail/small_float.h>
#include <hip/hip_bf16.h>
#include <hip/hip_fp16.h>
#include <hip/hip_vector_types.h>

#if __HIP_DEVICE_COMPILE__
#if defined(__gfx942__)
#define HIP_FP8_TYPE_OCP 0
#define HIP_FP8_TYPE_FNUZ 1
#define HIP_FP8_CVT_FAST_PATH 1
#elif defined(__gfx950__)
#define HIP_FP8_TYPE_OCP 1
#define HIP_FP8_TYPE_FNUZ 0
#define HIP_FP8_CVT_FAST_PATH 1
#else
#define HIP_FP8_TYPE_OCP 0
#define HIP_FP8_TYPE_FNUZ 0
#define HIP_FP8_CVT_FAST_PATH 0
#endif
#else
#define HIP_FP8_TYPE_OCP 1
#define HIP_FP8_TYPE_FNUZ 1
#define HIP_FP8_CVT_FAST_PATH 0
#endif

enum __hip_fp8_interpretation_t {
  __HIP_E4M3 = 0,
  __HIP_E5M2 = 1,
  __HIP_E4M3_FNUZ = 2,
  __HIP_E5M2_FNUZ = 3,
};
enum __hip_saturation_t {
  __HIP_NOSAT = 0,
  __HIP_SATFINITE = 1,
};

typedef unsigned char __hip_fp8_storage_t;
typedef unsigned short __hip_fp8x2_storage_t;
typedef unsigned int __hip_fp8x4_storage_t;

namespace virtual_rocm_hip {

// Whether the device that is compiled for converts this format itself.
constexpr bool fp8_in_hardware(__hip_fp8_interpretation_t format) {
#if HIP_FP8_CVT_FAST_PATH && HIP_FP8_TYPE_FNUZ
  return format == __HIP_E4M3_FNUZ || format == __HIP_E5M2_FNUZ;
#elif HIP_FP8_CVT_FAST_PATH
  return format == __HIP_E4M3 || format == __HIP_E5M2;
#else
  return format != format;
#endif
}
constexpr bool fp8_is_e4m3(__hip_fp8_interpretation_t format) {
  return format == __HIP_E4M3 || format == __HIP_E4M3_FNUZ;
}

template <typename T>
__HOST_DEVICE__ inline __hip_fp8_storage_t fp8_encode_in_software(T value, bool saturate,
                                                                  __hip_fp8_interpretation_t format) {
  switch (format) {
    case __HIP_E4M3:
      return static_cast<__hip_fp8_storage_t>(Float8E4M3::encode(value, saturate));
    case __HIP_E5M2:
      return static_cast<__hip_fp8_storage_t>(Float8E5M2::encode(value, saturate));
    case __HIP_E4M3_FNUZ:
      return static_cast<__hip_fp8_storage_t>(Float8E4M3Fnuz::encode(value, saturate));
    default:
      return static_cast<__hip_fp8_storage_t>(Float8E5M2Fnuz::encode(value, saturate));
  }
}

#if HIP_FP8_CVT_FAST_PATH
// The instruction makes NaN (or infinity) of what overflows, so finite values are brought into the range
// first.
__device__ inline float fp8_clamp(float value, bool saturate, __hip_fp8_interpretation_t format) {
  const float largest = format == __HIP_E4M3_FNUZ ? 240.0f : format == __HIP_E4M3 ? 448.0f : 57344.0f;
  const bool finite = (__builtin_bit_cast(unsigned, value) & 0x7f800000u) != 0x7f800000u;
  return saturate && finite ? __builtin_amdgcn_fmed3f(value, largest, -largest) : value;
}
__device__ inline __hip_fp8x2_storage_t fp8_encode_pair(float x, float y, bool saturate,
                                                        __hip_fp8_interpretation_t format) {
  x = fp8_clamp(x, saturate, format);
  y = fp8_clamp(y, saturate, format);
  const unsigned packed = fp8_is_e4m3(format) ? __builtin_amdgcn_cvt_pk_fp8_f32(x, y, 0, false)
                                              : __builtin_amdgcn_cvt_pk_bf8_f32(x, y, 0, false);
  return static_cast<__hip_fp8x2_storage_t>(packed & 0xffff);
}
__device__ inline float2 fp8_decode_pair(__hip_fp8x2_storage_t pair, __hip_fp8_interpretation_t format) {
  const auto both = fp8_is_e4m3(format) ? __builtin_amdgcn_cvt_pk_f32_fp8(pair, false)
                                        : __builtin_amdgcn_cvt_pk_f32_bf8(pair, false);
  return float2(both[0], both[1]);
}
#endif

__HOST_DEVICE__ inline __hip_fp8_storage_t fp8_encode(float value, bool saturate,
                                                      __hip_fp8_interpretation_t format) {
#if HIP_FP8_CVT_FAST_PATH
  if (fp8_in_hardware(format)) {
    return static_cast<__hip_fp8_storage_t>(fp8_encode_pair(value, value, saturate, format) & 0xff);
  }
#endif
  return fp8_encode_in_software(value, saturate, format);
}

__HOST_DEVICE__ inline float fp8_decode(__hip_fp8_storage_t code, __hip_fp8_interpretation_t format) {
#if HIP_FP8_CVT_FAST_PATH
  if (fp8_in_hardware(format)) {
    return fp8_is_e4m3(format) ? __builtin_amdgcn_cvt_f32_fp8(code, 0)
                               : __builtin_amdgcn_cvt_f32_bf8(code, 0);
  }
#endif
  switch (format) {
    case __HIP_E4M3:
      return Float8E4M3::decode(code);
    case __HIP_E5M2:
      return Float8E5M2::decode(code);
    case __HIP_E4M3_FNUZ:
      return Float8E4M3Fnuz::decode(code);
    default:
      return Float8E5M2Fnuz::decode(code);
  }
}

}  // namespace virtual_rocm_hip

// --- the conversion functions ---

__HOST_DEVICE__ inline __hip_fp8_storage_t __hip_cvt_float_to_fp8(float value, __hip_saturation_t saturation,
                                                                  __hip_fp8_interpretation_t format) {
  return virtual_rocm_hip::fp8_encode(value, saturation == __HIP_SATFINITE, format);
}
__HOST_DEVICE__ inline __hip_fp8_storage_t __hip_cvt_double_to_fp8(double value,
                                                                   __hip_saturation_t saturation,
                                                                   __hip_fp8_interpretation_t format) {
  return virtual_rocm_hip::fp8_encode_in_software(value, saturation == __HIP_SATFINITE, format);
}
__HOST_DEVICE__ inline __hip_fp8_storage_t __hip_cvt_halfraw_to_fp8(__half_raw value,
                                                                    __hip_saturation_t saturation,
                                                                    __hip_fp8_interpretation_t format) {
  return __hip_cvt_float_to_fp8(static_cast<float>(value.data), saturation, format);
}
__HOST_DEVICE__ inline __hip_fp8_storage_t __hip_cvt_bfloat16raw_to_fp8(__hip_bfloat16_raw value,
                                                                        __hip_saturation_t saturation,
                                                                        __hip_fp8_interpretation_t format) {
  return __hip_cvt_float_to_fp8(static_cast<float>(__hip_bfloat16(value)), saturation, format);
}
__HOST_DEVICE__ inline __hip_fp8x2_storage_t __hip_cvt_float2_to_fp8x2(float2 value,
                                                                       __hip_saturation_t saturation,
                                                                       __hip_fp8_interpretation_t format) {
#if HIP_FP8_CVT_FAST_PATH
  if (virtual_rocm_hip::fp8_in_hardware(format)) {
    return virtual_rocm_hip::fp8_encode_pair(value.x, value.y, saturation == __HIP_SATFINITE, format);
  }
#endif
  return static_cast<__hip_fp8x2_storage_t>(__hip_cvt_float_to_fp8(value.x, saturation, format) |
                                            (__hip_cvt_float_to_fp8(value.y, saturation, format) << 8));
}
__HOST_DEVICE__ inline __hip_fp8x2_storage_t __hip_cvt_double2_to_fp8x2(double2 value,
                                                                        __hip_saturation_t saturation,
                                                                        __hip_fp8_interpretation_t format) {
  return static_cast<__hip_fp8x2_storage_t>(__hip_cvt_double_to_fp8(value.x, saturation, format) |
                                            (__hip_cvt_double_to_fp8(value.y, saturation, format) << 8));
}
__HOST_DEVICE__ inline __hip_fp8x2_storage_t __hip_cvt_halfraw2_to_fp8x2(__half2_raw value,
                                                                         __hip_saturation_t saturation,
                                                                         __hip_fp8_interpretation_t format) {
  return __hip_cvt_float2_to_fp8x2(
      float2(static_cast<float>(value.data[0]), static_cast<float>(value.data[1])), saturation, format);
}
__HOST_DEVICE__ inline __hip_fp8x2_storage_t __hip_cvt_bfloat16raw2_to_fp8x2(
    __hip_bfloat162_raw value, __hip_saturation_t saturation, __hip_fp8_interpretation_t format) {
  return __hip_cvt_float2_to_fp8x2(static_cast<float2>(__hip_bfloat162(value)), saturation, format);
}
__HOST_DEVICE__ inline __half_raw __hip_cvt_fp8_to_halfraw(__hip_fp8_storage_t code,
                                                           __hip_fp8_interpretation_t format) {
  __half_raw result;
  result.data = static_cast<_Float16>(virtual_rocm_hip::fp8_decode(code, format));
  return result;
}
__HOST_DEVICE__ inline __half2_raw __hip_cvt_fp8x2_to_halfraw2(__hip_fp8x2_storage_t codes,
                                                               __hip_fp8_interpretation_t format) {
  __half2_raw result;
  result.data = __amd_fp16x2_storage_t{static_cast<_Float16>(virtual_rocm_hip::fp8_decode(
                                           static_cast<__hip_fp8_storage_t>(codes & 0xff), format)),
                                       static_cast<_Float16>(virtual_rocm_hip::fp8_decode(
                                           static_cast<__hip_fp8_storage_t>(codes >> 8), format))};
  return result;
}

// --- the types ---

namespace virtual_rocm_hip {

template <__hip_fp8_interpretation_t Format>
struct Fp8 {
  static constexpr __hip_saturation_t __default_saturation = __HIP_SATFINITE;
  static constexpr __hip_fp8_interpretation_t __default_interpret = Format;

  __hip_fp8_storage_t __x;

  __HOST_DEVICE__ Fp8() = default;
  __HOST_DEVICE__ Fp8(float value) : __x(__hip_cvt_float_to_fp8(value, __default_saturation, Format)) {}
  __HOST_DEVICE__ Fp8(double value) : __x(__hip_cvt_double_to_fp8(value, __default_saturation, Format)) {}
  __HOST_DEVICE__ Fp8(__half value)
      : __x(__hip_cvt_float_to_fp8(__half2float(value), __default_saturation, Format)) {}
  __HOST_DEVICE__ Fp8(__hip_bfloat16 value)
      : __x(__hip_cvt_float_to_fp8(static_cast<float>(value), __default_saturation, Format)) {}
  template <typename T, typename std::enable_if<std::is_integral<T>::value, int>::type = 0>
  __HOST_DEVICE__ Fp8(T value)
      : __x(__hip_cvt_float_to_fp8(static_cast<float>(value), __default_saturation, Format)) {}

  __HOST_DEVICE__ operator float() const { return fp8_decode(__x, Format); }
  __HOST_DEVICE__ explicit operator double() const { return static_cast<double>(fp8_decode(__x, Format)); }
  __HOST_DEVICE__ explicit operator __half() const { return __half(fp8_decode(__x, Format)); }
  __HOST_DEVICE__ explicit operator __hip_bfloat16() const { return __hip_bfloat16(fp8_decode(__x, Format)); }
  template <typename T, typename std::enable_if<std::is_integral<T>::value, int>::type = 0>
  __HOST_DEVICE__ explicit operator T() const {
    return static_cast<T>(fp8_decode(__x, Format));
  }
};

template <__hip_fp8_interpretation_t Format>
struct Fp8x2 {
  static constexpr __hip_saturation_t __default_saturation = __HIP_SATFINITE;
  static constexpr __hip_fp8_interpretation_t __default_interpret = Format;

  __hip_fp8x2_storage_t __x;

  __HOST_DEVICE__ Fp8x2() = default;
  __HOST_DEVICE__ Fp8x2(float2 value) : __x(__hip_cvt_float2_to_fp8x2(value, __default_saturation, Format)) {}
  __HOST_DEVICE__ Fp8x2(double2 value)
      : __x(__hip_cvt_double2_to_fp8x2(value, __default_saturation, Format)) {}
  __HOST_DEVICE__ Fp8x2(__half2 value)
      : __x(__hip_cvt_halfraw2_to_fp8x2(static_cast<__half2_raw>(value), __default_saturation, Format)) {}
  __HOST_DEVICE__ Fp8x2(__hip_bfloat162 value)
      : __x(__hip_cvt_bfloat16raw2_to_fp8x2(static_cast<__hip_bfloat162_raw>(value), __default_saturation,
                                            Format)) {}

  __HOST_DEVICE__ operator float2() const {
#if HIP_FP8_CVT_FAST_PATH
    if (fp8_in_hardware(Format)) return fp8_decode_pair(__x, Format);
#endif
    return float2(fp8_decode(static_cast<__hip_fp8_storage_t>(__x & 0xff), Format),
                  fp8_decode(static_cast<__hip_fp8_storage_t>(__x >> 8), Format));
  }
  __HOST_DEVICE__ explicit operator __half2() const {
    return __half2(__hip_cvt_fp8x2_to_halfraw2(__x, Format));
  }
};

template <__hip_fp8_interpretation_t Format>
struct Fp8x4 {
  static constexpr __hip_saturation_t __default_saturation = __HIP_SATFINITE;
  static constexpr __hip_fp8_interpretation_t __default_interpret = Format;

  __hip_fp8x4_storage_t __x;

  __HOST_DEVICE__ Fp8x4() = default;
  __HOST_DEVICE__ Fp8x4(float4 value)
      : __x(pack(Fp8x2<Format>(float2(value.x, value.y)), Fp8x2<Format>(float2(value.z, value.w)))) {}
  __HOST_DEVICE__ Fp8x4(double4 value)
      : __x(pack(Fp8x2<Format>(double2(value.x, value.y)), Fp8x2<Format>(double2(value.z, value.w)))) {}
  // The first pair goes into the upper half, as in AMD's amd_hip_fp8.h, where it is called "low" all the
  // same: callers have learnt to give the upper one first.
  __HOST_DEVICE__ Fp8x4(__half2 upper, __half2 lower)
      : __x(pack(Fp8x2<Format>(lower), Fp8x2<Format>(upper))) {}
  __HOST_DEVICE__ Fp8x4(__hip_bfloat162 upper, __hip_bfloat162 lower)
      : __x(pack(Fp8x2<Format>(lower), Fp8x2<Format>(upper))) {}

  __HOST_DEVICE__ operator float4() const {
    Fp8x2<Format> low;
    Fp8x2<Format> high;
    low.__x = static_cast<__hip_fp8x2_storage_t>(__x & 0xffff);
    high.__x = static_cast<__hip_fp8x2_storage_t>(__x >> 16);
    const float2 first = low;
    const float2 second = high;
    return float4(first.x, first.y, second.x, second.y);
  }

 private:
  __HOST_DEVICE__ static __hip_fp8x4_storage_t pack(Fp8x2<Format> low, Fp8x2<Format> high) {
    return static_cast<__hip_fp8x4_storage_t>(low.__x) | (static_cast<__hip_fp8x4_storage_t>(high.__x) << 16);
  }
};

}  // namespace virtual_rocm_hip

// Types of their own, not aliases, so that names in messages and in mangled symbols are HIP's.
#define VIRTUAL_ROCM_FP8_TYPE(name, base, format) \
  struct name : virtual_rocm_hip::base<format> {  \
    using virtual_rocm_hip::base<format>::base;   \
    __HOST_DEVICE__ name() = default;             \
  };
VIRTUAL_ROCM_FP8_TYPE(__hip_fp8_e4m3, Fp8, __HIP_E4M3)
VIRTUAL_ROCM_FP8_TYPE(__hip_fp8_e5m2, Fp8, __HIP_E5M2)
VIRTUAL_ROCM_FP8_TYPE(__hip_fp8_e4m3_fnuz, Fp8, __HIP_E4M3_FNUZ)
VIRTUAL_ROCM_FP8_TYPE(__hip_fp8_e5m2_fnuz, Fp8, __HIP_E5M2_FNUZ)
VIRTUAL_ROCM_FP8_TYPE(__hip_fp8x2_e4m3, Fp8x2, __HIP_E4M3)
VIRTUAL_ROCM_FP8_TYPE(__hip_fp8x2_e5m2, Fp8x2, __HIP_E5M2)
VIRTUAL_ROCM_FP8_TYPE(__hip_fp8x2_e4m3_fnuz, Fp8x2, __HIP_E4M3_FNUZ)
VIRTUAL_ROCM_FP8_TYPE(__hip_fp8x2_e5m2_fnuz, Fp8x2, __HIP_E5M2_FNUZ)
VIRTUAL_ROCM_FP8_TYPE(__hip_fp8x4_e4m3, Fp8x4, __HIP_E4M3)
VIRTUAL_ROCM_FP8_TYPE(__hip_fp8x4_e5m2, Fp8x4, __HIP_E5M2)
VIRTUAL_ROCM_FP8_TYPE(__hip_fp8x4_e4m3_fnuz, Fp8x4, __HIP_E4M3_FNUZ)
VIRTUAL_ROCM_FP8_TYPE(__hip_fp8x4_e5m2_fnuz, Fp8x4, __HIP_E5M2_FNUZ)
#undef VIRTUAL_ROCM_FP8_TYPE

static_assert(sizeof(__hip_fp8_e4m3) == 1 && sizeof(__hip_fp8x2_e4m3) == 2 && sizeof(__hip_fp8x4_e4m3) == 4,
              "fp8 types are plain bits");
