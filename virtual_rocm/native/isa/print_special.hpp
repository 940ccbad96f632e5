// SPDX-License-Identifier: MIT
//
// The parts of an instruction's text that have a notation of their own.
#ifndef VIRTUAL_ROCM_NATIVE_ISA_PRINT_SPECIAL_HPP_
#define VIRTUAL_ROCM_NATIVE_ISA_PRINT_SPECIAL_HPP_

#include <cstdint>
#include <string>

#include "isa/instruction.hpp"

namespace virtual_rocm::isa {

std::string gpr_index_text(std::uint32_t mask);
std::string hardware_register_text(std::uint32_t immediate);
std::string program_control_text(Opcode opcode,
                                 std::uint32_t immediate);  // SOPP's operand, empty if there is none
std::string dpp_text(Dpp word);
std::string swizzle_text(std::uint32_t offset);
const char* selection_text(unsigned selection);
const char* unused_text(unsigned unused);
bool has_sdwa_source_only(Opcode opcode);  // its SDWA form does not select a part of the destination

}  // namespace virtual_rocm::isa

#endif  // VIRTUAL_ROCM_NATIVE_ISA_PRINT_SPECIAL_HPP_
