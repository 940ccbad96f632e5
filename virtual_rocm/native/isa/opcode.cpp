// SPDX-License-Identifier: MIT
#include "isa/opcode.hpp"

namespace virtual_rocm::isa {
namespace {

// The rows name encodings and types without their enumeration, to stay readable.
using enum Encoding;
using enum Type;

constexpr OpcodeInfo kRows[] = {
#define OPCODE(name, encoding, code, destination, source0, source1, source2, traits) \
  OpcodeInfo{#name, encoding, code, destination, {source0, source1, source2}, static_cast<std::uint16_t>(traits)},
#include "isa/opcodes_compare.def"
#include "isa/opcodes_memory.def"
#include "isa/opcodes_packed.def"
#include "isa/opcodes_scalar.def"
#include "isa/opcodes_vector.def"
#include "isa/opcodes_vector_long.def"
#undef OPCODE
};
static_assert(sizeof kRows / sizeof kRows[0] == kOpcodeCount);

}  // namespace

const OpcodeInfo& info(Opcode opcode) { return kRows[static_cast<std::size_t>(opcode)]; }

}  // namespace virtual_rocm::isa
