// SPDX-License-Identifier: MIT
//
// A function with more basic blocks than clang's limit for inlining (1100), which uses dynamic LDS.
#include <hip/hip_runtime.h>

template <int count>
__device__ __forceinline__ void add(volatile int* cells, const int* in) {
  if (in[count] != 0) cells[count % 64] = cells[count % 64] + count;
  if constexpr (count > 0) add<count - 1>(cells, in);
}

__device__ void add_all(int* out, const int* in) {
  extern __shared__ int dynamic[];
  dynamic[threadIdx.x] = 0;
  __syncthreads();
  if (threadIdx.x == 0) add<600>(dynamic, in);
  __syncthreads();
  out[threadIdx.x] = dynamic[threadIdx.x];
}

extern "C" __global__ void large(int* out, const int* in) { add_all(out, in); }
extern "C" __global__ void large_too(int* out, const int* in) { add_all(out + 64, in); }
