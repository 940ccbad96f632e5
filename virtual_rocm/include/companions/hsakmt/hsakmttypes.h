// SPDX-License-Identifier: MIT
//
// The types of AMD's kernel-driver interface that code for the SDMA engines names.
#pragma once

#include <stdint.h>

typedef int8_t HSAint8;
typedef uint8_t HSAuint8;
typedef int16_t HSAint16;
typedef uint16_t HSAuint16;
typedef int32_t HSAint32;
typedef uint32_t HSAuint32;
typedef int64_t HSAint64;
typedef uint64_t HSAuint64;

typedef HSAuint64 HSA_QUEUEID;

typedef enum _HSA_QUEUE_PRIORITY {
  HSA_QUEUE_PRIORITY_MINIMUM = -3,
  HSA_QUEUE_PRIORITY_LOW = -2,
  HSA_QUEUE_PRIORITY_BELOW_NORMAL = -1,
  HSA_QUEUE_PRIORITY_NORMAL = 0,
  HSA_QUEUE_PRIORITY_ABOVE_NORMAL = 1,
  HSA_QUEUE_PRIORITY_HIGH = 2,
  HSA_QUEUE_PRIORITY_MAXIMUM = 3,
} HSA_QUEUE_PRIORITY;

typedef struct _HsaQueueResource {
  HSA_QUEUEID QueueId;
  union {
    HSAuint32* Queue_DoorBell;
    HSAuint64* Queue_DoorBell_aql;
    HSAuint64 QueueDoorBell;
  };
  union {
    HSAuint32* Queue_write_ptr;
    HSAuint64* Queue_write_ptr_aql;
    HSAuint64 QueueWptrValue;
  };
  union {
    HSAuint32* Queue_read_ptr;
    HSAuint64* Queue_read_ptr_aql;
    HSAuint64 QueueRptrValue;
  };
  volatile HSAint64* ErrorReason;
} HsaQueueResource;
