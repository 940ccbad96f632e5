// SPDX-License-Identifier: MIT
#include "device.h"

// --- every width, contiguous ---------------------------------------------------------------------------------------
KERNEL copy_u8(u8* to, const u8* from, u32 count) { u32 i = global_index(); if (i < count) to[i] = from[i]; }
KERNEL copy_u16(u16* to, const u16* from, u32 count) { u32 i = global_index(); if (i < count) to[i] = from[i]; }
KERNEL copy_u32(u32* to, const u32* from, u32 count) { u32 i = global_index(); if (i < count) to[i] = from[i]; }
KERNEL copy_u64(u64* to, const u64* from, u32 count) { u32 i = global_index(); if (i < count) to[i] = from[i]; }
KERNEL copy_u128(u32x4* to, const u32x4* from, u32 count) { u32 i = global_index(); if (i < count) to[i] = from[i]; }
struct Triple { u32 x, y, z; };
KERNEL copy_u96(Triple* to, const Triple* from, u32 count) { u32 i = global_index(); if (i < count) to[i] = from[i]; }
KERNEL widen_i8(int* to, const signed char* from, u32 count) { u32 i = global_index(); if (i < count) to[i] = from[i]; }
KERNEL widen_i16(int* to, const short* from, u32 count) { u32 i = global_index(); if (i < count) to[i] = from[i]; }

// --- loops whose accesses step forwards, backwards and from row to row ------------------------------------------------
template <typename T>
__device__ inline void copy_up(T* to, const T* from, u32 count) {
  for (u32 i = thread_index(); i < count; i += block_size()) to[i] = from[i];
}
KERNEL copy_up_u16(u16* to, const u16* from, u32 count) { copy_up(to, from, count); }
KERNEL copy_up_u32(u32* to, const u32* from, u32 count) { copy_up(to, from, count); }
KERNEL copy_up_u64(u64* to, const u64* from, u32 count) { copy_up(to, from, count); }
KERNEL copy_up_u128(u32x4* to, const u32x4* from, u32 count) { copy_up(to, from, count); }
KERNEL copy_down_u32(u32* to, const u32* from, u32 count) {
  for (int i = (int)(count - block_size() + thread_index()); i >= 0; i -= (int)block_size()) to[i] = from[i];
}
KERNEL put_pointer(u32** table, u32 index, u32* value) { table[index] = value; }
// Each thread sums one element of every buffer, again and again: more allocations than a cursor remembers.
KERNEL round_the_buffers(u32* out, u32* const* buffers, u32 count, u32 rounds) {
  u32 sum = 0;
  for (u32 round = 0; round < rounds; ++round)
    for (u32 i = 0; i < count; ++i) sum += buffers[i][thread_index()];
  out[thread_index()] = sum;
}

// --- scattered, and with holes in EXEC ------------------------------------------------------------------------------
KERNEL gather_u32(u32* to, const u32* from, const u32* index, u32 count) {
  u32 i = global_index();
  if (i < count) to[i] = from[index[i]];
}
KERNEL scatter_u128(u32x4* to, const u32x4* from, const u32* index, u32 count) {
  u32 i = global_index();
  if (i < count) to[index[i]] = from[i];
}
KERNEL odd_lanes_u32(u32* to, const u32* from, u32 count) {
  u32 i = global_index();
  if (i < count && (i & 1)) to[i] = from[i] + 1;
}
KERNEL odd_lanes_u128(u32x4* to, const u32x4* from, u32 count) {
  u32 i = global_index();
  if (i < count && (i & 1)) to[i] = from[i];
}

// --- flat: the same pointer is LDS, private or global, lane by lane -----------------------------------------------
KERNEL flat_mixed(u32* out, u32* global, u32 count) {
  __shared__ u32 shared[256];
  volatile u32 own[4];
  u32 t = thread_index();
  shared[t] = 1000 + t;
  own[t & 3] = 2000 + t;
  barrier();
  u32* places[3] = {&shared[t], (u32*)&own[t & 3], &global[t]};
  u32* volatile chosen = places[t % 3];
  *chosen += 5;
  barrier();
  out[t] = *chosen;
}

// --- LDS -------------------------------------------------------------------------------------------------------------
KERNEL reverse_in_block(u32* data) {
  __shared__ u32 shared[256];
  u32 t = thread_index();
  shared[t] = data[global_index()];
  barrier();
  data[global_index()] = shared[block_size() - 1 - t];
}
KERNEL dynamic_lds(u32* out, u32 words) {
  extern __shared__ u32 dynamic[];
  for (u32 i = thread_index(); i < words; i += block_size()) dynamic[i] = i * i;
  barrier();
  for (u32 i = thread_index(); i < words; i += block_size()) out[block_index() * words + i] = dynamic[words - 1 - i];
}
KERNEL lds_histogram(u32* out, const u32* values, u32 count) {
  __shared__ u32 bins[16];
  if (thread_index() < 16) bins[thread_index()] = 0;
  barrier();
  for (u32 i = thread_index(); i < count; i += block_size())
    __hip_atomic_fetch_add(&bins[values[i] & 15], 1u, __ATOMIC_RELAXED, __HIP_MEMORY_SCOPE_WORKGROUP);
  barrier();
  if (thread_index() < 16) out[thread_index()] = bins[thread_index()];
}
KERNEL lds_wide(u32* out) {
  __shared__ u64 shared[512];
  u32 t = thread_index();
  shared[2 * t] = (u64)t << 33 | t;
  shared[2 * t + 1] = ~(u64)t;
  barrier();
  u64 a = shared[2 * ((t + 1) % 256)], b = shared[2 * ((t + 1) % 256) + 1];
  out[4 * t] = (u32)a; out[4 * t + 1] = (u32)(a >> 32); out[4 * t + 2] = (u32)b; out[4 * t + 3] = (u32)(b >> 32);
}

// --- lanes -----------------------------------------------------------------------------------------------------------
KERNEL permutations(u32* out) {
  u32 lane = lane_index();
  out[lane] = __builtin_amdgcn_ds_bpermute((lane ^ 5) * 4, lane * 10);
  out[64 + lane] = __builtin_amdgcn_ds_permute(((lane + 3) % 64) * 4, lane * 10);
  out[128 + lane] = __builtin_amdgcn_ds_swizzle(lane, 0x041f);  // xor 1 within 32
  out[192 + lane] = __builtin_amdgcn_ds_swizzle(lane, 0x801b);  // quad: 3 2 1 0
  u32 partial = 77;
  if (lane < 32) partial = __builtin_amdgcn_ds_bpermute((lane + 16) * 4, lane + 1);
  out[256 + lane] = partial;
}

// --- scratch ---------------------------------------------------------------------------------------------------------
KERNEL scratch_array(u32* out, u32 steps) {
  volatile u32 own[64];
  u32 i = global_index();
  for (u32 k = 0; k < 64; ++k) own[k] = i * 64 + k;
  u32 place = i & 63, sum = 0;
  for (u32 k = 0; k < steps; ++k) { sum += own[place]; place = (place * 5 + 1 + (i & 1)) & 63; }
  out[i] = sum;
}
KERNEL scratch_bytes(u32* out) {
  volatile u8 own[64];
  u32 i = global_index();
  for (u32 k = 0; k < 64; ++k) own[k] = (u8)(i + k * 3);
  u32 word = *(volatile u32*)(own + 8);
  out[i] = word + own[(i * 7) & 63];
}
// Scratch is handed out in pieces of at least 16 rows: four rows at once that lie in two of them, wherever `own` begins; words
// written before a barrier, which are there after it while other waves have used the rest. The compiler would split them.
KERNEL scratch_across_pieces(u32* out) {
  volatile u32 own[80];
  u32 i = global_index();
  own[3] = i;
  own[71] = i * 3;
  barrier();
  const u32 place = (u32)(u64)own;  // of a private pointer, the low half is the place in scratch
  for (u32 k = 4; k < 64; k += 4) {
    u32x4 four = {i + k, i * k, k, i ^ k};
    asm volatile("scratch_store_dwordx4 %0, %1, off" : : "v"(place + 4 * k), "v"(four) : "memory");
  }
  barrier();
  u32 sum = own[3] * 5 + own[71];
  for (u32 k = 4; k < 60; ++k) {
    u32x4 four;
    asm volatile("scratch_load_dwordx4 %0, %1, off\n\ts_waitcnt vmcnt(0)" : "=v"(four) : "v"(place + 4 * k) : "memory");
    sum = sum * 31 + (four.x ^ four.y * 3 ^ four.z * 5 ^ four.w * 7);
  }
  out[i] = sum;
}

// --- atomics ---------------------------------------------------------------------------------------------------------
KERNEL atomics_u32(u32* cells, u32* old) {
  u32 i = global_index();
  old[i] = fetch_add(&cells[0], 1u);
  __hip_atomic_fetch_max(&cells[1], i, __ATOMIC_RELAXED, __HIP_MEMORY_SCOPE_AGENT);
  __hip_atomic_fetch_min((int*)&cells[2], -(int)i, __ATOMIC_RELAXED, __HIP_MEMORY_SCOPE_AGENT);
  __hip_atomic_fetch_or(&cells[3], 1u << (i & 31), __ATOMIC_RELAXED, __HIP_MEMORY_SCOPE_AGENT);
  __hip_atomic_fetch_xor(&cells[4], i, __ATOMIC_RELAXED, __HIP_MEMORY_SCOPE_AGENT);
  __hip_atomic_fetch_add((float*)&cells[5], 0.5f, __ATOMIC_RELAXED, __HIP_MEMORY_SCOPE_AGENT);
  u32 expected = i;
  __hip_atomic_compare_exchange_strong(&cells[6], &expected, i + 1, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST,
                                       __HIP_MEMORY_SCOPE_AGENT);
}
KERNEL atomics_u64(u64* cells, u64* old) {
  u32 i = global_index();
  old[i] = fetch_add(&cells[0], (u64)1 << 32 | 1);
  __hip_atomic_fetch_max(&cells[1], (u64)i << 40, __ATOMIC_RELAXED, __HIP_MEMORY_SCOPE_AGENT);
  __hip_atomic_fetch_add((double*)&cells[2], 0.25, __ATOMIC_RELAXED, __HIP_MEMORY_SCOPE_AGENT);
  __hip_atomic_exchange(&cells[3], (u64)0x1122334455667788, __ATOMIC_RELAXED, __HIP_MEMORY_SCOPE_AGENT);
}

// --- globals, indirect calls, hidden arguments ------------------------------------------------------------------------
__device__ u32 counter = 7;
__device__ u32* counter_pointer = &counter;
KERNEL use_globals(u32* out) { if (global_index() == 0) { *counter_pointer += 1; out[0] = counter; } }

typedef u32 (*Function)(u32);
__device__ __attribute__((noinline)) u32 twice(u32 x) { return 2 * x; }
__device__ __attribute__((noinline)) u32 square(u32 x) { return x * x; }
__device__ __attribute__((noinline)) u32 recurse(u32 x) { return x < 2 ? x : recurse(x - 1) + recurse(x - 2); }
__device__ Function functions[2] = {twice, square};
KERNEL indirect_calls(u32* out) { u32 i = global_index(); out[i] = functions[i & 1](i); }
KERNEL recursion(u32* out) { u32 i = global_index(); out[i] = recurse(i % 12); }

KERNEL geometry(u32* out) {
  u32 x = __builtin_amdgcn_workitem_id_x(), y = __builtin_amdgcn_workitem_id_y(), z = __builtin_amdgcn_workitem_id_z();
  u32 sx = __builtin_amdgcn_workgroup_size_x(), sy = __builtin_amdgcn_workgroup_size_y();
  u32 sz = __builtin_amdgcn_workgroup_size_z();
  u32 bx = __builtin_amdgcn_workgroup_id_x(), by = __builtin_amdgcn_workgroup_id_y(), bz = __builtin_amdgcn_workgroup_id_z();
  u32 gx = __builtin_amdgcn_grid_size_x() / sx, gy = __builtin_amdgcn_grid_size_y() / sy;
  u32 thread = x + sx * (y + sy * z);
  u32 block = bx + gx * (by + gy * bz);
  out[block * sx * sy * sz + thread] = block << 16 | thread;
}

// Lanes below `count` change words of their private memory at an address that all lanes share, and read some back;
// the others keep theirs.
KERNEL private_rows_of_some_lanes(u32* out, u32 count) {
  volatile u32x4 quad[2] = {};
  volatile u32 word[2] = {};
  quad[1] = u32x4{1, 2, 3, 4};
  word[1] = 5;
  u32x4 seen = {90, 91, 92, 93};
  u32 also = 94;
  if (thread_index() < count) {
    quad[1] = u32x4{11, 12, 13, 14} + 100 * lane_index();
    word[1] = 15 + 100 * lane_index();
    seen = quad[0] + 7;
    also = word[0] + 8;
  }
  u32* to = out + 10 * global_index();
  u32x4 now = quad[1];
  for (u32 i = 0; i < 4; ++i) { to[i] = now[i]; to[4 + i] = seen[i]; }
  to[8] = word[1];
  to[9] = also;
}
