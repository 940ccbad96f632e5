// SPDX-License-Identifier: MIT
//
// One decoded instruction of gfx942, and the functions that decode and print it.
#ifndef VIRTUAL_ROCM_NATIVE_ISA_INSTRUCTION_HPP_
#define VIRTUAL_ROCM_NATIVE_ISA_INSTRUCTION_HPP_

#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "isa/opcode.hpp"

namespace virtual_rocm::isa {

// An operand is a number in one space: 0–255 is the ISA's 8-bit scalar operand field (SGPRs, special
// registers, inline constants, literal), 256–511 are VGPRs, 512–767 are AGPRs. For 64-bit and wider operands
// it names the first register.
using Operand = std::uint16_t;

namespace operand {
inline constexpr Operand kFlatScratch = 102;
inline constexpr Operand kXnackMask = 104;
inline constexpr Operand kVcc = 106;
inline constexpr Operand kTrapTemporary = 108;
inline constexpr Operand kM0 = 124;
inline constexpr Operand kExec = 126;
inline constexpr Operand kZero = 128;      // 128 + n is n, up to 64
inline constexpr Operand kMinusOne = 193;  // 192 + n is −n, up to 16
inline constexpr Operand kSharedBase =
    235;  // the apertures: 32-bit operands read the high half of the address
inline constexpr Operand kSharedLimit = 236;
inline constexpr Operand kPrivateBase = 237;
inline constexpr Operand kPrivateLimit = 238;
inline constexpr Operand kPopsExitingWaveId = 239;
inline constexpr Operand kFloatFirst = 240;  // 0.5, −0.5, 1, −1, 2, −2, 4, −4, 1/(2π)
inline constexpr Operand kFloatLast = 248;
inline constexpr Operand kVccz = 251;
inline constexpr Operand kExecz = 252;
inline constexpr Operand kScc = 253;
inline constexpr Operand kLdsDirect = 254;
inline constexpr Operand kLiteral = 255;
inline constexpr Operand kVector = 256;
inline constexpr Operand kAccumulator = 512;
inline constexpr Operand kNone = 0xffff;

// A register that the wave's SGPR array holds at this index.
constexpr bool is_scalar_register(Operand value) { return value < 128; }
constexpr bool is_vector(Operand value) { return value >= kVector && value < kAccumulator; }
constexpr bool is_accumulator(Operand value) { return value >= kAccumulator && value < kAccumulator + 256; }
// VGPR or AGPR: row 0–511 of the wave's vector registers (AGPRs follow the 256 VGPRs).
constexpr bool is_vector_row(Operand value) { return value >= kVector && value < kAccumulator + 256; }
constexpr unsigned vector_row(Operand value) { return value - kVector; }
}  // namespace operand

// How the first source (and, with SDWA, the second and the destination) is rearranged.
enum class Rearrange : std::uint8_t { none, sdwa, dpp };

enum Flag : std::uint8_t {
  kClamp = 1 << 0,
  kSc0 = 1 << 1,  // atomics: return the old value; loads and stores: scope bit 0
  kSc1 = 1 << 2,  // scope bit 1
  kNonTemporal = 1 << 3,
  kGlobalDataShare = 1 << 4,  // DS: the gds bit
  kOffsetEnable =
      1 << 5,  // MUBUF offen; SMEM: the immediate offset is used; SCRATCH: the vector address is used
  kIndexEnable = 1 << 6,  // MUBUF idxen; SMEM: the scalar offset register is used
  kLds = 1 << 7,          // MUBUF: load into LDS
};

// 32 bytes, so that two share a cache line. What is not used by an encoding is 0, unused operands are
// operand::kNone.
//
//               destination   second          source 0       source 1      source 2     immediate
//  SOP2/1/C     sdst                          ssrc0          ssrc1                      literal
//  SOPK, SOPP   sdst                                                                    simm16, sign-extended
//  SMEM         sdata                         sbase          soffset                    offset, sign-extended
//  VOP2/1/C     vdst (VOPC: VCC) VCC          src0           vsrc1         VCC, vdst    literal
//  VOP3/VOP3P   vdst or sdst  sdst (VOP3B)    src0           src1          src2         –
//  DS           vdst                          addr           data0         data1        offset (or offset0 |
//  offset1 << 8) FLAT…        vdst                          vaddr          vdata         saddr        offset,
//  sign-extended MUBUF        vdata                         vaddr          srsrc         soffset      offset
//
// s_setreg_imm32: immediate is simm16 (zero-extended), `extra` the 32-bit value.
struct Instruction {
  Opcode opcode = Opcode::count;
  Encoding encoding = Encoding::sopp;
  std::uint8_t words = 0;  // 1 or 2
  Operand destination = operand::kNone;
  Operand second_destination = operand::kNone;
  Operand source[3] = {operand::kNone, operand::kNone, operand::kNone};
  std::uint8_t negate = 0;    // bit per source; VOP3P: of the low half
  std::uint8_t absolute = 0;  // bit per source; VOP3P: negate the high half (for kMixed: absolute)
  std::uint8_t op_sel = 0;    // bits 0–2 sources, bit 3 destination
  std::uint8_t op_sel_hi = 0;
  std::uint8_t output_modifier = 0;  // 0 none, 1 ×2, 2 ×4, 3 ÷2
  std::uint8_t flags = 0;            // Flag
  Rearrange rearrange = Rearrange::none;
  std::uint8_t reserved = 0;
  std::uint32_t immediate = 0;
  std::uint32_t extra = 0;  // the SDWA or DPP word; MFMA: cbsz | abid << 4 | blgp << 8; MTBUF: format

  bool has(Flag flag) const { return (flags & flag) != 0; }
};
static_assert(sizeof(Instruction) <= 32);

// The fields of an SDWA word.
struct Sdwa {
  std::uint32_t word;
  // Selections: 0–3 a byte, 4 and 5 a half, 6 the whole register.
  unsigned destination_select() const { return word >> 8 & 7; }
  unsigned destination_unused() const { return word >> 11 & 3; }  // 0 zeros, 1 sign extension, 2 preserved
  unsigned source_select(unsigned source) const { return word >> (source == 0 ? 16 : 24) & 7; }
  bool sign_extends(unsigned source) const { return word >> (source == 0 ? 19 : 27) & 1; }
};

// The fields of a DPP word.
struct Dpp {
  std::uint32_t word;
  unsigned control() const { return word >> 8 & 0x1ff; }
  bool bound_control() const {
    return word >> 19 & 1;
  }  // a lane outside reads 0 instead of disabling the write
  unsigned bank_mask() const { return word >> 24 & 15; }
  unsigned row_mask() const { return word >> 28; }
};

// Decodes the instruction at the start of `words` (two words suffice). Nothing if it is not an instruction of
// gfx942.
std::optional<Instruction> decode(std::span<const std::uint32_t> words);

// Why decode() returned nothing: the encoding, the opcode field and the bits.
std::string explain_undecodable(std::span<const std::uint32_t> words);

// The text that `llvm-objdump -d --mcpu=gfx942` prints, without its comments and labels.
std::string print(const Instruction& instruction);

}  // namespace virtual_rocm::isa

#endif  // VIRTUAL_ROCM_NATIVE_ISA_INSTRUCTION_HPP_
