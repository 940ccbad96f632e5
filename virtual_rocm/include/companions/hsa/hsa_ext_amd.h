// SPDX-License-Identifier: MIT
#pragma once

#include <hsa/hsa.h>

typedef struct hsa_amd_memory_pool_s {
  uint64_t handle;
} hsa_amd_memory_pool_t;
