// SPDX-License-Identifier: MIT
//
// Lowering of the instructions that the engine itself executes. Each function sets the operation's handler,
// operands and immediate from operation.instruction and returns true, or returns false if the instruction is
// not its own.
#pragma once

#include <cstdint>

#include "engine/operation.hpp"

namespace virtual_rocm::engine {

/// What lowering knows about an instruction's place.
struct LoweringPlace {
  std::uint64_t address;       ///< in this process
  std::uint64_t next_address;  ///< of the instruction that follows
};

bool lower_control(Operation& operation, const LoweringPlace& place);
bool lower_scalar_memory(Operation& operation);
bool lower_flat(Operation& operation);         ///< FLAT and GLOBAL loads and stores
bool lower_flat_atomic(Operation& operation);  ///< FLAT and GLOBAL atomics
bool lower_scratch(Operation& operation);
bool lower_lds(Operation& operation);  ///< DS loads, stores and lane permutations
bool lower_lds_atomic(Operation& operation);
bool lower_buffer(Operation& operation);

/// A relative branch has its byte distance in `immediate` after lower_control; the program turns it into a
/// number of operations.
bool is_relative_branch(const Operation& operation);

/// Stand-ins: behind the last instruction, and in place of words that are no instruction or are refused.
const Operation* execute_end_of_code(const Operation* operation, Wave* wave);
const Operation* execute_refused(const Operation* operation, Wave* wave);

}  // namespace virtual_rocm::engine
