// SPDX-License-Identifier: MIT
#include <hip/hip_runtime_api.h>
int f(void) {
  dim3 d = {1, 2, 3};
  hipDeviceProp_t p;
  return hipGetDeviceProperties(&p, 0) + (int)d.x;
}
