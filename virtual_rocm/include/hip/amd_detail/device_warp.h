// SPDX-License-Identifier: MIT
//
// Functions over the lanes of a warp: votes, shuffles, matches.
#pragma once

#include <hip/amd_detail/device_sync.h>

#if defined(__HIP__)

#include <type_traits>

VIRTUAL_ROCM_DEVICE unsigned __lane_id() {
  return __builtin_amdgcn_mbcnt_hi(-1, __builtin_amdgcn_mbcnt_lo(-1, 0));
}

VIRTUAL_ROCM_DEVICE unsigned long long __lanemask_lt() { return (1ull << __lane_id()) - 1; }
VIRTUAL_ROCM_DEVICE unsigned long long __lanemask_eq() { return 1ull << __lane_id(); }
VIRTUAL_ROCM_DEVICE unsigned long long __lanemask_le() { return __lanemask_lt() | __lanemask_eq(); }
VIRTUAL_ROCM_DEVICE unsigned long long __lanemask_gt() { return ~__lanemask_le(); }
VIRTUAL_ROCM_DEVICE unsigned long long __lanemask_ge() { return ~__lanemask_lt(); }

// --- votes; only lanes that are active take part ---

VIRTUAL_ROCM_DEVICE unsigned long long __ballot(int predicate) {
  return __builtin_amdgcn_ballot_w64(predicate != 0);
}
VIRTUAL_ROCM_DEVICE unsigned long long __ballot64(int predicate) { return __ballot(predicate); }
VIRTUAL_ROCM_DEVICE unsigned long long __activemask() { return __ballot(1); }
VIRTUAL_ROCM_DEVICE int __any(int predicate) { return __ballot(predicate) != 0; }
VIRTUAL_ROCM_DEVICE int __all(int predicate) { return __ballot(predicate == 0) == 0; }

// --- shuffles ---

namespace virtual_rocm_hip {

// Reads `value` of another lane, 32 bits at a time: the instruction under all shuffles.
template <typename T>
VIRTUAL_ROCM_DEVICE T read_lane(T value, int lane) {
  static_assert(std::is_trivially_copyable<T>::value, "a shuffled value is copied as bytes");
  constexpr unsigned kWords = (sizeof(T) + 3) / 4;
  int words[kWords] = {};
  __builtin_memcpy(words, &value, sizeof(T));
  for (unsigned i = 0; i < kWords; ++i) words[i] = __builtin_amdgcn_ds_bpermute(lane << 2, words[i]);
  T result;
  __builtin_memcpy(&result, words, sizeof(T));
  return result;
}

}  // namespace virtual_rocm_hip

template <typename T>
VIRTUAL_ROCM_DEVICE T __shfl(T value, int source, int width = 64) {
  const int self = static_cast<int>(__lane_id());
  return virtual_rocm_hip::read_lane(value, (source & (width - 1)) + (self & ~(width - 1)));
}
template <typename T>
VIRTUAL_ROCM_DEVICE T __shfl_up(T value, unsigned delta, int width = 64) {
  const int self = static_cast<int>(__lane_id());
  const int source = self - static_cast<int>(delta);
  return virtual_rocm_hip::read_lane(value, source < (self & ~(width - 1)) ? self : source);
}
template <typename T>
VIRTUAL_ROCM_DEVICE T __shfl_down(T value, unsigned delta, int width = 64) {
  const int self = static_cast<int>(__lane_id());
  const int inside = (self & (width - 1)) + static_cast<int>(delta);
  return virtual_rocm_hip::read_lane(value, inside >= width ? self : self + static_cast<int>(delta));
}
template <typename T>
VIRTUAL_ROCM_DEVICE T __shfl_xor(T value, int mask, int width = 64) {
  const int self = static_cast<int>(__lane_id());
  const int source = self ^ mask;
  return virtual_rocm_hip::read_lane(value, source >= ((self + width) & ~(width - 1)) ? self : source);
}

VIRTUAL_ROCM_DEVICE int __hip_ds_bpermute(int index, int source) {
  return __builtin_amdgcn_ds_bpermute(index, source);
}
VIRTUAL_ROCM_DEVICE int __hip_ds_permute(int index, int source) {
  return __builtin_amdgcn_ds_permute(index, source);
}

// --- the forms with a mask of lanes, which must be 64 bits wide here ---

#define VIRTUAL_ROCM_CHECK_MASK(Mask)                               \
  static_assert(std::is_integral<Mask>::value && sizeof(Mask) == 8, \
                "the mask of a 64-lane warp has 64 "                \
                "bits")

template <typename Mask>
VIRTUAL_ROCM_DEVICE unsigned long long __ballot_sync(Mask mask, int predicate) {
  VIRTUAL_ROCM_CHECK_MASK(Mask);
  return __ballot(predicate) & static_cast<unsigned long long>(mask);
}
template <typename Mask>
VIRTUAL_ROCM_DEVICE int __any_sync(Mask mask, int predicate) {
  return __ballot_sync(mask, predicate) != 0;
}
template <typename Mask>
VIRTUAL_ROCM_DEVICE int __all_sync(Mask mask, int predicate) {
  return __ballot_sync(mask, predicate) == static_cast<unsigned long long>(mask);
}
template <typename Mask, typename T>
VIRTUAL_ROCM_DEVICE T __shfl_sync(Mask, T value, int source, int width = 64) {
  VIRTUAL_ROCM_CHECK_MASK(Mask);
  return __shfl(value, source, width);
}
template <typename Mask, typename T>
VIRTUAL_ROCM_DEVICE T __shfl_up_sync(Mask, T value, unsigned delta, int width = 64) {
  VIRTUAL_ROCM_CHECK_MASK(Mask);
  return __shfl_up(value, delta, width);
}
template <typename Mask, typename T>
VIRTUAL_ROCM_DEVICE T __shfl_down_sync(Mask, T value, unsigned delta, int width = 64) {
  VIRTUAL_ROCM_CHECK_MASK(Mask);
  return __shfl_down(value, delta, width);
}
template <typename Mask, typename T>
VIRTUAL_ROCM_DEVICE T __shfl_xor_sync(Mask, T value, int lanes, int width = 64) {
  VIRTUAL_ROCM_CHECK_MASK(Mask);
  return __shfl_xor(value, lanes, width);
}

namespace virtual_rocm_hip {
template <typename T>
VIRTUAL_ROCM_DEVICE T read_first_lane(T value) {
  constexpr unsigned kWords = (sizeof(T) + 3) / 4;
  int words[kWords] = {};
  __builtin_memcpy(words, &value, sizeof(T));
  for (unsigned i = 0; i < kWords; ++i) words[i] = __builtin_amdgcn_readfirstlane(words[i]);
  T result;
  __builtin_memcpy(&result, words, sizeof(T));
  return result;
}
}  // namespace virtual_rocm_hip

// The lanes that hold the same value as this one. Each turn of the loop serves all lanes that agree with the
// first one left.
template <typename T>
VIRTUAL_ROCM_DEVICE unsigned long long __match_any(T value) {
  unsigned long long lanes = 0;
  bool done = false;
  while (__any(!done)) {
    if (!done && virtual_rocm_hip::read_first_lane(value) == value) {
      lanes = __activemask();
      done = true;
    }
  }
  return lanes;
}
template <typename T>
VIRTUAL_ROCM_DEVICE unsigned long long __match_all(T value, int* all) {
  const bool same = __all(virtual_rocm_hip::read_first_lane(value) == value);
  *all = same;
  return same ? __activemask() : 0;
}
template <typename Mask, typename T>
VIRTUAL_ROCM_DEVICE unsigned long long __match_any_sync(Mask mask, T value) {
  VIRTUAL_ROCM_CHECK_MASK(Mask);
  return __match_any(value) & static_cast<unsigned long long>(mask);
}
template <typename Mask, typename T>
VIRTUAL_ROCM_DEVICE unsigned long long __match_all_sync(Mask mask, T value, int* all) {
  VIRTUAL_ROCM_CHECK_MASK(Mask);
  return __match_all(value, all) & static_cast<unsigned long long>(mask);
}

#endif
