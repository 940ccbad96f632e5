// SPDX-License-Identifier: MIT
//
// Each fault class: a kernel that triggers it when `bad` is not 0, and is in order when it is 0.
#include "device.h"

KERNEL write_past_end(u32* data, u32 count, u32 bad) {
  u32 i = global_index();
  if (i < count + bad) data[i] = i;
}
KERNEL read_before_begin(u32* data, u32* out, u32 bad) { out[thread_index()] = data[(long)thread_index() - (long)bad]; }
KERNEL narrow_write_past_end(u8* data, u32 count, u32 bad) { u32 i = global_index(); if (i < count + bad) data[i] = 1; }
KERNEL wide_write_past_end(u32x4* data, u32 count, u32 bad) {
  u32 i = global_index();
  if (i < count + bad) data[i] = u32x4{i, i, i, i};
}
KERNEL one_lane_scattered(u32* data, const u32* index, u32 bad) {
  u32 i = thread_index();
  u32 place = index[i];
  if (i == 37) place += bad;
  data[place] = i;
}
KERNEL null_pointer(u32* data, u32 bad) {
  u32* pointer = bad ? nullptr : data;
  __hip_atomic_store(pointer, 1u, __ATOMIC_RELAXED, __HIP_MEMORY_SCOPE_AGENT);
}
KERNEL atomic_past_end(u32* data, u32 count, u32 bad) { fetch_add(&data[count - 1 + bad], 1u); }
KERNEL misaligned_atomic(u32* data, u32 bad) { fetch_add((u32*)((u8*)data + bad), 1u); }
__device__ const u32 table[4] = {1, 2, 3, 4};
KERNEL write_constant(u32* data, u32 bad) {
  u32* volatile pointer = bad ? (u32*)table : data;
  *pointer = 9;
}
KERNEL scalar_read_past_end(const u32* data, u32* out, u32 index) { out[thread_index()] = data[index]; }
KERNEL lds_past_end(u32* out, u32 bad) {
  extern __shared__ u32 dynamic[];
  dynamic[thread_index() + bad] = thread_index();
  barrier();
  out[thread_index()] = dynamic[thread_index()];
}
KERNEL private_past_end(u32* out, u32 index) {
  volatile u32 own[8];
  for (u32 k = 0; k < 8; ++k) own[k] = k;
  out[thread_index()] = own[index];
}
KERNEL traps(u32* out, u32 bad) {
  if (bad && thread_index() == 65) __builtin_trap();
  out[thread_index()] = 1;
}
KERNEL jumps_away(u32* out, u64 target) {
  typedef void (*Function)(u32*);
  if (target != 0) ((Function)target)(out);
  out[thread_index()] = 1;
}
__device__ __attribute__((noinline)) void helper(u32* data, u32 place) { data[place] = 1; }
KERNEL fault_in_function(u32* data, u32 bad) { helper(data, thread_index() + bad); }
// A register is used before its load was waited for. `bad` chooses between two pieces of assembly, of which one waits.
KERNEL load_not_waited_for(const u32* data, u32* out, u32 bad) {
  u32 value;
  const u32* pointer = data + thread_index();
  if (bad)
    asm volatile("global_load_dword %0, %1, off\n v_add_u32_e32 %0, 1, %0\n s_waitcnt vmcnt(0)" : "=&v"(value) : "v"(pointer));
  else
    asm volatile("global_load_dword %0, %1, off\n s_waitcnt vmcnt(0)\n v_add_u32_e32 %0, 1, %0" : "=&v"(value) : "v"(pointer));
  out[thread_index()] = value;
}
// Two loads in order: waiting until one is left is enough for the first, and not for the second.
KERNEL second_load_not_waited_for(const u32* data, u32* out, u32 bad) {
  u32 first, second, sum;
  const u32* pointer = data + thread_index();
  if (bad)
    asm volatile("global_load_dword %0, %3, off\n global_load_dword %1, %3, off\n s_waitcnt vmcnt(1)\n v_mov_b32_e32 %2, %1\n s_waitcnt vmcnt(0)"
                 : "=&v"(first), "=&v"(second), "=&v"(sum) : "v"(pointer));
  else
    asm volatile("global_load_dword %0, %3, off\n global_load_dword %1, %3, off\n s_waitcnt vmcnt(1)\n v_mov_b32_e32 %2, %0\n s_waitcnt vmcnt(0)"
                 : "=&v"(first), "=&v"(second), "=&v"(sum) : "v"(pointer));
  out[thread_index()] = sum;
}
KERNEL lds_read_not_waited_for(u32* out, u32 bad) {
  __shared__ u32 own[64];
  own[thread_index()] = thread_index();
  barrier();
  u32 value;
  u32 place = thread_index() * 4;
  if (bad)
    asm volatile("ds_read_b32 %0, %1\n v_mov_b32_e32 %0, %0\n s_waitcnt lgkmcnt(0)" : "=&v"(value) : "v"(place));
  else
    asm volatile("ds_read_b32 %0, %1\n s_waitcnt lgkmcnt(0)\n v_mov_b32_e32 %0, %0" : "=&v"(value) : "v"(place));
  out[thread_index()] = value + own[0];
}
KERNEL scalar_load_not_waited_for(const u32* data, u32* out, u32 bad) {
  u32 value;
  if (bad)
    asm volatile("s_load_dword %0, %1, 0x0\n s_add_u32 %0, %0, 1\n s_waitcnt lgkmcnt(0)" : "=&s"(value) : "s"(data));
  else
    asm volatile("s_load_dword %0, %1, 0x0\n s_waitcnt lgkmcnt(0)\n s_add_u32 %0, %0, 1" : "=&s"(value) : "s"(data));
  out[thread_index()] = value;
}
