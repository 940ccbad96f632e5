// SPDX-License-Identifier: MIT
//
// The one entry to the semantics of instructions: prepares an operation for the dispatch loop.
#ifndef VIRTUAL_ROCM_NATIVE_ISA_SEMANTICS_HPP_
#define VIRTUAL_ROCM_NATIVE_ISA_SEMANTICS_HPP_

#include "engine/operation.hpp"
#include "isa/architecture.hpp"
#include "isa/instruction.hpp"

namespace virtual_rocm::isa {

// Sets handler, destination, source and immediate of `operation` for an instruction of the scalar or vector
// ALUs, and copies the instruction into it. False for what the engine executes itself (memory, branches,
// waits, barriers, traps, s_getreg and s_setreg) and for what is not implemented, or not with these
// modifiers, or not on this architecture; then nothing is changed.
bool lower_alu(const Instruction& instruction, engine::Operation& operation,
               Architecture architecture = Architecture::gfx942);

}  // namespace virtual_rocm::isa

#endif  // VIRTUAL_ROCM_NATIVE_ISA_SEMANTICS_HPP_
