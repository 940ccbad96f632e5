// SPDX-License-Identifier: MIT
//
// Variables of every linkage, each used by two kernels: they must be one variable, although kernels are
// compiled apart.
#include <hip/hip_runtime.h>

__device__ int external_variable = 5;
static __device__ int internal_variable[4] = {1, 2, 3, 4};
namespace {
__device__ unsigned anonymous_variable;
}
__constant__ float constant_variable[8];
template <typename T>
__device__ T template_variable = T(7);
// Never changes, so it is no variable, and every kernel may have its own copy.
static __device__ const int table[4] = {10, 20, 30, 40};

extern "C" __global__ void read_all(int* out, int index) {
  __shared__ int scratch[64];
  scratch[threadIdx.x] = external_variable + internal_variable[index & 3] + table[index & 3];
  __syncthreads();
  out[threadIdx.x] = scratch[63 - threadIdx.x] + static_cast<int>(constant_variable[index]) +
                     static_cast<int>(anonymous_variable) + template_variable<int>;
}
extern "C" __global__ void write_all(int value) {
  external_variable = value;
  internal_variable[1] = value;
  anonymous_variable = static_cast<unsigned>(value);
  template_variable<int> = value;
}
