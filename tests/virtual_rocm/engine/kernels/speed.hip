// SPDX-License-Identifier: MIT
//
// Kernels of the benchmarks: arithmetic, copies of each width, row gathers.
#include "device.h"

KERNEL arithmetic_i32(u32* out, u32 steps) {
  u32 a = thread_index() + 1, b = block_index() * 7 + 3, c = a ^ b, d = a + b;
  for (u32 i = 0; i < steps; ++i) {
    a = a * 5 + b; b ^= a >> 3; c += b & d; d = (d << 1) | (c & 1);
    a += c; b -= d; c ^= a; d += b;
  }
  out[global_index()] = a ^ b ^ c ^ d;
}
KERNEL arithmetic_f32(float* out, u32 steps) {
  float a = thread_index(), b = 0.5f, c = 1.25f, d = block_index();
  for (u32 i = 0; i < steps; ++i) {
    a = a * b + c; b = b * 0.999f + d; c = c * a + b; d = d * 0.5f + a;
    a = a * 0.25f + 1.0f; c = c * 0.125f + 2.0f;
  }
  out[global_index()] = a + b + c + d;
}
template <typename T>
__device__ inline void copy(T* to, const T* from, u32 count) {
  u32 step = __builtin_amdgcn_grid_size_x();
  for (u32 i = global_index(); i < count; i += step) to[i] = from[i];
}
KERNEL copy_words(u32* to, const u32* from, u32 count) { copy(to, from, count); }
KERNEL copy_pairs(u32x2* to, const u32x2* from, u32 count) { copy(to, from, count); }
KERNEL copy_quads(u32x4* to, const u32x4* from, u32 count) { copy(to, from, count); }
KERNEL copy_halves(u16* to, const u16* from, u32 count) { copy(to, from, count); }

// One block for each row: the row index, then the row, 16 bytes for each thread at a time.
KERNEL row_gather(u32x4* to, const u32x4* from, const u32* index, u32 width) {
  u32 row = index[block_index()];
  for (u32 i = thread_index(); i < width; i += block_size())
    to[(u64)block_index() * width + i] = from[(u64)row * width + i];
}
KERNEL row_gather_words(u32* to, const u32* from, const u32* index, u32 width) {
  u32 row = index[block_index()];
  for (u32 i = thread_index(); i < width; i += block_size())
    to[(u64)block_index() * width + i] = from[(u64)row * width + i];
}
// The same through LDS, with two barriers: a tile in, turned round within the block, and out.
KERNEL row_gather_lds(u32* to, const u32* from, const u32* index, u32 width) {
  __shared__ u32 tile[256];
  u32 row = index[block_index()], t = thread_index();
  for (u32 i = 0; i < width; i += 256) {
    tile[t] = from[(u64)row * width + i + t];
    barrier();
    to[(u64)block_index() * width + i + t] = tile[255 - t];
    barrier();
  }
}
