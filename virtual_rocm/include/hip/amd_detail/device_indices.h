// SPDX-License-Identifier: MIT
//
// threadIdx, blockIdx, blockDim, gridDim, warpSize.
#pragma once

#include <hip/amd_detail/host_defines.h>
#include <hip/hip_runtime_api.h>

#if defined(__HIP__)

// The hidden arguments of code object version 5 begin with the number of blocks in x, y and z.
#define VIRTUAL_ROCM_BLOCK_COUNT(axis) \
  (((const __attribute__((address_space(4))) unsigned*)__builtin_amdgcn_implicitarg_ptr())[axis])

#define VIRTUAL_ROCM_COORDINATES(name, get_x, get_y, get_z)                                               \
  struct __hip_builtin_##name##_t {                                                                       \
    __declspec(property(get = __get_x)) unsigned x;                                                       \
    __declspec(property(get = __get_y)) unsigned y;                                                       \
    __declspec(property(get = __get_z)) unsigned z;                                                       \
    __device__ __attribute__((always_inline)) static unsigned __get_x() { return get_x; }                 \
    __device__ __attribute__((always_inline)) static unsigned __get_y() { return get_y; }                 \
    __device__ __attribute__((always_inline)) static unsigned __get_z() { return get_z; }                 \
    __device__ __attribute__((always_inline)) operator dim3() const { return dim3(get_x, get_y, get_z); } \
  };                                                                                                      \
  extern const __device__ __attribute__((weak)) __hip_builtin_##name##_t name;

VIRTUAL_ROCM_COORDINATES(threadIdx, __builtin_amdgcn_workitem_id_x(), __builtin_amdgcn_workitem_id_y(),
                         __builtin_amdgcn_workitem_id_z())
VIRTUAL_ROCM_COORDINATES(blockIdx, __builtin_amdgcn_workgroup_id_x(), __builtin_amdgcn_workgroup_id_y(),
                         __builtin_amdgcn_workgroup_id_z())
VIRTUAL_ROCM_COORDINATES(blockDim, __builtin_amdgcn_workgroup_size_x(), __builtin_amdgcn_workgroup_size_y(),
                         __builtin_amdgcn_workgroup_size_z())
VIRTUAL_ROCM_COORDINATES(gridDim, VIRTUAL_ROCM_BLOCK_COUNT(0), VIRTUAL_ROCM_BLOCK_COUNT(1),
                         VIRTUAL_ROCM_BLOCK_COUNT(2))
#undef VIRTUAL_ROCM_COORDINATES

#define hipThreadIdx_x threadIdx.x
#define hipThreadIdx_y threadIdx.y
#define hipThreadIdx_z threadIdx.z
#define hipBlockIdx_x blockIdx.x
#define hipBlockIdx_y blockIdx.y
#define hipBlockIdx_z blockIdx.z
#define hipBlockDim_x blockDim.x
#define hipBlockDim_y blockDim.y
#define hipBlockDim_z blockDim.z
#define hipGridDim_x gridDim.x
#define hipGridDim_y gridDim.y
#define hipGridDim_z gridDim.z

// Not a constant expression in HIP 7, where the width is a property of the target; on gfx9 it is always 64.
struct __hip_builtin_warpSize_t {
  __device__ __attribute__((always_inline)) constexpr operator int() const noexcept { return 64; }
};
inline constexpr __device__ __hip_builtin_warpSize_t warpSize{};

#endif
