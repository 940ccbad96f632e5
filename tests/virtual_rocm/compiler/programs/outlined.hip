// SPDX-License-Identifier: MIT
//
// A kernel that calls functions: one that calls another, and one that calls one that uses LDS.
#include <hip/hip_runtime.h>

__device__ int square(int value) { return value * value; }

__device__ int total(const int* values, int count) {
  int sum = 0;
  for (int number = 0; number < count; ++number) sum += square(values[number]);
  return sum;
}

__device__ int through_lds(int value) {
  __shared__ int held[64];
  held[threadIdx.x] = value;
  __syncthreads();
  return held[63 - threadIdx.x];
}

__device__ int exchange(int value) { return through_lds(value) + through_lds(-value); }

extern "C" __global__ void sum_of_squares(const int* values, int count, int* result) {
  const int sum = total(values, count) - total(values, count / 2);
  result[threadIdx.x] = exchange(sum + static_cast<int>(threadIdx.x));
}
