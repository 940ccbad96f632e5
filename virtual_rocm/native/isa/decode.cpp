// SPDX-License-Identifier: MIT
//
// From the bits to an Instruction. The layouts are those of GFX9 with the changes of gfx940 (scope bits in
// memory instructions, sve in scratch).
#include <array>
#include <cstdio>

#include "isa/instruction.hpp"

namespace virtual_rocm::isa {
namespace {

constexpr Opcode kUnknown = Opcode::count;
constexpr unsigned kVop3OfVop2 = 0x100;
constexpr unsigned kVop3OfVop1 = 0x140;
constexpr unsigned kSdwaMarker = 249;
constexpr unsigned kDppMarker = 250;

struct Tables {
  std::array<std::array<Opcode, 1024>, static_cast<std::size_t>(Encoding::mtbuf) + 1> of;

  Tables() {
    for (auto& table : of) table.fill(kUnknown);
    for (std::size_t index = 0; index < kOpcodeCount; ++index) {
      const auto opcode = static_cast<Opcode>(index);
      const OpcodeInfo& row = info(opcode);
      at(row.encoding, row.code) = opcode;
      if (row.has(kNoSuffix) || row.has(kShortOnly)) continue;
      if (row.encoding == Encoding::vopc) at(Encoding::vop3, row.code) = opcode;
      if (row.encoding == Encoding::vop2) at(Encoding::vop3, kVop3OfVop2 + row.code) = opcode;
      if (row.encoding == Encoding::vop1) at(Encoding::vop3, kVop3OfVop1 + row.code) = opcode;
    }
  }

  Opcode& at(Encoding encoding, unsigned code) { return of[static_cast<std::size_t>(encoding)][code]; }
};

Opcode find(Encoding encoding, unsigned code) {
  static Tables tables;
  return tables.at(encoding, code);
}

constexpr unsigned bits(std::uint32_t word, unsigned high, unsigned low) {
  return word >> low & ((2u << (high - low)) - 1);
}
constexpr bool bit(std::uint32_t word, unsigned position) { return word >> position & 1; }
constexpr std::uint32_t sign_extend(std::uint32_t value, unsigned width) {
  const std::uint32_t sign = 1u << (width - 1);
  return (value ^ sign) - sign;
}

constexpr Operand vector(unsigned number, bool accumulator = false) {
  return static_cast<Operand>((accumulator ? operand::kAccumulator : operand::kVector) + number);
}

// Whether a source field names something that exists. The literal, SDWA and DPP markers are the caller's
// business.
constexpr bool is_readable(unsigned field) {
  if (field >= operand::kVector || field <= 208) return field != 125;
  return (field >= 235 && field <= 248) || (field >= 251 && field <= 254);
}

// SDWA has no 64-bit operands; a pair of 32-bit values may be its destination.
constexpr bool is_wide(Type type) { return registers(type) > 1 && type != Type::pf32; }

struct Layout {
  Encoding encoding;
  unsigned code;
};

std::optional<Layout> classify(std::uint32_t word) {
  if (!bit(word, 31)) {
    if (bits(word, 31, 25) == 0x3f) return Layout{Encoding::vop1, bits(word, 16, 9)};
    if (bits(word, 31, 25) == 0x3e) return Layout{Encoding::vopc, bits(word, 24, 17)};
    return Layout{Encoding::vop2, bits(word, 30, 25)};
  }
  if (bits(word, 31, 30) == 2) {
    if (bits(word, 31, 23) == 0x17d) return Layout{Encoding::sop1, bits(word, 15, 8)};
    if (bits(word, 31, 23) == 0x17e) return Layout{Encoding::sopc, bits(word, 22, 16)};
    if (bits(word, 31, 23) == 0x17f) return Layout{Encoding::sopp, bits(word, 22, 16)};
    if (bits(word, 31, 28) == 0xb) return Layout{Encoding::sopk, bits(word, 27, 23)};
    return Layout{Encoding::sop2, bits(word, 29, 23)};
  }
  switch (bits(word, 31, 26)) {
    case 0x30:
      return Layout{Encoding::smem, bits(word, 25, 18)};
    case 0x34:
      if (bits(word, 25, 23) != 7) return Layout{Encoding::vop3, bits(word, 25, 16)};
      // The matrix instructions have another layout in the same opcode space, from here on.
      return Layout{bits(word, 22, 16) >= 0x3e ? Encoding::vop3p_mai : Encoding::vop3p, bits(word, 22, 16)};
    case 0x36:
      return Layout{Encoding::ds, bits(word, 24, 17)};
    case 0x37:
      switch (bits(word, 15, 14)) {
        case 0:
          return Layout{Encoding::flat, bits(word, 24, 18)};
        case 1:
          return Layout{Encoding::scratch, bits(word, 24, 18)};
        case 2:
          return Layout{Encoding::global, bits(word, 24, 18)};
        default:
          return std::nullopt;
      }
    case 0x38:
      return Layout{Encoding::mubuf, bits(word, 24, 18)};
    case 0x3a:
      return Layout{Encoding::mtbuf, bits(word, 18, 15)};
    default:
      return std::nullopt;
  }
}

// Decodes one instruction; every method returns false for what does not exist.
class Decoder {
 public:
  Decoder(std::span<const std::uint32_t> words, const OpcodeInfo& row) : words_(words), row_(row) {}

  bool run(Instruction& out) {
    out_ = &out;
    out.words = 1;
    switch (out.encoding) {
      case Encoding::sop2:
        return scalar_destination(22, 16) && scalar_source(0, 7, 0) && scalar_source(1, 15, 8) && literal();
      case Encoding::sop1:
        return scalar_destination(22, 16) && scalar_source(0, 7, 0) && literal();
      case Encoding::sopc:
        return sopc();
      case Encoding::sopk:
        return sopk();
      case Encoding::sopp:
        out.immediate = sign_extend(bits(words_[0], 15, 0), 16);
        return true;
      case Encoding::vop2:
      case Encoding::vop1:
      case Encoding::vopc:
        return short_vector();
      default:
        break;
    }
    if (words_.size() < 2) return false;
    out.words = 2;
    switch (out.encoding) {
      case Encoding::smem:
        return smem();
      case Encoding::vop3:
        return vop3();
      case Encoding::vop3p:
        return vop3p();
      case Encoding::vop3p_mai:
        return matrix();
      case Encoding::ds:
        return ds();
      case Encoding::flat:
      case Encoding::global:
      case Encoding::scratch:
        return flat();
      default:
        return buffer();
    }
  }

 private:
  bool scalar_destination(unsigned high, unsigned low) {
    if (row_.destination != Type::none) out_->destination = static_cast<Operand>(bits(words_[0], high, low));
    return out_->destination != 125;
  }

  bool scalar_source(unsigned index, unsigned high, unsigned low) {
    if (row_.source[index] == Type::none) return true;
    const unsigned field = bits(words_[0], high, low);
    if (field == operand::kLiteral)
      has_literal_ = true;
    else if (!is_readable(field))
      return false;
    out_->source[index] = static_cast<Operand>(field);
    return true;
  }

  bool literal() {
    if (!has_literal_) return true;
    if (words_.size() < 2) return false;
    out_->words = 2;
    out_->immediate = words_[1];
    return true;
  }

  bool sopc() {
    if (out_->opcode != Opcode::s_set_gpr_idx_on) {
      return scalar_source(0, 7, 0) && scalar_source(1, 15, 8) && literal();
    }
    out_->immediate = bits(words_[0], 15, 8);
    return scalar_source(0, 7, 0) && literal();
  }

  bool sopk() {
    const std::uint32_t immediate = bits(words_[0], 15, 0);
    out_->immediate = sign_extend(immediate, 16);
    if (out_->opcode == Opcode::s_setreg_imm32_b32) {
      if (words_.size() < 2) return false;
      out_->words = 2;
      out_->immediate = immediate;
      out_->extra = words_[1];
      return true;
    }
    if (out_->opcode == Opcode::s_getreg_b32 || out_->opcode == Opcode::s_setreg_b32)
      out_->immediate = immediate;
    return scalar_destination(22, 16);
  }

  bool short_vector() {
    const std::uint32_t word = words_[0];
    const unsigned field = bits(word, 8, 0);
    if (row_.source[0] != Type::none) {
      if (field == operand::kLiteral)
        has_literal_ = true;
      else if (field != kSdwaMarker && field != kDppMarker && !is_readable(field))
        return false;
      out_->source[0] = static_cast<Operand>(field);
    }
    const bool accumulator = row_.has(kAccumulatorOnly);
    if (accumulator) {
      if (field < operand::kVector) return false;
      out_->source[0] = vector(field - operand::kVector, true);
    }
    if (out_->encoding == Encoding::vopc) {
      out_->destination = operand::kVcc;
      out_->source[1] = vector(bits(word, 16, 9));
    } else if (row_.destination != Type::none) {
      const unsigned destination = bits(word, 24, 17);
      out_->destination =
          row_.has(kScalarDestination) ? static_cast<Operand>(destination) : vector(destination, accumulator);
      if (row_.source[1] != Type::none) out_->source[1] = vector(bits(word, 16, 9));
    }
    implicit_operands(operand::kVcc);
    if (row_.has(kLiteralMiddle) || row_.has(kLiteralLast)) {
      const unsigned place = row_.has(kLiteralMiddle) ? 1 : 2;
      out_->source[2] = out_->source[1];
      out_->source[place] = operand::kLiteral;
      has_literal_ = true;
    }
    if (field == kSdwaMarker) return !has_literal_ && sdwa();
    if (field == kDppMarker) return !has_literal_ && dpp();
    return literal();
  }

  void implicit_operands(Operand mask) {
    if (row_.has(kCarryOut)) out_->second_destination = mask;
    if (row_.has(kCarryIn)) out_->source[2] = mask;
    if (row_.has(kReadsDestination) && row_.source[2] == Type::none) out_->source[2] = out_->destination;
  }

  bool sdwa_source(unsigned index, unsigned number, bool scalar) {
    if (scalar && !is_readable(number)) return false;
    out_->source[index] = scalar ? static_cast<Operand>(number) : vector(number);
    return true;
  }

  bool sdwa() {
    if (words_.size() < 2 || row_.has(kNoSuffix) || row_.has(kReadsDestination)) return false;
    if (is_wide(row_.source[0]) || (is_wide(row_.destination) && out_->encoding != Encoding::vopc))
      return false;
    const std::uint32_t word = words_[1];
    out_->words = 2;
    out_->rearrange = Rearrange::sdwa;
    out_->extra = word;
    if (row_.source[0] != Type::none && !sdwa_source(0, bits(word, 7, 0), bit(word, 23))) return false;
    if (row_.source[1] != Type::none) {
      const unsigned number = bits(words_[0], 16, 9);
      if (!sdwa_source(1, number, bit(word, 31))) return false;
    }
    if (out_->encoding == Encoding::vopc) {
      if (bit(word, 15)) out_->destination = static_cast<Operand>(bits(word, 14, 8));
    } else {
      if (bit(word, 13)) out_->flags |= kClamp;
      out_->output_modifier = static_cast<std::uint8_t>(bits(word, 15, 14));
    }
    out_->negate = static_cast<std::uint8_t>(bits(word, 20, 20) | bits(word, 28, 28) << 1);
    out_->absolute = static_cast<std::uint8_t>(bits(word, 21, 21) | bits(word, 29, 29) << 1);
    return true;
  }

  bool dpp() {
    if (words_.size() < 2 || row_.has(kNoSuffix) || row_.has(kShortOnly)) return false;
    if (out_->encoding == Encoding::vopc) return false;
    const std::uint32_t word = words_[1];
    out_->words = 2;
    out_->rearrange = Rearrange::dpp;
    out_->extra = word;
    if (row_.source[0] != Type::none) out_->source[0] = vector(bits(word, 7, 0));
    out_->negate = static_cast<std::uint8_t>(bits(word, 20, 20) | bits(word, 22, 22) << 1);
    out_->absolute = static_cast<std::uint8_t>(bits(word, 21, 21) | bits(word, 23, 23) << 1);
    drop_meaningless_signs();
    return true;
  }

  bool long_source(unsigned index) {
    const unsigned field = bits(words_[1], 9 * index + 8, 9 * index);
    if (!is_readable(field)) return false;
    out_->source[index] = static_cast<Operand>(field);
    return true;
  }

  bool vop3() {
    const std::uint32_t word = words_[0];
    const unsigned destination = bits(word, 7, 0);
    if (row_.destination != Type::none) {
      out_->destination =
          row_.has(kScalarDestination) ? static_cast<Operand>(destination) : vector(destination);
    }
    for (unsigned index = 0; index < 3; ++index) {
      if (row_.source[index] != Type::none && !long_source(index)) return false;
    }
    if (row_.has(kCarryIn) && !long_source(2)) return false;
    const Operand mask = out_->source[2];
    implicit_operands(static_cast<Operand>(bits(word, 14, 8)));
    if (row_.has(kCarryIn)) out_->source[2] = mask;
    if (!row_.has(kCarryOut)) {
      out_->absolute = static_cast<std::uint8_t>(bits(word, 10, 8));
      if (has_op_sel(out_->opcode)) out_->op_sel = static_cast<std::uint8_t>(bits(word, 14, 11));
    }
    if (bit(word, 15)) out_->flags |= kClamp;
    out_->output_modifier = static_cast<std::uint8_t>(bits(words_[1], 28, 27));
    out_->negate = static_cast<std::uint8_t>(bits(words_[1], 31, 29));
    if (out_->opcode == Opcode::v_bitop3_b32 || out_->opcode == Opcode::v_bitop3_b16) {
      // What are modifiers elsewhere is a table of the function here.
      out_->immediate = static_cast<std::uint32_t>(out_->output_modifier) << 6 |
                        static_cast<std::uint32_t>(out_->absolute) << 3 | out_->negate;
      out_->output_modifier = 0;
    }
    drop_meaningless_signs();
    return true;
  }

  // neg and abs act on floating-point sources, and on v_cndmask's, which has no type.
  void drop_meaningless_signs() {
    if (out_->opcode == Opcode::v_cndmask_b32) return;
    for (unsigned index = 0; index < 3; ++index) {
      if (is_float(row_.source[index])) continue;
      out_->negate &= static_cast<std::uint8_t>(~(1u << index));
      out_->absolute &= static_cast<std::uint8_t>(~(1u << index));
    }
  }

  bool vop3p() {
    const std::uint32_t word = words_[0];
    out_->destination = vector(bits(word, 7, 0));
    for (unsigned index = 0; index < 3; ++index) {
      if (row_.source[index] != Type::none && !long_source(index)) return false;
    }
    out_->absolute = static_cast<std::uint8_t>(bits(word, 10, 8));
    out_->op_sel = static_cast<std::uint8_t>(bits(word, 13, 11));
    out_->op_sel_hi = static_cast<std::uint8_t>(bits(words_[1], 28, 27) | bits(word, 14, 14) << 2);
    if (bit(word, 15)) out_->flags |= kClamp;
    out_->negate = static_cast<std::uint8_t>(bits(words_[1], 31, 29));
    return true;
  }

  // Moves between the banks are laid out as VOP3P; which side is an AGPR follows from the opcode, whatever
  // the acc bits say.
  bool accumulator_move() {
    const bool writes = out_->opcode == Opcode::v_accvgpr_write_b32;
    if (!long_source(0)) return false;
    out_->destination = vector(bits(words_[0], 7, 0), writes);
    if (writes) return true;
    if (!operand::is_vector(out_->source[0])) return false;
    out_->source[0] = vector(operand::vector_row(out_->source[0]), true);
    return true;
  }

  bool matrix() {
    const std::uint32_t word = words_[0];
    if (row_.source[1] == Type::none) return accumulator_move();
    out_->destination = vector(bits(word, 7, 0), bit(word, 15));
    for (unsigned index = 0; index < 3; ++index) {
      if (row_.source[index] == Type::none) continue;
      if (!long_source(index)) return false;
      // Sparse matrix instructions take their indices from a VGPR; the accumulator is the destination.
      const bool accumulator =
          index < 2 ? bit(words_[1], 27 + index) : bit(word, 15) && !row_.has(kReadsDestination);
      if (accumulator && operand::is_vector(out_->source[index])) {
        out_->source[index] =
            static_cast<Operand>(out_->source[index] + operand::kAccumulator - operand::kVector);
      }
    }
    out_->extra = bits(word, 10, 8) | bits(word, 14, 11) << 4 | bits(words_[1], 31, 29) << 8;
    return true;
  }

  bool smem() {
    const std::uint32_t word = words_[0];
    if (row_.destination != Type::none || row_.source[0] != Type::none) {
      out_->destination = static_cast<Operand>(bits(word, 12, 6));
    }
    if (row_.source[0] != Type::none) {
      out_->source[0] = static_cast<Operand>(bits(word, 5, 0) << 1);
      const bool immediate = bit(word, 17);
      const bool scalar_offset = bit(word, 14);
      if (immediate) {
        out_->flags |= kOffsetEnable;
        out_->immediate = sign_extend(bits(words_[1], 20, 0), 21);
      }
      if (scalar_offset || !immediate) {
        out_->flags |= kIndexEnable;
        out_->source[1] =
            static_cast<Operand>(scalar_offset ? bits(words_[1], 31, 25) : bits(words_[1], 6, 0));
      }
    }
    if (bit(word, 16)) out_->flags |= kSc0;
    return true;
  }

  bool ds() {
    const std::uint32_t word = words_[0];
    const bool accumulator = bit(word, 25);
    out_->immediate = bits(word, 15, 0);
    if (bit(word, 16)) out_->flags |= kGlobalDataShare;
    if (row_.destination != Type::none) out_->destination = vector(bits(words_[1], 31, 24), accumulator);
    if (row_.source[0] != Type::none) out_->source[0] = vector(bits(words_[1], 7, 0));
    if (row_.source[1] != Type::none) out_->source[1] = vector(bits(words_[1], 15, 8), accumulator);
    if (row_.source[2] != Type::none) out_->source[2] = vector(bits(words_[1], 23, 16), accumulator);
    return true;
  }

  bool flat() {
    const std::uint32_t word = words_[0];
    const bool accumulator = bit(words_[1], 23);
    const unsigned scalar_address = bits(words_[1], 22, 16);
    if (bit(word, 16)) out_->flags |= kSc0;
    if (bit(word, 17)) out_->flags |= kNonTemporal;
    if (bit(word, 25)) out_->flags |= kSc1;
    out_->immediate =
        out_->encoding == Encoding::flat ? bits(word, 11, 0) : sign_extend(bits(word, 12, 0), 13);
    if (row_.destination != Type::none && (!row_.has(kAtomic) || out_->has(kSc0))) {
      out_->destination = vector(bits(words_[1], 31, 24), accumulator);
    }
    if (out_->encoding == Encoding::scratch) {
      if (bit(word, 13)) {
        out_->flags |= kOffsetEnable;
        out_->source[0] = vector(bits(words_[1], 7, 0));
      }
    } else {
      out_->source[0] = vector(bits(words_[1], 7, 0));
    }
    if (row_.source[1] != Type::none) out_->source[1] = vector(bits(words_[1], 15, 8), accumulator);
    if (out_->encoding != Encoding::flat && scalar_address != 0x7f) {
      if (!operand::is_scalar_register(static_cast<Operand>(scalar_address)) || scalar_address == 125)
        return false;
      out_->source[2] = static_cast<Operand>(scalar_address);
    }
    return true;
  }

  bool buffer() {
    const std::uint32_t word = words_[0];
    out_->immediate = bits(word, 11, 0);
    if (bit(word, 12)) out_->flags |= kOffsetEnable;
    if (bit(word, 13)) out_->flags |= kIndexEnable;
    if (bit(word, 14)) out_->flags |= kSc0;
    if (out_->encoding == Encoding::mubuf) {
      if (bit(word, 15)) out_->flags |= kSc1;
      if (bit(word, 16)) out_->flags |= kLds;
      if (bit(word, 17)) out_->flags |= kNonTemporal;
    } else {
      out_->extra = bits(word, 25, 19);
      if (bit(words_[1], 21)) out_->flags |= kSc1;
      if (bit(words_[1], 22)) out_->flags |= kNonTemporal;
    }
    if (row_.destination == Type::none) return true;
    const unsigned offset = bits(words_[1], 31, 24);
    if (!is_readable(offset)) return false;
    if (!out_->has(kLds)) out_->destination = vector(bits(words_[1], 15, 8), bit(words_[1], 23));
    if (out_->has(kOffsetEnable) || out_->has(kIndexEnable)) out_->source[0] = vector(bits(words_[1], 7, 0));
    out_->source[1] = static_cast<Operand>(bits(words_[1], 20, 16) << 2);
    out_->source[2] = static_cast<Operand>(offset);
    return true;
  }

  std::span<const std::uint32_t> words_;
  const OpcodeInfo& row_;
  Instruction* out_ = nullptr;
  bool has_literal_ = false;
};

constexpr const char* kEncodingNames[] = {"SOP2", "SOPK", "SOP1",   "SOPC",    "SOPP",  "SMEM",
                                          "VOP2", "VOP1", "VOPC",   "VOP3",    "VOP3P", "VOP3P-MAI",
                                          "DS",   "FLAT", "GLOBAL", "SCRATCH", "MUBUF", "MTBUF"};

}  // namespace

std::optional<Instruction> decode(std::span<const std::uint32_t> words) {
  if (words.empty()) return std::nullopt;
  const std::optional<Layout> layout = classify(words[0]);
  if (!layout) return std::nullopt;
  Instruction out;
  out.encoding = layout->encoding;
  out.opcode = find(layout->encoding, layout->code);
  if (out.opcode == kUnknown || !Decoder(words, info(out.opcode)).run(out)) return std::nullopt;
  return out;
}

std::string explain_undecodable(std::span<const std::uint32_t> words) {
  if (words.empty()) return "the code ends in the middle of an instruction";
  char text[160];
  const std::optional<Layout> layout = classify(words[0]);
  if (!layout) {
    std::snprintf(text, sizeof text, "0x%08x is in no encoding of gfx942 and gfx950", words[0]);
  } else if (const Opcode opcode = find(layout->encoding, layout->code); opcode != kUnknown) {
    std::snprintf(text, sizeof text, "%s with operands that it does not have: 0x%08x 0x%08x",
                  info(opcode).name.data(), words[0], words.size() > 1 ? words[1] : 0);
  } else {
    std::snprintf(text, sizeof text, "%s has no opcode 0x%x that is known: 0x%08x",
                  kEncodingNames[static_cast<std::size_t>(layout->encoding)], layout->code, words[0]);
  }
  return text;
}

}  // namespace virtual_rocm::isa
