// SPDX-License-Identifier: MIT
//
// HIP for device code and for the host code around it.
#pragma once

#include <hip/amd_detail/host_defines.h>
#include <hip/hip_common.h>
#include <hip/hip_runtime_api.h>
#include <hip/hip_vector_types.h>
#include <hip/hip_version.h>

#include <cassert>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#if defined(__HIP__)
#include <hip/amd_detail/device_atomic.h>
#include <hip/amd_detail/device_bits.h>
#include <hip/amd_detail/device_indices.h>
#include <hip/amd_detail/device_sync.h>
#include <hip/amd_detail/device_warp.h>
#endif
