// SPDX-License-Identifier: MIT
//
// One pre-lowered instruction: what the dispatch loop walks over.
//
// The loop is
//
//     while (operation != nullptr && budget-- != 0) operation = operation->handler(operation, wave);
//
// so a handler is an ordinary function. ALU handlers (isa/) return `operation + 1`.
#pragma once

#include <cstdint>

#include "engine/wave.hpp"
#include "isa/instruction.hpp"

namespace virtual_rocm::engine {

/// One cache line. The meaning of `destination`, `source` and `immediate` is a private matter between a
/// handler and the function that lowered it; by custom the first two are byte offsets from the start of the
/// Wave (vector_offset, scalar_offset …) and `immediate` holds a literal, a 64-bit constant or a branch
/// distance. Modifiers that are rare are read from `instruction` itself.
struct alignas(64) Operation {
  Handler handler = nullptr;
  std::uint32_t destination = 0;
  std::uint32_t source[3] = {};
  std::uint64_t immediate = 0;
  isa::Instruction instruction;
};

}  // namespace virtual_rocm::engine
