// SPDX-License-Identifier: MIT
//
// The instructions of gfx942 and gfx950, as data. Each row of the opcodes_*.def files is one instruction:
//
//     OPCODE(name, encoding, code, destination, source 0, source 1, source 2, traits)
//
// `code` is the opcode field of the encoding named. VOP1, VOP2 and VOPC instructions also exist as VOP3
// (their code plus a fixed number), and most of them with SDWA and DPP, under the same Opcode;
// Instruction::encoding tells.
#ifndef VIRTUAL_ROCM_NATIVE_ISA_OPCODE_HPP_
#define VIRTUAL_ROCM_NATIVE_ISA_OPCODE_HPP_

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace virtual_rocm::isa {

enum class Encoding : std::uint8_t {
  sop2,
  sopk,
  sop1,
  sopc,
  sopp,
  smem,
  vop2,
  vop1,
  vopc,
  vop3,
  vop3p,
  vop3p_mai,
  ds,
  flat,
  global,
  scratch,
  mubuf,
  mtbuf,
};

// What an operand holds. It gives the number of registers, the meaning of an inline constant, and whether the
// floating-point modifiers apply. p… are packed: two halves in one register (pf16, pi16) or a register pair
// (pf32).
enum class Type : std::uint8_t {
  none,
  b16,
  i16,
  u16,
  f16,
  b32,
  i32,
  u32,
  f32,
  b64,
  i64,
  u64,
  f64,
  b96,
  b128,
  b256,
  b512,
  b1024,
  pi16,
  pf16,
  pb32,
  pf32,
};

enum Trait : std::uint16_t {
  kPlain = 0,
  kCarryOut = 1 << 0,           // a second, scalar destination: VCC in VOP2, any pair in VOP3
  kCarryIn = 1 << 1,            // reads a lane mask: VCC in VOP2, source 2 in VOP3
  kScalarDestination = 1 << 2,  // a vector instruction whose destination is scalar
  kWritesExec = 1 << 3,         // v_cmpx
  kReadsDestination = 1 << 4,   // the destination's old value is a source
  kLiteralMiddle = 1 << 5,      // v_fmamk: source 0, literal, source 1
  kLiteralLast = 1 << 6,        // v_fmaak: source 0, source 1, literal
  kNoSuffix = 1 << 7,           // printed without _e32, and there is no VOP3 form
  kAccumulatorOnly = 1 << 8,    // both operands are AGPRs
  kMixed = 1 << 9,              // each source is f32, or f16 where op_sel_hi says so
  kTwoOffsets = 1 << 10,        // DS with two 8-bit offsets
  kAtomic = 1 << 11,            // returns the old value only with sc0
  kToLds = 1 << 12,             // loads from memory straight into LDS
  kShortOnly = 1 << 13,         // there is only the 32-bit form
  kGfx950 = 1 << 14,            // gfx942 has it not
};

enum class Opcode : std::uint16_t {
#define OPCODE(name, ...) name,
#include "isa/opcodes_compare.def"
#include "isa/opcodes_gfx950.def"
#include "isa/opcodes_memory.def"
#include "isa/opcodes_packed.def"
#include "isa/opcodes_scalar.def"
#include "isa/opcodes_vector.def"
#include "isa/opcodes_vector_long.def"
#undef OPCODE
  count,
};

inline constexpr std::size_t kOpcodeCount = static_cast<std::size_t>(Opcode::count);

struct OpcodeInfo {
  std::string_view name;
  Encoding encoding;
  std::uint16_t code;
  Type destination;
  Type source[3];
  std::uint16_t traits;

  constexpr bool has(Trait trait) const { return (traits & trait) != 0; }
};

const OpcodeInfo& info(Opcode opcode);

inline std::string_view name(Opcode opcode) { return info(opcode).name; }

// Number of 32-bit registers that an operand of this type takes.
constexpr unsigned registers(Type type) {
  switch (type) {
    case Type::none:
      return 0;
    case Type::b64:
    case Type::i64:
    case Type::u64:
    case Type::f64:
    case Type::pb32:
    case Type::pf32:
      return 2;
    case Type::b96:
      return 3;
    case Type::b128:
      return 4;
    case Type::b256:
      return 8;
    case Type::b512:
      return 16;
    case Type::b1024:
      return 32;
    default:
      return 1;
  }
}

constexpr bool is_float(Type type) {
  return type == Type::f16 || type == Type::f32 || type == Type::f64 || type == Type::pf16 ||
         type == Type::pf32;
}

// Whether its VOP3 form selects halves of 16-bit operands.
bool has_op_sel(Opcode opcode);

}  // namespace virtual_rocm::isa

#endif  // VIRTUAL_ROCM_NATIVE_ISA_OPCODE_HPP_
