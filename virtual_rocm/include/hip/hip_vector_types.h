// SPDX-License-Identifier: MIT
#pragma once

#include <hip/amd_detail/amd_hip_vector_types.h>
