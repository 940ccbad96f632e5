// SPDX-License-Identifier: MIT
//
// Storage types of the OCP floating-point formats, and the conversions of single values (namespace fcbx, in
// amd_detail/amd_hip_ocp_host.hpp). The stochastic-rounding and block-of-32 functions of HIP are not here.
#pragma once

#include <hip/amd_detail/host_defines.h>
#include <hip/hip_bf16.h>
#include <hip/hip_fp16.h>

#include <cstdint>

typedef std::uint8_t __amd_fp8_storage_t;
typedef std::uint16_t __amd_fp8x2_storage_t;
typedef std::uint8_t __amd_fp4x2_storage_t;
typedef std::int8_t __amd_scale_t;
typedef float __amd_floatx2_storage_t __attribute__((ext_vector_type(2)));
typedef float __amd_floatx8_storage_t __attribute__((ext_vector_type(8)));
typedef _Float16 __amd_fp16x8_storage_t __attribute__((ext_vector_type(8)));
typedef __bf16 __amd_bf16x8_storage_t __attribute__((ext_vector_type(8)));

typedef enum {
  __AMD_OCP_E4M3 = 0,
  __AMD_OCP_E5M2 = 1,
} __amd_fp8_interpretation_t;
typedef enum {
  __AMD_OCP_E2M3 = 0,
  __AMD_OCP_E3M2 = 1,
} __amd_fp6_interpretation_t;
typedef enum {
  __AMD_OCP_E2M1 = 0,
} __amd_fp4_interpretation_t;

#include <hip/amd_detail/amd_hip_ocp_host.hpp>
