// SPDX-License-Identifier: MIT
//
// The traps by which device code calls the engine, and the registers that carry their arguments.
//
// A device function that only records something (an assertion's text, a printf argument) has no effect that
// the optimiser can see, so it would be removed with its arguments. It is written instead as a volatile
// `s_trap n` whose operands are pinned to fixed VGPRs. The engine reads them for every lane that EXEC
// enables, and only for those.
//
// Every argument is in a VGPR, lane by lane, even when it is the same in all lanes. A 64-bit value takes an
// even pair: the low half in the register named here, the high half in the next one. Pointers are flat
// addresses: they can point to global, LDS or private memory, and the apertures tell which. Strings end with
// a zero byte.
//
// Both sides include this file: device code (virtual_rocm/device/) and the engine. It includes nothing.
#ifndef VIRTUAL_ROCM_NATIVE_ABI_TRAPS_HPP_
#define VIRTUAL_ROCM_NATIVE_ABI_TRAPS_HPP_

namespace virtual_rocm::abi {

// --- Trap numbers: the simm16 of s_trap
// ---------------------------------------------------------------------------

// What LLVM itself emits on amdhsa. `__builtin_trap`, `abort` and `__trap` become the first (the wave must
// not go on);
// `__builtin_debugtrap` becomes the second (the wave goes on). Neither has arguments.
inline constexpr unsigned kTrapAbort = 2;
inline constexpr unsigned kTrapDebug = 3;

// Ours. LLVM and AMD's trap handlers use numbers below 0x10 and above 0xf0.
inline constexpr unsigned kTrapAssertFail = 0x40;          // does not return
inline constexpr unsigned kTrapPrintfBegin = 0x41;         // returns a descriptor
inline constexpr unsigned kTrapPrintfAppendArgs = 0x42;    // returns a descriptor
inline constexpr unsigned kTrapPrintfAppendString = 0x43;  // returns a descriptor

// --- kTrapAssertFail: __assert_fail(assertion, file, line, function)
// ----------------------------------------------

namespace assert_fail {
inline constexpr unsigned kAssertion = 0;  // v[0:1]  const char*
inline constexpr unsigned kFile = 2;       // v[2:3]  const char*
inline constexpr unsigned kFunction = 4;   // v[4:5]  const char*
inline constexpr unsigned kLine = 6;       // v6      unsigned
}  // namespace assert_fail

// --- printf
// -------------------------------------------------------------------------------------------------------
//
// Clang's hostcall lowering of a device printf is, per lane:
//
//     d = begin(); d = append_string(d, format, …); then for each argument append_args or append_string; the
//     last call has is_last = 1.
//
// A descriptor stands for the message that one lane is building; what is in it is the engine's business (it
// is passed back unread). The message is complete, and is printed, when is_last is not 0. Its first string is
// the format. An argument is a 64-bit slot: integers are extended to 64 bits as their type says, floating
// point is a double's bits. A `%s` argument comes as append_string.

namespace printf_begin {
inline constexpr unsigned kDescriptor = 0;  // v[0:1]  out
}  // namespace printf_begin

namespace printf_append_args {
inline constexpr unsigned kDescriptor = 0;  // v[0:1]  in and out
inline constexpr unsigned kCount = 2;       // v2      how many of the slots are used: 0 to 7
inline constexpr unsigned kIsLast = 3;      // v3
inline constexpr unsigned kSlots = 4;       // v[4:5], v[6:7] … v[16:17]
inline constexpr unsigned kMaximum = 7;
}  // namespace printf_append_args

namespace printf_append_string {
inline constexpr unsigned kDescriptor = 0;  // v[0:1]  in and out
inline constexpr unsigned kString = 2;      // v[2:3]  const char*, null for "(null)"
inline constexpr unsigned kLength = 4;  // v[4:5]  bytes, the zero byte included; 0 when the string is null
inline constexpr unsigned kIsLast = 6;  // v6
}  // namespace printf_append_string

}  // namespace virtual_rocm::abi

#endif  // VIRTUAL_ROCM_NATIVE_ABI_TRAPS_HPP_
