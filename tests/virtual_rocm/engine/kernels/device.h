// SPDX-License-Identifier: MIT
//
// The little of HIP that the engine's test kernels need, on compiler builtins alone: they must not depend on the headers
// under test elsewhere.
#pragma once

#define __global__ __attribute__((global))
#define __device__ __attribute__((device))
#define __shared__ __attribute__((shared))
#define KERNEL extern "C" __global__ void

typedef unsigned int u32;
typedef unsigned long u64;
typedef unsigned short u16;
typedef unsigned char u8;
typedef u32 u32x2 __attribute__((ext_vector_type(2)));
typedef u32 u32x4 __attribute__((ext_vector_type(4)));

__device__ inline u32 thread_index() { return __builtin_amdgcn_workitem_id_x(); }
__device__ inline u32 block_index() { return __builtin_amdgcn_workgroup_id_x(); }
__device__ inline u32 block_size() { return __builtin_amdgcn_workgroup_size_x(); }
__device__ inline u32 global_index() { return block_index() * block_size() + thread_index(); }
__device__ inline u32 lane_index() { return __builtin_amdgcn_mbcnt_hi(~0u, __builtin_amdgcn_mbcnt_lo(~0u, 0)); }
__device__ inline void barrier() {
  __builtin_amdgcn_fence(__ATOMIC_RELEASE, "workgroup");
  __builtin_amdgcn_s_barrier();
  __builtin_amdgcn_fence(__ATOMIC_ACQUIRE, "workgroup");
}
template <typename T>
__device__ inline T load_acquire(T* address) {
  return __hip_atomic_load(address, __ATOMIC_ACQUIRE, __HIP_MEMORY_SCOPE_SYSTEM);
}
template <typename T>
__device__ inline void store_release(T* address, T value) {
  __hip_atomic_store(address, value, __ATOMIC_RELEASE, __HIP_MEMORY_SCOPE_SYSTEM);
}
template <typename T>
__device__ inline T fetch_add(T* address, T value) {
  return __hip_atomic_fetch_add(address, value, __ATOMIC_SEQ_CST, __HIP_MEMORY_SCOPE_SYSTEM);
}
