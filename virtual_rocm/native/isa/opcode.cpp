// SPDX-License-Identifier: MIT
#include "isa/opcode.hpp"

namespace virtual_rocm::isa {
namespace {

// The rows name encodings and types without their enumeration, to stay readable.
using enum Encoding;
using enum Type;

constexpr OpcodeInfo kRows[] = {
#define OPCODE(name, encoding, code, destination, source0, source1, source2, traits) \
  OpcodeInfo{                                                                        \
      #name, encoding, code, destination, {source0, source1, source2}, static_cast<std::uint16_t>(traits)},
#include "isa/opcodes_compare.def"
#include "isa/opcodes_gfx950.def"
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

bool has_op_sel(Opcode opcode) {
  const OpcodeInfo& row = info(opcode);
  if (row.encoding != Encoding::vop3 || row.name.find("_legacy_") != std::string_view::npos) return false;
  if (row.name.starts_with("v_cvt_pk_fp8") || row.name.starts_with("v_cvt_pk_bf8") ||
      row.name.starts_with("v_cvt_sr_") || row.name.starts_with("v_cvt_scalef32_pk_")) {
    return true;
  }
  const auto half = [](Type type) { return type == Type::f16 || type == Type::i16 || type == Type::u16; };
  return half(row.source[0]) || half(row.destination);
}

}  // namespace virtual_rocm::isa
