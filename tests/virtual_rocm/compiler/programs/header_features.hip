// SPDX-License-Identifier: MIT
//
// Names what the headers offer and the differential programs do not run. It has to compile without a warning.
#include <hip/hip_bf16.h>
#include <hip/hip_bfloat16.h>
#include <hip/hip_ext.h>
#include <hip/hip_ext_ocp.h>
#include <hip/hip_fp16.h>
#include <hip/hip_fp8.h>
#include <hip/hip_runtime.h>
#include <hip/library_types.h>
#include <hsa/hsa_ext_amd.h>
#include <hsakmt/hsakmt.h>
#include <infiniband/mlx5dv.h>
#include <rocm_smi/rocm_smi.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <complex>
#include <limits>
#include <utility>

static_assert(HIP_VERSION >= 70000000, "the version is one number");
static_assert(sizeof(hipDeviceProp_t) == 1472, "the binary interface");
static_assert(sizeof(hipIpcMemHandle_t) == 64, "the binary interface");
static_assert(HIP_R_8F_E4M3_FNUZ == 1000 && HIP_R_16BF == 14, "the numbers of element types");
static_assert(sizeof(mlx5_cqe64) == 64 && IBV_WC_GENERAL_ERR == 21 && HSA_QUEUE_PRIORITY_NORMAL == 0,
              "companions");
#if __HIP_DEVICE_COMPILE__
static_assert(HIP_FP8_TYPE_FNUZ == 1 && HIP_FP8_TYPE_OCP == 0 && HIP_FP8_CVT_FAST_PATH == 1,
              "gfx942 has fnuz");
static_assert(__AMDGCN__ && __gfx942__ && __GFX9__, "the target's own macros");
#endif

__constant__ int constants[4] = {1, 2, 3, 4};
__device__ __managed__ int managed_value;
extern __shared__ int dynamic_memory[];

struct __align__(16) Aligned {
  int x;
};
static_assert(alignof(Aligned) == 16, "__align__");

__device__ __noinline__ int out_of_line(int x) { return x + constants[x & 3]; }
__device__ __forceinline__ int in_line(int x) { return out_of_line(x) * 2; }

extern "C" __global__ void __launch_bounds__(256) bounded(int* out) {
  out[threadIdx.x] = in_line(threadIdx.x);
}
extern "C" __global__ void __launch_bounds__(512, 2) bounded_twice(int* out) {
  out[hipThreadIdx_x + hipBlockIdx_y] = warpSize;
}

extern "C" __global__ void vectors(float4* out, const int4* in, double2* wide, ushort3* three) {
  float4 value = make_float4(1, 2, 3, 4);
  value += make_float4(1, 1, 1, 1) * 2.0f - value / 4;
  value.w = -value.x;
  int4 integers = in[0];
  integers ^= in[1];
  integers <<= make_int4(1, 2, 3, 4);
  ++integers;
  out[0] = value * static_cast<float>(integers == in[1]);
  out[1] = make_float4(integers.x, integers.y, integers.z, integers[3]);
  wide[0] = double2(3.0) + wide[1];
  three[0] = make_ushort3(1, 2, 3);
}

extern "C" __global__ void halves(__half* out, const __half2* in, __hip_bfloat16* bf, hip_bfloat16* old) {
  const __half2 sum = __hfma2(in[0], in[1], __float2half2_rn(1.5f));
  out[0] = __hadd(__low2half(sum), __high2half(sum)) * __half(2) - __float2half(0.5f);
  out[1] = __hisnan(out[0]) ? __ushort_as_half(0x7c00) : __hneg(__habs(out[0]));
  out[2] = __half2float(out[0]) > 1.0f && out[0] > out[1] ? __half(1) : __half(0);
  bf[0] = __float2bfloat16(__low2float(sum)) + __hmax(bf[1], bf[2]) / __hip_bfloat16(3);
  bf[1] = __hfma(bf[1], bf[2], -bf[0]);
  const __hip_bfloat162 both = __float22bfloat162_rn(make_float2(1, 2));
  bf[2] = __low2bfloat16(__hadd2(both, __halves2bfloat162(bf[0], bf[1])));
  old[0] = hip_bfloat16(1.0f) + old[1] * hip_bfloat16::round_to_bfloat16(2.0f);
  old[1] = old[0] < old[2] ? old[2] : -old[0];
  old[2] = 5.0f;
}

extern "C" __global__ void eights(__hip_fp8_storage_t* out, const float* in) {
  out[0] = __hip_fp8_e4m3_fnuz(in[0]).__x;
  out[1] = __hip_cvt_float_to_fp8(in[1], __HIP_SATFINITE, __HIP_E5M2);
  out[2] = static_cast<__hip_fp8_storage_t>(
      __hip_cvt_float2_to_fp8x2(make_float2(in[0], in[1]), __HIP_NOSAT, __HIP_E4M3));
  const __hip_fp8x4_e4m3_fnuz four(make_float4(in[0], in[1], in[2], in[3]));
  const float4 back = four;
  out[3] = static_cast<__hip_fp8_storage_t>(back.x + back.w);
  out[4] = fcbx::from_float<float, fcbx::Encoding::E2M1, true>(in[4], 0);
  out[5] = static_cast<__hip_fp8_storage_t>(__hip_cvt_fp8_to_halfraw(out[0], __HIP_E4M3_FNUZ).x);
}

extern "C" __global__ void synchronised(int* out, unsigned long long* clocks) {
  dynamic_memory[threadIdx.x] = __popc(threadIdx.x) + __clz(out[0]) + __ffs(out[1]) + __brev(3);
  __threadfence_block();
  __syncwarp();
  __threadfence();
  __syncthreads();
  __threadfence_system();
  __scoped_atomic_thread_fence(__ATOMIC_RELEASE, __MEMORY_SCOPE_DEVICE);
  clocks[0] = clock64();
  clocks[1] = wall_clock64();
  __builtin_amdgcn_s_sleep(1);
  atomicAdd_system(&out[2], dynamic_memory[threadIdx.x ^ 1]);
  atomicMax(&clocks[2], clocks[0]);
  unsafeAtomicAdd(reinterpret_cast<float*>(&out[3]), 1.0f);
  out[4] = __hip_atomic_load(&out[5], __ATOMIC_ACQUIRE, __HIP_MEMORY_SCOPE_SYSTEM);
  __hip_atomic_store(&out[6], 1, __ATOMIC_RELEASE, __HIP_MEMORY_SCOPE_WORKGROUP);
  out[7] =
      __ldg(&out[8]) + __mul24(out[8], 3) + __byte_perm(out[8], out[9], 0x3210) + __funnelshift_l(1, 2, 3);
  out[8] = __float2int_rn(__int_as_float(out[9])) + __float_as_int(__uint2float_rn(7));
  if (out[9] == 12345) __trap();
  assert(out[9] != 54321);
}

extern "C" __global__ void standard_library(float* out) {
  const std::array<float, 3> values = {3, 1, 2};
  out[0] = std::max(values[0], std::min(values[1], values[2])) + std::sqrt(values[2]) + std::abs(-1.0f);
  out[1] = std::numeric_limits<float>::max() * std::exp(-values[0]) + std::pow(values[0], 2.0f) +
           std::fma(1.0f, 2.0f, 3.0f);
  const std::pair<int, float> pair(1, 2.0f);
  out[2] = static_cast<float>(pair.first) + pair.second + std::isnan(out[0]) + std::floor(out[1]);
  char bytes[8];
  memset(bytes, 1, sizeof bytes);
  memcpy(out + 3, bytes, sizeof bytes);
}

#if !__HIP_DEVICE_COMPILE__
// The host half of the same source.
int host_side(int* data) {
  hipStream_t stream = nullptr;
  hipEvent_t event = nullptr;
  if (hipStreamCreateWithFlags(&stream, hipStreamNonBlocking) != hipSuccess) return 1;
  hipLaunchKernelGGL(bounded, dim3(1), dim3(64), 0, stream, data);
  bounded_twice<<<dim3(1, 2), 64, 0, stream>>>(data);
  hipPointerAttribute_t attributes;
  void* address = nullptr;
  return hipEventCreateWithFlags(&event, hipEventDisableTiming) +
         hipMemcpyToSymbol(constants, data, sizeof constants) + hipGetSymbolAddress(&address, constants) +
         hipPointerGetAttributes(&attributes, address) + hipGetLastError();
}
#endif
