// SPDX-License-Identifier: MIT
//
// The two instruction sets: gfx950 is gfx942 with more instructions, and with OCP's 8-bit formats where
// gfx942 has its own.
#ifndef VIRTUAL_ROCM_NATIVE_ISA_ARCHITECTURE_HPP_
#define VIRTUAL_ROCM_NATIVE_ISA_ARCHITECTURE_HPP_

#include <cstdint>

namespace virtual_rocm::isa {

enum class Architecture : std::uint8_t { gfx942, gfx950 };

constexpr const char* to_string(Architecture architecture) {
  return architecture == Architecture::gfx950 ? "gfx950" : "gfx942";
}

}  // namespace virtual_rocm::isa

#endif  // VIRTUAL_ROCM_NATIVE_ISA_ARCHITECTURE_HPP_
