// SPDX-License-Identifier: MIT
//
// assert and printf on the device: traps with pinned registers, which the engine answers (see
// native/abi/traps.hpp).
//
// Everything is inlined into the caller, and this file is compiled without debug information, so that a trap
// carries the source line of the assert or printf itself.
#include "../native/abi/traps.hpp"

namespace {
namespace abi = virtual_rocm::abi;
using Address = const char*;
using Descriptor = unsigned long long;
}  // namespace

#define VIRTUAL_ROCM_BUILTIN extern "C" __attribute__((always_inline, visibility("hidden")))

// Not marked as never returning, as AMD's is not: the compiler would move it behind the loop that it stands
// in, where the lanes that failed wait for those that did not, which may wait for them.
VIRTUAL_ROCM_BUILTIN void __assert_fail(Address assertion, Address file, unsigned line, Address function) {
  asm volatile("s_trap %0"
               :
               : "n"(abi::kTrapAssertFail), "{v[0:1]}"(assertion), "{v[2:3]}"(file), "{v[4:5]}"(function),
                 "{v6}"(line)
               : "memory");
}

VIRTUAL_ROCM_BUILTIN Descriptor __ockl_printf_begin(unsigned long long) {
  Descriptor descriptor;
  asm volatile("s_trap %1" : "={v[0:1]}"(descriptor) : "n"(abi::kTrapPrintfBegin) : "memory");
  return descriptor;
}

VIRTUAL_ROCM_BUILTIN Descriptor __ockl_printf_append_args(Descriptor descriptor, unsigned count,
                                                          unsigned long long slot0, unsigned long long slot1,
                                                          unsigned long long slot2, unsigned long long slot3,
                                                          unsigned long long slot4, unsigned long long slot5,
                                                          unsigned long long slot6, unsigned is_last) {
  Descriptor next;
  asm volatile("s_trap %1"
               : "={v[0:1]}"(next)
               : "n"(abi::kTrapPrintfAppendArgs), "{v[0:1]}"(descriptor), "{v2}"(count), "{v3}"(is_last),
                 "{v[4:5]}"(slot0), "{v[6:7]}"(slot1), "{v[8:9]}"(slot2), "{v[10:11]}"(slot3),
                 "{v[12:13]}"(slot4), "{v[14:15]}"(slot5), "{v[16:17]}"(slot6)
               : "memory");
  return next;
}

VIRTUAL_ROCM_BUILTIN Descriptor __ockl_printf_append_string_n(Descriptor descriptor, Address text,
                                                              unsigned long long length, unsigned is_last) {
  Descriptor next;
  asm volatile("s_trap %1"
               : "={v[0:1]}"(next)
               : "n"(abi::kTrapPrintfAppendString), "{v[0:1]}"(descriptor), "{v[2:3]}"(text),
                 "{v[4:5]}"(length), "{v6}"(is_last)
               : "memory");
  return next;
}
