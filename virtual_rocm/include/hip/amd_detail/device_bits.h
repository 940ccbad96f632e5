// SPDX-License-Identifier: MIT
//
// Integer functions, bit patterns and conversions that HIP takes over from CUDA. The floating-point functions
// come from clang's own HIP headers.
#pragma once

#include <hip/amd_detail/host_defines.h>

#if defined(__HIP__)

#define VIRTUAL_ROCM_DEVICE static __device__ inline __attribute__((always_inline))

// --- counting and moving bits ---

VIRTUAL_ROCM_DEVICE unsigned __popc(unsigned value) { return __builtin_popcount(value); }
VIRTUAL_ROCM_DEVICE unsigned __popcll(unsigned long long value) { return __builtin_popcountll(value); }
// The builtins are undefined for 0, so the width is chosen explicitly.
VIRTUAL_ROCM_DEVICE int __clz(int value) {
  return value == 0 ? 32 : __builtin_clz(static_cast<unsigned>(value));
}
VIRTUAL_ROCM_DEVICE int __clzll(long long value) {
  return value == 0 ? 64 : __builtin_clzll(static_cast<unsigned long long>(value));
}
VIRTUAL_ROCM_DEVICE unsigned __ffs(unsigned value) { return value == 0 ? 0 : __builtin_ctz(value) + 1; }
VIRTUAL_ROCM_DEVICE unsigned __ffs(int value) { return __ffs(static_cast<unsigned>(value)); }
VIRTUAL_ROCM_DEVICE unsigned __ffsll(unsigned long long value) {
  return value == 0 ? 0 : __builtin_ctzll(value) + 1;
}
VIRTUAL_ROCM_DEVICE unsigned __ffsll(unsigned long value) {
  return __ffsll(static_cast<unsigned long long>(value));
}
VIRTUAL_ROCM_DEVICE unsigned __ffsll(long long value) {
  return __ffsll(static_cast<unsigned long long>(value));
}
VIRTUAL_ROCM_DEVICE unsigned __ffsll(long value) { return __ffsll(static_cast<unsigned long long>(value)); }
VIRTUAL_ROCM_DEVICE unsigned __brev(unsigned value) { return __builtin_bitreverse32(value); }
VIRTUAL_ROCM_DEVICE unsigned long long __brevll(unsigned long long value) {
  return __builtin_bitreverse64(value);
}
VIRTUAL_ROCM_DEVICE unsigned __lastbit_u32_u64(unsigned long long value) {
  return value == 0 ? -1 : __builtin_ctzll(value);
}
VIRTUAL_ROCM_DEVICE unsigned __bitextract_u32(unsigned source, unsigned offset, unsigned width) {
  return width == 0 ? 0 : (source << (32 - (offset & 31) - (width & 31)) >> (32 - (width & 31)));
}
VIRTUAL_ROCM_DEVICE unsigned long long __bitextract_u64(unsigned long long source, unsigned offset,
                                                        unsigned width) {
  return (width & 63) == 0 ? 0 : (source >> (offset & 63)) & ((1ull << (width & 63)) - 1);
}

// The byte of `low | high << 32` that each of the low three bits of a selector's nibbles names.
VIRTUAL_ROCM_DEVICE unsigned __byte_perm(unsigned low, unsigned high, unsigned selector) {
  const unsigned long long bytes = (static_cast<unsigned long long>(high) << 32) | low;
  unsigned result = 0;
  for (unsigned i = 0; i < 4; ++i) {
    result |= static_cast<unsigned>((bytes >> (8 * ((selector >> (4 * i)) & 7))) & 0xff) << (8 * i);
  }
  return result;
}
VIRTUAL_ROCM_DEVICE unsigned __funnelshift_l(unsigned low, unsigned high, unsigned shift) {
  return static_cast<unsigned>((((static_cast<unsigned long long>(high) << 32) | low) << (shift & 31)) >> 32);
}
VIRTUAL_ROCM_DEVICE unsigned __funnelshift_r(unsigned low, unsigned high, unsigned shift) {
  return static_cast<unsigned>(((static_cast<unsigned long long>(high) << 32) | low) >> (shift & 31));
}

// --- integer arithmetic ---

VIRTUAL_ROCM_DEVICE int __mulhi(int left, int right) {
  return static_cast<int>((static_cast<long long>(left) * right) >> 32);
}
VIRTUAL_ROCM_DEVICE unsigned __umulhi(unsigned left, unsigned right) {
  return static_cast<unsigned>((static_cast<unsigned long long>(left) * right) >> 32);
}
VIRTUAL_ROCM_DEVICE long long __mul64hi(long long left, long long right) {
  return static_cast<long long>((static_cast<__int128>(left) * right) >> 64);
}
VIRTUAL_ROCM_DEVICE unsigned long long __umul64hi(unsigned long long left, unsigned long long right) {
  return static_cast<unsigned long long>((static_cast<unsigned __int128>(left) * right) >> 64);
}
VIRTUAL_ROCM_DEVICE int __mul24(int left, int right) {
  return (static_cast<int>(static_cast<unsigned>(left) << 8) >> 8) *
         (static_cast<int>(static_cast<unsigned>(right) << 8) >> 8);
}
VIRTUAL_ROCM_DEVICE unsigned __umul24(unsigned left, unsigned right) {
  return (left & 0xffffff) * (right & 0xffffff);
}
VIRTUAL_ROCM_DEVICE int __hadd(int left, int right) {
  return static_cast<int>((static_cast<long long>(left) + right) >> 1);
}
VIRTUAL_ROCM_DEVICE int __rhadd(int left, int right) {
  return static_cast<int>((static_cast<long long>(left) + right + 1) >> 1);
}
VIRTUAL_ROCM_DEVICE unsigned __uhadd(unsigned left, unsigned right) {
  return static_cast<unsigned>((static_cast<unsigned long long>(left) + right) >> 1);
}
VIRTUAL_ROCM_DEVICE unsigned __sad(int left, int right, unsigned sum) {
  return (left > right ? static_cast<unsigned>(left) - static_cast<unsigned>(right)
                       : static_cast<unsigned>(right) - static_cast<unsigned>(left)) +
         sum;
}
VIRTUAL_ROCM_DEVICE unsigned __usad(unsigned left, unsigned right, unsigned sum) {
  return (left > right ? left - right : right - left) + sum;
}

// --- bit patterns ---

VIRTUAL_ROCM_DEVICE int __float_as_int(float value) { return __builtin_bit_cast(int, value); }
VIRTUAL_ROCM_DEVICE unsigned __float_as_uint(float value) { return __builtin_bit_cast(unsigned, value); }
VIRTUAL_ROCM_DEVICE float __int_as_float(int value) { return __builtin_bit_cast(float, value); }
VIRTUAL_ROCM_DEVICE float __uint_as_float(unsigned value) { return __builtin_bit_cast(float, value); }
VIRTUAL_ROCM_DEVICE long long __double_as_longlong(double value) {
  return __builtin_bit_cast(long long, value);
}
VIRTUAL_ROCM_DEVICE double __longlong_as_double(long long value) { return __builtin_bit_cast(double, value); }
VIRTUAL_ROCM_DEVICE int __double2hiint(double value) {
  return static_cast<int>(__builtin_bit_cast(unsigned long long, value) >> 32);
}
VIRTUAL_ROCM_DEVICE int __double2loint(double value) {
  return static_cast<int>(__builtin_bit_cast(unsigned long long, value));
}
VIRTUAL_ROCM_DEVICE double __hiloint2double(int high, int low) {
  return __builtin_bit_cast(double, (static_cast<unsigned long long>(static_cast<unsigned>(high)) << 32) |
                                        static_cast<unsigned>(low));
}

// --- conversions with a rounding mode: rn to nearest even, rz towards zero, ru up, rd down ---

#define VIRTUAL_ROCM_TO_INTEGER(from, from_type, to, to_type)                                               \
  VIRTUAL_ROCM_DEVICE to_type __##from##2##to##_rn(from_type value) {                                       \
    return static_cast<to_type>(__builtin_elementwise_roundeven(value));                                    \
  }                                                                                                         \
  VIRTUAL_ROCM_DEVICE to_type __##from##2##to##_rz(from_type value) { return static_cast<to_type>(value); } \
  VIRTUAL_ROCM_DEVICE to_type __##from##2##to##_ru(from_type value) {                                       \
    return static_cast<to_type>(__builtin_elementwise_ceil(value));                                         \
  }                                                                                                         \
  VIRTUAL_ROCM_DEVICE to_type __##from##2##to##_rd(from_type value) {                                       \
    return static_cast<to_type>(__builtin_elementwise_floor(value));                                        \
  }
VIRTUAL_ROCM_TO_INTEGER(float, float, int, int)
VIRTUAL_ROCM_TO_INTEGER(float, float, uint, unsigned)
VIRTUAL_ROCM_TO_INTEGER(float, float, ll, long long)
VIRTUAL_ROCM_TO_INTEGER(float, float, ull, unsigned long long)
VIRTUAL_ROCM_TO_INTEGER(double, double, int, int)
VIRTUAL_ROCM_TO_INTEGER(double, double, uint, unsigned)
VIRTUAL_ROCM_TO_INTEGER(double, double, ll, long long)
VIRTUAL_ROCM_TO_INTEGER(double, double, ull, unsigned long long)
#undef VIRTUAL_ROCM_TO_INTEGER

VIRTUAL_ROCM_DEVICE float __int2float_rn(int value) { return static_cast<float>(value); }
VIRTUAL_ROCM_DEVICE float __uint2float_rn(unsigned value) { return static_cast<float>(value); }
VIRTUAL_ROCM_DEVICE float __ll2float_rn(long long value) { return static_cast<float>(value); }
VIRTUAL_ROCM_DEVICE float __ull2float_rn(unsigned long long value) { return static_cast<float>(value); }
VIRTUAL_ROCM_DEVICE double __int2double_rn(int value) { return static_cast<double>(value); }
VIRTUAL_ROCM_DEVICE double __uint2double_rn(unsigned value) { return static_cast<double>(value); }
VIRTUAL_ROCM_DEVICE double __ll2double_rn(long long value) { return static_cast<double>(value); }
VIRTUAL_ROCM_DEVICE double __ull2double_rn(unsigned long long value) { return static_cast<double>(value); }
VIRTUAL_ROCM_DEVICE float __double2float_rn(double value) { return static_cast<float>(value); }

// --- loads with a cache hint; the hint changes nothing in what is read ---

template <typename T>
VIRTUAL_ROCM_DEVICE T __ldg(const T* pointer) {
  return *pointer;
}
template <typename T>
VIRTUAL_ROCM_DEVICE T __ldcg(const T* pointer) {
  return *pointer;
}
template <typename T>
VIRTUAL_ROCM_DEVICE T __ldca(const T* pointer) {
  return *pointer;
}
template <typename T>
VIRTUAL_ROCM_DEVICE T __ldcs(const T* pointer) {
  return *pointer;
}

// --- clocks ---

VIRTUAL_ROCM_DEVICE long long __clock64() { return static_cast<long long>(__builtin_readcyclecounter()); }
VIRTUAL_ROCM_DEVICE long long clock64() { return __clock64(); }
VIRTUAL_ROCM_DEVICE long long __clock() { return __clock64(); }
#if defined(__HIP_DEVICE_COMPILE__) && __HIP_DEVICE_COMPILE__
VIRTUAL_ROCM_DEVICE long long clock() { return __clock64(); }
#endif
VIRTUAL_ROCM_DEVICE long long wall_clock64() {
  return static_cast<long long>(__builtin_amdgcn_s_memrealtime());
}
VIRTUAL_ROCM_DEVICE void __nanosleep(unsigned) { __builtin_amdgcn_s_sleep(1); }

#endif
