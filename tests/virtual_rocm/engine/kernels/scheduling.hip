// SPDX-License-Identifier: MIT
#include "device.h"

// Blocks wait for one another: block b goes on when the counter has reached b, in rising or falling order.
KERNEL relay(u32* counter, u32* order, u32 blocks, u32 falling) {
  u32 turn = falling ? blocks - 1 - block_index() : block_index();
  if (thread_index() == 0) {
    while (load_acquire(counter) != turn) __builtin_amdgcn_s_sleep(1);
    order[turn] = block_index();
    store_release(counter, turn + 1);
  }
}

// All blocks meet: needs all of them resident.
KERNEL grid_barrier(u32* counter, u32* out, u32 blocks, u32 rounds) {
  for (u32 round = 1; round <= rounds; ++round) {
    barrier();
    if (thread_index() == 0) {
      fetch_add(counter, 1u);
      while (load_acquire(counter) < round * blocks) {}
    }
    barrier();
  }
  if (thread_index() == 0) out[block_index()] = load_acquire(counter);
}

// Every wave of a block spins in a loop with a barrier: only local progress.
KERNEL barrier_loop(u32* flag, u32* out) {
  __shared__ u32 seen;
  do {
    barrier();
    if (thread_index() == 0) seen = load_acquire(flag);
    barrier();
  } while (seen == 0);
  if (block_index() == 0 && thread_index() == 0) out[0] = 1;
}
// The last block sets the flag for the others.
KERNEL barrier_loop_last(u32* flag, u32* out, u32 blocks) {
  if (block_index() == blocks - 1) {
    if (thread_index() == 0) store_release(flag, 1u);
    return;
  }
  __shared__ u32 seen;
  do {
    barrier();
    if (thread_index() == 0) seen = load_acquire(flag);
    barrier();
  } while (seen == 0);
  if (thread_index() == 0) out[block_index()] = 1;
}

// One wave waits for another one of its block, through LDS, with no barrier.
KERNEL wave_waits_for_wave(u32* out) {
  __shared__ u32 flag;
  if (thread_index() == 0) __hip_atomic_store(&flag, 0u, __ATOMIC_RELAXED, __HIP_MEMORY_SCOPE_WORKGROUP);
  barrier();
  if (thread_index() < 64) {
    while (__hip_atomic_load(&flag, __ATOMIC_ACQUIRE, __HIP_MEMORY_SCOPE_WORKGROUP) == 0) {}
    out[thread_index()] = 1;
  } else if (thread_index() == 64) {
    __hip_atomic_store(&flag, 1u, __ATOMIC_RELEASE, __HIP_MEMORY_SCOPE_WORKGROUP);
  }
}

KERNEL wait_for_flag(u32* flag, u32* out) {
  while (load_acquire(flag) == 0) {}
  out[thread_index()] = 1;
}
KERNEL set_flag(u32* flag) { if (thread_index() == 0) store_release(flag, 1u); }

// A lock that is tried with compare and swap.
KERNEL lock_and_add(u32* lock, u32* value) {
  if (thread_index() == 0) {
    u32 expected;
    do {
      expected = 0;
    } while (!__hip_atomic_compare_exchange_strong(lock, &expected, 1u, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED,
                                                   __HIP_MEMORY_SCOPE_AGENT));
    *value += 1;
    store_release(lock, 0u);
  }
}

// A race on purpose: which wave writes last depends on the schedule.
KERNEL last_writer(u32* cell, u32* trace) {
  u32 wave = block_index() * (block_size() / 64) + thread_index() / 64;
  for (u32 i = 0; i < 50; ++i)
    if (lane_index() == 0) trace[fetch_add(cell, 1u)] = wave;
}
KERNEL half_at_barrier(u32* flag) {
  if (thread_index() < 64) { while (load_acquire(flag) == 0) {} }
  barrier();
}
KERNEL compute_only(u32* out, u32 steps) {
  u32 x = thread_index() + 1;
  for (u32 i = 0; i < steps; ++i) x = x * 1664525u + 1013904223u;
  out[global_index()] = x;
}

// --- loops without end ---------------------------------------------------------------------------

// Goes round with nothing that could change, with or without a store in the loop.
KERNEL spin_on_nothing(u32* out, u32 storing) {
  u32 wave = thread_index() / 64;
  if (wave == 1) {
    volatile u32* cell = out + lane_index();
    for (;;) {
      if (storing) *cell = 7;
      asm volatile("s_nop 0");
    }
  }
  if (lane_index() == 0) out[64 + wave] = 1;
}

// The same with no lane left: all have gone to the other side of a loop that they wait for.
KERNEL spin_with_no_lane(u32* out) {
  asm volatile("s_mov_b64 exec, 0\n1:\n global_load_dword v0, v[0:1], off\n s_branch 1b" ::: "v0", "memory");
  out[0] = 1;
}

// The loop sleeps, so no turn is used up.
KERNEL sleep_for_ever() {
  for (;;) __builtin_amdgcn_s_sleep(1);
}

// A counter in a register, in LDS or in private memory: a loop that ends, after some hundred million instructions
// at most.
KERNEL count_in_a_register(u32* out, u32 steps) {
  for (u32 step = 0; step < steps; ++step) asm volatile("s_nop 0");
  out[thread_index()] = 1;
}
KERNEL count_in_private_memory(u32* out, u32 steps) {
  volatile u32 counter[4] = {};
  while (counter[2] < steps) counter[2] = counter[2] + 1;
  out[thread_index()] = 1;
}
KERNEL count_in_lds(u32* out, u32 steps) {
  __shared__ volatile u32 counter;
  if (thread_index() == 0) {
    counter = 0;
    while (counter < steps) counter = counter + 1;
  }
  barrier();
  out[thread_index()] = 1;
}

// Waves wait for a word of LDS, through an LDS or a generic pointer; the first wave writes it after some work, or
// never: it waits at a barrier, or has ended, or waits for another word.
KERNEL wait_for_lds(u32* out, u32* flag, u32 generic, u32 first_wave) {
  __shared__ u32 words[2];
  if (thread_index() < 2) words[thread_index()] = 0;
  barrier();
  u32* pointer = generic ? words : out;
  asm volatile("" : "+v"(pointer));
  if (thread_index() < 64) {
    if (first_wave == 0) barrier();
    if (first_wave == 1) return;
    if (first_wave == 2)
      while (__hip_atomic_load(&words[1], __ATOMIC_RELAXED, __HIP_MEMORY_SCOPE_WORKGROUP) == 0) {}
    if (first_wave == 3)
      for (u32 step = 0; step < 20000000; ++step) asm volatile("s_nop 0");
    if (first_wave == 4)
      while (load_acquire(flag) == 0) {}
    if (thread_index() == 0) __hip_atomic_store(&words[0], 1u, __ATOMIC_RELAXED, __HIP_MEMORY_SCOPE_WORKGROUP);
  } else if (generic) {
    while (__hip_atomic_load(pointer, __ATOMIC_RELAXED, __HIP_MEMORY_SCOPE_WORKGROUP) == 0) {}
  } else {
    while (__hip_atomic_load(&words[0], __ATOMIC_RELAXED, __HIP_MEMORY_SCOPE_WORKGROUP) == 0) {}
  }
  out[thread_index()] = 1;
}

// The first wave waits for a word of LDS by an instruction that takes its address from M0 and the lane.
KERNEL wait_for_lds_by_lane(u32* out) {
  __shared__ u32 words[64];
  words[thread_index() % 64] = 0;
  barrier();
  if (thread_index() < 64) {
    u32 seen;
    do {
      asm volatile("s_mov_b32 m0, %1\n ds_read_addtid_b32 %0\n s_waitcnt lgkmcnt(0)"
                   : "=v"(seen) : "s"((u32)(u64)(__attribute__((address_space(3))) u32*)words) : "memory");
    } while (__builtin_amdgcn_readfirstlane(seen) == 0);
  } else {
    for (u32 step = 0; step < 3000000; ++step) asm volatile("s_nop 0");
    words[thread_index() % 64] = 1;
  }
  out[thread_index()] = 1;
}
