// SPDX-License-Identifier: MIT
#include "device.h"

// Line numbers are found by the words in the comments.
template <int kind>
__device__ __attribute__((always_inline)) u32 inlined(u32 value) {
  return value * 2654435761u + kind;  // in the inlined function
}
__device__ __attribute__((noinline)) u32 called(u32 value) {
  return value ^ value >> 7;  // in the called function
}
__device__ __attribute__((noinline)) u32 never_called(u32 value) {
  return value ^ value >> 9;  // in the function that is never called
}

KERNEL branches(u32* out, u32 which) {
  u32 value = global_index();
  if (which == 0) {
    value = called(value);        // only with 0
  } else if (which == 1) {
    value = inlined<1>(value);    // only with 1
  } else if (which == 2) {
    value = never_called(value);  // only with 2
  }
  if (which == 3 && lane_index() == 70) {
    out[500 + value % 7] = 3;     // no lane has this number
    out[501 + value % 5] = 4;
  }
  out[global_index()] = value;    // always
}

KERNEL fault_after_branch(u32* out, u32 which) {
  u32 value = inlined<2>(which);
  if (which == 1) {
    *(u32*)16 = value;            // faults
  }
  out[lane_index()] = value;      // not after the fault
}
KERNEL never_launched(u32* out) {
  out[0] = 1;                     // in the kernel that is never launched
}
