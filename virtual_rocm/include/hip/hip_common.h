// SPDX-License-Identifier: MIT
//
// Which compiler, and which half of the compilation (host or device), this is.
#pragma once

#include <hip/hip_version.h>

#if !defined(__HIP_PLATFORM_AMD__)
#define __HIP_PLATFORM_AMD__ 1
#endif
#if !defined(__HIP_PLATFORM_HCC__)
#define __HIP_PLATFORM_HCC__ 1
#endif
#if defined(__clang__) && defined(__HIP__)
#define __HIP_CLANG_ONLY__ 1
#else
#define __HIP_CLANG_ONLY__ 0
#endif
#if defined(__HIP__) && !defined(__HIPCC__)
#define __HIPCC__ 1
#endif
// __HIP_DEVICE_COMPILE__ is clang's own: 1 in the device half, not defined in the host half.

#define __HIP_ARCH_HAS_WARP_BALLOT__ 1
#define __HIP_ARCH_HAS_WARP_SHUFFLE__ 1
#define __HIP_ARCH_HAS_WARP_VOTE__ 1
