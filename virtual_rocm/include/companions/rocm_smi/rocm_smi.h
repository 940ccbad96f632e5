// SPDX-License-Identifier: MIT
//
// The status type of ROCm's management library; the library itself is for the host.
#pragma once

#include <stdint.h>

typedef enum {
  RSMI_STATUS_SUCCESS = 0x0,
  RSMI_STATUS_UNKNOWN_ERROR = 0xFFFFFFFF,
} rsmi_status_t;

typedef enum {
  RSMI_IOLINK_TYPE_UNDEFINED = 0,
  RSMI_IOLINK_TYPE_PCIEXPRESS = 1,
  RSMI_IOLINK_TYPE_XGMI = 2,
  RSMI_IOLINK_TYPE_NUMIOLINKTYPES,
  RSMI_IOLINK_TYPE_SIZE = 0xFFFFFFFF,
} RSMI_IO_LINK_TYPE;

#if defined(__cplusplus)
extern "C" {
#endif
rsmi_status_t rsmi_status_string(rsmi_status_t status, const char** text);
#if defined(__cplusplus)
}
#endif
