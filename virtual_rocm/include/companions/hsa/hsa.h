// SPDX-License-Identifier: MIT
//
// The handles of the HSA runtime interface; its functions are for the host.
#pragma once

#include <stddef.h>
#include <stdint.h>

typedef enum {
  HSA_STATUS_SUCCESS = 0x0,
  HSA_STATUS_INFO_BREAK = 0x1,
  HSA_STATUS_ERROR = 0x1000,
} hsa_status_t;

typedef struct hsa_agent_s {
  uint64_t handle;
} hsa_agent_t;
typedef struct hsa_region_s {
  uint64_t handle;
} hsa_region_t;
typedef struct hsa_signal_s {
  uint64_t handle;
} hsa_signal_t;

#if defined(__cplusplus)
extern "C" {
#endif
hsa_status_t hsa_init(void);
hsa_status_t hsa_shut_down(void);
hsa_status_t hsa_status_string(hsa_status_t status, const char** text);
#if defined(__cplusplus)
}
#endif
