// SPDX-License-Identifier: MIT
//
// A host program that names HIP and is compiled by an ordinary compiler.
#include <hip/hip_runtime.h>
#include <hip/library_types.h>
float4 twice(float4 a) { return a + a; }
int main() {
  float* p = nullptr;
  dim3 g(2);
  float4 v = make_float4(1, 2, 3, 4);
  v *= 2.0f;
  v.x += twice(v).w;
  int3 i(1);
  return hipMalloc(&p, 4) + static_cast<int>(v.x) + static_cast<int>(g.x) + i.z;
}
