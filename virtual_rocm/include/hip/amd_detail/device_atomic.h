// SPDX-License-Identifier: MIT
//
// The atomic functions: plain ones order nothing and act on the device, _block and _system ones on those
// scopes.
#pragma once

#include <hip/amd_detail/device_bits.h>

#if defined(__HIP__)

// A pair is (name, operation of the compiler); each comes in three scopes.
#define VIRTUAL_ROCM_ATOMIC_SCOPE(name, operation, type, scope)               \
  VIRTUAL_ROCM_DEVICE type name(type* address, type value) {                  \
    return __hip_atomic_##operation(address, value, __ATOMIC_RELAXED, scope); \
  }
#define VIRTUAL_ROCM_ATOMIC(name, operation, type)                                       \
  VIRTUAL_ROCM_ATOMIC_SCOPE(name, operation, type, __HIP_MEMORY_SCOPE_AGENT)             \
  VIRTUAL_ROCM_ATOMIC_SCOPE(name##_block, operation, type, __HIP_MEMORY_SCOPE_WORKGROUP) \
  VIRTUAL_ROCM_ATOMIC_SCOPE(name##_system, operation, type, __HIP_MEMORY_SCOPE_SYSTEM)

#define VIRTUAL_ROCM_ATOMIC_INTEGERS(name, operation) \
  VIRTUAL_ROCM_ATOMIC(name, operation, int)           \
  VIRTUAL_ROCM_ATOMIC(name, operation, unsigned int)  \
  VIRTUAL_ROCM_ATOMIC(name, operation, long)          \
  VIRTUAL_ROCM_ATOMIC(name, operation, unsigned long) \
  VIRTUAL_ROCM_ATOMIC(name, operation, long long)     \
  VIRTUAL_ROCM_ATOMIC(name, operation, unsigned long long)

VIRTUAL_ROCM_ATOMIC_INTEGERS(atomicAdd, fetch_add)
VIRTUAL_ROCM_ATOMIC(atomicAdd, fetch_add, float)
VIRTUAL_ROCM_ATOMIC(atomicAdd, fetch_add, double)
VIRTUAL_ROCM_ATOMIC_INTEGERS(atomicExch, exchange)
VIRTUAL_ROCM_ATOMIC(atomicExch, exchange, float)
VIRTUAL_ROCM_ATOMIC(atomicExch, exchange, double)
VIRTUAL_ROCM_ATOMIC_INTEGERS(atomicMin, fetch_min)
VIRTUAL_ROCM_ATOMIC(atomicMin, fetch_min, float)
VIRTUAL_ROCM_ATOMIC(atomicMin, fetch_min, double)
VIRTUAL_ROCM_ATOMIC_INTEGERS(atomicMax, fetch_max)
VIRTUAL_ROCM_ATOMIC(atomicMax, fetch_max, float)
VIRTUAL_ROCM_ATOMIC(atomicMax, fetch_max, double)
VIRTUAL_ROCM_ATOMIC_INTEGERS(atomicAnd, fetch_and)
VIRTUAL_ROCM_ATOMIC_INTEGERS(atomicOr, fetch_or)
VIRTUAL_ROCM_ATOMIC_INTEGERS(atomicXor, fetch_xor)
#undef VIRTUAL_ROCM_ATOMIC_INTEGERS
#undef VIRTUAL_ROCM_ATOMIC
#undef VIRTUAL_ROCM_ATOMIC_SCOPE

#define VIRTUAL_ROCM_COMPARE_SWAP(name, type, scope)                                                   \
  VIRTUAL_ROCM_DEVICE type name(type* address, type compare, type value) {                             \
    __hip_atomic_compare_exchange_strong(address, &compare, value, __ATOMIC_RELAXED, __ATOMIC_RELAXED, \
                                         scope);                                                       \
    return compare;                                                                                    \
  }
#define VIRTUAL_ROCM_ATOMIC_TYPE(type)                                                           \
  VIRTUAL_ROCM_COMPARE_SWAP(atomicCAS, type, __HIP_MEMORY_SCOPE_AGENT)                           \
  VIRTUAL_ROCM_COMPARE_SWAP(atomicCAS_block, type, __HIP_MEMORY_SCOPE_WORKGROUP)                 \
  VIRTUAL_ROCM_COMPARE_SWAP(atomicCAS_system, type, __HIP_MEMORY_SCOPE_SYSTEM)                   \
  VIRTUAL_ROCM_DEVICE type atomicSub(type* address, type value) {                                \
    return __hip_atomic_fetch_add(address, -value, __ATOMIC_RELAXED, __HIP_MEMORY_SCOPE_AGENT);  \
  }                                                                                              \
  VIRTUAL_ROCM_DEVICE type atomicSub_system(type* address, type value) {                         \
    return __hip_atomic_fetch_add(address, -value, __ATOMIC_RELAXED, __HIP_MEMORY_SCOPE_SYSTEM); \
  }
VIRTUAL_ROCM_ATOMIC_TYPE(int)
VIRTUAL_ROCM_ATOMIC_TYPE(unsigned int)
VIRTUAL_ROCM_ATOMIC_TYPE(long)
VIRTUAL_ROCM_ATOMIC_TYPE(unsigned long)
VIRTUAL_ROCM_ATOMIC_TYPE(long long)
VIRTUAL_ROCM_ATOMIC_TYPE(unsigned long long)
#undef VIRTUAL_ROCM_ATOMIC_TYPE
#undef VIRTUAL_ROCM_COMPARE_SWAP

// Adds one and wraps to 0 past the limit; takes one away and wraps to the limit below 0 or above it.
VIRTUAL_ROCM_DEVICE unsigned atomicInc(unsigned* address, unsigned limit) {
  return __builtin_amdgcn_atomic_inc32(address, limit, __ATOMIC_RELAXED, "agent");
}
VIRTUAL_ROCM_DEVICE unsigned atomicDec(unsigned* address, unsigned limit) {
  return __builtin_amdgcn_atomic_dec32(address, limit, __ATOMIC_RELAXED, "agent");
}

// "Unsafe" ones may use a hardware instruction where memory does not support it for sure; here all memory
// does.
VIRTUAL_ROCM_DEVICE float unsafeAtomicAdd(float* address, float value) { return atomicAdd(address, value); }
VIRTUAL_ROCM_DEVICE double unsafeAtomicAdd(double* address, double value) {
  return atomicAdd(address, value);
}
VIRTUAL_ROCM_DEVICE float safeAtomicAdd(float* address, float value) { return atomicAdd(address, value); }
VIRTUAL_ROCM_DEVICE double safeAtomicAdd(double* address, double value) { return atomicAdd(address, value); }

#endif
