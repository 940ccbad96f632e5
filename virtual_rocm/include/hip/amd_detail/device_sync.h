// SPDX-License-Identifier: MIT
//
// Barriers of a block and of a warp, memory fences, assertions, printf and traps.
#pragma once

#include <hip/amd_detail/device_bits.h>
#include <hip/amd_detail/device_indices.h>

#if defined(__HIP__)

extern "C" {
// Defined in virtual_rocm/device, where they become traps that the engine answers.
__device__ void __assert_fail(const char* assertion, const char* file, unsigned int line,
                              const char* function) noexcept;
// Clang turns a call of it into calls of the __ockl_printf family.
__device__ int printf(const char* format, ...);
}

VIRTUAL_ROCM_DEVICE void __threadfence_block() { __builtin_amdgcn_fence(__ATOMIC_SEQ_CST, "workgroup"); }
VIRTUAL_ROCM_DEVICE void __threadfence() { __builtin_amdgcn_fence(__ATOMIC_SEQ_CST, "agent"); }
VIRTUAL_ROCM_DEVICE void __threadfence_system() { __builtin_amdgcn_fence(__ATOMIC_SEQ_CST, ""); }

#if !__has_builtin(__scoped_atomic_thread_fence)
// A builtin since clang 20. The switches fold away, as both arguments are constants wherever it is called.
#define VIRTUAL_ROCM_SCOPED_FENCE(scope)                      \
  switch (order) {                                            \
    case __ATOMIC_CONSUME:                                    \
    case __ATOMIC_ACQUIRE:                                    \
      return __builtin_amdgcn_fence(__ATOMIC_ACQUIRE, scope); \
    case __ATOMIC_RELEASE:                                    \
      return __builtin_amdgcn_fence(__ATOMIC_RELEASE, scope); \
    case __ATOMIC_ACQ_REL:                                    \
      return __builtin_amdgcn_fence(__ATOMIC_ACQ_REL, scope); \
    case __ATOMIC_SEQ_CST:                                    \
      return __builtin_amdgcn_fence(__ATOMIC_SEQ_CST, scope); \
    default:                                                  \
      return;                                                 \
  }
VIRTUAL_ROCM_DEVICE void __scoped_atomic_thread_fence(int order, int memory_scope) {
  switch (memory_scope) {
    case __MEMORY_SCOPE_SYSTEM:
      VIRTUAL_ROCM_SCOPED_FENCE("")
    case __MEMORY_SCOPE_DEVICE:
      VIRTUAL_ROCM_SCOPED_FENCE("agent")
    case __MEMORY_SCOPE_WRKGRP:
      VIRTUAL_ROCM_SCOPED_FENCE("workgroup")
    case __MEMORY_SCOPE_WVFRNT:
      VIRTUAL_ROCM_SCOPED_FENCE("wavefront")
    default:
      return;
  }
}
#undef VIRTUAL_ROCM_SCOPED_FENCE
#endif

VIRTUAL_ROCM_DEVICE void __syncthreads() {
  __builtin_amdgcn_fence(__ATOMIC_RELEASE, "workgroup");
  __builtin_amdgcn_s_barrier();
  __builtin_amdgcn_fence(__ATOMIC_ACQUIRE, "workgroup");
}

// The warp runs in lock-step, so this is an order on memory and a barrier for the compiler.
VIRTUAL_ROCM_DEVICE void __syncwarp() {
  __builtin_amdgcn_fence(__ATOMIC_RELEASE, "wavefront");
  __builtin_amdgcn_wave_barrier();
  __builtin_amdgcn_fence(__ATOMIC_ACQUIRE, "wavefront");
}
VIRTUAL_ROCM_DEVICE void __syncwarp(unsigned long long) { __syncwarp(); }

#define __CLK_LOCAL_MEM_FENCE 0x01
#define __CLK_GLOBAL_MEM_FENCE 0x02
VIRTUAL_ROCM_DEVICE void __work_group_barrier(unsigned) { __syncthreads(); }
VIRTUAL_ROCM_DEVICE void __barrier(int) { __syncthreads(); }

namespace virtual_rocm_hip {
// One word of LDS per block through which a vote is counted. The first barrier keeps a fast wave that starts
// the next vote from disturbing a slow one that still reads this one.
VIRTUAL_ROCM_DEVICE int block_vote(int predicate, int (*combine)(int*, int), int initial) {
  __shared__ int result;
  __syncthreads();
  if (threadIdx.x == 0 && threadIdx.y == 0 && threadIdx.z == 0) result = initial;
  __syncthreads();
  combine(&result, predicate);
  __syncthreads();
  return result;
}
VIRTUAL_ROCM_DEVICE int vote_add(int* word, int value) {
  return __hip_atomic_fetch_add(word, value, __ATOMIC_RELAXED, __HIP_MEMORY_SCOPE_WORKGROUP);
}
VIRTUAL_ROCM_DEVICE int vote_and(int* word, int value) {
  return __hip_atomic_fetch_and(word, value, __ATOMIC_RELAXED, __HIP_MEMORY_SCOPE_WORKGROUP);
}
VIRTUAL_ROCM_DEVICE int vote_or(int* word, int value) {
  return __hip_atomic_fetch_or(word, value, __ATOMIC_RELAXED, __HIP_MEMORY_SCOPE_WORKGROUP);
}
}  // namespace virtual_rocm_hip

VIRTUAL_ROCM_DEVICE int __syncthreads_count(int predicate) {
  return virtual_rocm_hip::block_vote(predicate != 0, virtual_rocm_hip::vote_add, 0);
}
VIRTUAL_ROCM_DEVICE int __syncthreads_and(int predicate) {
  return virtual_rocm_hip::block_vote(predicate != 0, virtual_rocm_hip::vote_and, 1);
}
VIRTUAL_ROCM_DEVICE int __syncthreads_or(int predicate) {
  return virtual_rocm_hip::block_vote(predicate != 0, virtual_rocm_hip::vote_or, 0);
}

// The host's declarations of these are of no use to a device; the compiler expands them in place.
VIRTUAL_ROCM_DEVICE void* memcpy(void* to, const void* from, size_t bytes) {
  return __builtin_memcpy(to, from, bytes);
}
VIRTUAL_ROCM_DEVICE void* memmove(void* to, const void* from, size_t bytes) {
  return __builtin_memmove(to, from, bytes);
}
VIRTUAL_ROCM_DEVICE void* memset(void* to, int value, size_t bytes) {
  return __builtin_memset(to, value, bytes);
}

VIRTUAL_ROCM_DEVICE void __trap() { __builtin_trap(); }
#if __HIP_DEVICE_COMPILE__
extern "C" __device__ inline __attribute__((weak, noreturn)) void abort() noexcept { __builtin_trap(); }
#endif

#endif
