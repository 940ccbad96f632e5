// SPDX-License-Identifier: MIT
//
// The status and link types of AMD's system management library; the library itself is for the host.
#pragma once

#include <stdint.h>

typedef enum {
  AMDSMI_STATUS_SUCCESS = 0,
  AMDSMI_STATUS_UNKNOWN_ERROR = 0xFFFFFFFF,
} amdsmi_status_t;

typedef enum {
  AMDSMI_LINK_TYPE_INTERNAL,
  AMDSMI_LINK_TYPE_PCIE,
  AMDSMI_LINK_TYPE_XGMI,
  AMDSMI_LINK_TYPE_NOT_APPLICABLE,
  AMDSMI_LINK_TYPE_UNKNOWN,
} amdsmi_link_type_t;

#if defined(__cplusplus)
extern "C" {
#endif
amdsmi_status_t amdsmi_status_code_to_string(amdsmi_status_t status, const char** text);
#if defined(__cplusplus)
}
#endif
