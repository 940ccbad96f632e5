// SPDX-License-Identifier: MIT
//
// The function and variable qualifiers of HIP.
#pragma once

#include <hip/hip_common.h>

#if defined(__HIP__)

#if !defined(__host__)
#define __host__ __attribute__((host))
#define __device__ __attribute__((device))
#define __global__ __attribute__((global))
#define __shared__ __attribute__((shared))
#define __constant__ __attribute__((constant))
#endif
#if !defined(__managed__)
#define __managed__ __attribute__((managed))
#endif

#if !defined(__CLANG_HIP_RUNTIME_WRAPPER_INCLUDED__)
#error "compile HIP sources through hipcc: it includes clang's HIP wrapper first"
#endif

#define __noinline__ __attribute__((noinline))
#define __forceinline__ inline __attribute__((always_inline))
#define __grid_constant__

// __launch_bounds__(threads) and __launch_bounds__(threads, waves per execution unit)
#define VIRTUAL_ROCM_BOUNDS_1(threads) __attribute__((amdgpu_flat_work_group_size(1, threads)))
#define VIRTUAL_ROCM_BOUNDS_2(threads, waves) \
  __attribute__((amdgpu_flat_work_group_size(1, threads), amdgpu_waves_per_eu(waves)))
#define VIRTUAL_ROCM_BOUNDS_SELECT(first, second, chosen, ...) chosen
#define __launch_bounds__(...) \
  VIRTUAL_ROCM_BOUNDS_SELECT(__VA_ARGS__, VIRTUAL_ROCM_BOUNDS_2, VIRTUAL_ROCM_BOUNDS_1, )(__VA_ARGS__)

#define HIP_KERNEL_NAME(...) __VA_ARGS__
#define HIP_DYNAMIC_SHARED(type, name) extern __shared__ type name[];
#define HIP_DYNAMIC_SHARED_ATTRIBUTE

#else

#define __host__
#define __device__
#define __global__
#define __shared__
#define __constant__
#if !defined(__noinline__)
#define __noinline__
#endif
#define __forceinline__ inline
#define __launch_bounds__(...)

#endif

#if !defined(__align__)
#define __align__(bytes) __attribute__((aligned(bytes)))
#endif
#define __HOST_DEVICE__ __host__ __device__
