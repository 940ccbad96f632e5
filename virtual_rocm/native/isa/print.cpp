// SPDX-License-Identifier: MIT
//
// Prints an instruction as llvm-objdump does. Its text is the independent witness that the decoder is right,
// so what is printed here follows its habits even where they are odd.
#include <bit>
#include <cstdio>

#include "isa/instruction.hpp"
#include "isa/print_special.hpp"

namespace virtual_rocm::isa {
namespace {

constexpr const char* kFloatConstants[] = {"0.5", "-0.5", "1.0", "-1.0", "2.0", "-2.0", "4.0", "-4.0"};
constexpr std::uint16_t kHalfConstants[] = {0x3800, 0xb800, 0x3c00, 0xbc00, 0x4000,
                                            0xc000, 0x4400, 0xc400, 0x3118};
constexpr std::uint32_t kSingleConstants[] = {0x3f000000, 0xbf000000, 0x3f800000, 0xbf800000, 0x40000000,
                                              0xc0000000, 0x40800000, 0xc0800000, 0x3e22f983};

bool is_integer_16(Type type) { return type == Type::i16 || type == Type::u16 || type == Type::b16; }
bool is_wide(Type type) { return registers(type) > 1; }

std::string hex(std::uint32_t value) {
  char text[16];
  std::snprintf(text, sizeof text, "0x%x", value);
  return text;
}

std::string range(const char* file, unsigned first, unsigned count) {
  if (count == 1) return file + std::to_string(first);
  return std::string(file) + "[" + std::to_string(first) + ":" + std::to_string(first + count - 1) + "]";
}

std::string float_constant(unsigned index, bool wide) {
  if (index < 8) return kFloatConstants[index];
  return wide ? "0.15915494309189532" : "0.15915494";
}

std::string literal_text(std::uint32_t value, Type type) {
  const auto as_integer = static_cast<std::int32_t>(value);
  if (type == Type::f16) {
    const auto half = static_cast<std::uint16_t>(value);
    const auto small = static_cast<std::int16_t>(half);
    if (small >= -16 && small <= 64) return std::to_string(small);
    for (unsigned index = 0; index < std::size(kHalfConstants); ++index) {
      if (half == kHalfConstants[index]) return float_constant(index, false);
    }
    return hex(half);
  }
  if (type == Type::f64) return value == 0 ? "0" : hex(value);
  if (is_wide(type)) return as_integer >= 0 && as_integer <= 64 ? std::to_string(as_integer) : hex(value);
  if (type == Type::pf16) {
    return as_integer >= -16 && as_integer <= 64 ? std::to_string(as_integer) : hex(value);
  }
  if (as_integer >= -16 && as_integer <= 64) return std::to_string(as_integer);
  for (unsigned index = 0; index < std::size(kSingleConstants); ++index) {
    if (value == kSingleConstants[index]) return float_constant(index, false);
  }
  return hex(is_integer_16(type) ? value & 0xffff : value);
}

std::string named_register(const char* name, Operand value, Operand first, bool wide) {
  if (wide) return name;
  return std::string(name) + (value == first ? "_lo" : "_hi");
}

std::string scalar_text(Operand value, unsigned count) {
  const bool wide = count > 1;
  if (value < operand::kFlatScratch) return range("s", value, count);
  if (value < operand::kXnackMask) return named_register("flat_scratch", value, operand::kFlatScratch, wide);
  if (value < operand::kVcc) return named_register("xnack_mask", value, operand::kXnackMask, wide);
  if (value < operand::kTrapTemporary) return named_register("vcc", value, operand::kVcc, wide);
  if (value < operand::kM0) return range("ttmp", value - operand::kTrapTemporary, count);
  if (value == operand::kM0) return "m0";
  return named_register("exec", value, operand::kExec, wide);
}

class Printer {
 public:
  explicit Printer(const Instruction& instruction) : in_(instruction), row_(info(instruction.opcode)) {}

  std::string run() {
    switch (in_.encoding) {
      case Encoding::sop2:
      case Encoding::sop1:
      case Encoding::sopc:
        scalar();
        break;
      case Encoding::sopk:
      case Encoding::sopp:
        immediate_scalar();
        break;
      case Encoding::smem:
        smem();
        break;
      case Encoding::ds:
        ds();
        break;
      case Encoding::flat:
      case Encoding::global:
      case Encoding::scratch:
        flat();
        break;
      case Encoding::mubuf:
      case Encoding::mtbuf:
        buffer();
        break;
      case Encoding::vop3p:
        packed();
        break;
      case Encoding::vop3p_mai:
        matrix();
        break;
      default:
        vector();
    }
    return std::string(row_.name) + suffix_ + (operands_.empty() ? "" : " ") + operands_ + tail_;
  }

 private:
  void add(const std::string& text) {
    if (!operands_.empty()) operands_ += ", ";
    operands_ += text;
  }
  void note(std::string_view text, std::string_view value = {}) {
    tail_ += ' ';
    tail_ += text;
    tail_ += value;
  }

  std::string text(Operand value, Type type, unsigned count) const {
    if (operand::is_vector(value)) return range("v", value - operand::kVector, count);
    if (operand::is_accumulator(value)) return range("a", value - operand::kAccumulator, count);
    if (operand::is_scalar_register(value)) return scalar_text(value, count);
    if (value < operand::kMinusOne) return std::to_string(value - operand::kZero);
    if (value <= 208) return std::to_string(192 - value);
    if (value >= operand::kFloatFirst && value <= operand::kFloatLast) {
      const unsigned index = value - operand::kFloatFirst;
      if (is_integer_16(type)) return hex(kHalfConstants[index]);
      return float_constant(index, is_wide(type));
    }
    switch (value) {
      case operand::kSharedBase:
        return "src_shared_base";
      case operand::kSharedLimit:
        return "src_shared_limit";
      case operand::kPrivateBase:
        return "src_private_base";
      case operand::kPrivateLimit:
        return "src_private_limit";
      case operand::kPopsExitingWaveId:
        return "src_pops_exiting_wave_id";
      case operand::kVccz:
        return "src_vccz";
      case operand::kExecz:
        return "src_execz";
      case operand::kScc:
        return "src_scc";
      case operand::kLdsDirect:
        return "src_lds_direct";
      default:
        return literal_text(in_.immediate, type);
    }
  }
  std::string text(Operand value, Type type) const { return text(value, type, registers(type)); }
  std::string source(unsigned index) const { return text(in_.source[index], row_.source[index]); }

  std::string modified_source(unsigned index) const {
    const bool absolute = in_.absolute >> index & 1;
    std::string out = in_.negate >> index & 1 ? "-" : "";
    if (absolute) out += '|';
    out += source(index);
    if (absolute) out += '|';
    return out;
  }

  void scalar() {
    if (in_.opcode == Opcode::s_set_gpr_idx_on) {
      add(source(0));
      add(gpr_index_text(in_.immediate));
      return;
    }
    if (row_.destination != Type::none) add(text(in_.destination, row_.destination));
    for (unsigned index = 0; index < 2; ++index) {
      if (row_.source[index] != Type::none) add(source(index));
    }
  }

  void immediate_scalar() {
    const std::uint32_t immediate = in_.immediate & 0xffff;
    switch (in_.opcode) {
      case Opcode::s_getreg_b32:
        add(text(in_.destination, row_.destination));
        add(hardware_register_text(immediate));
        return;
      case Opcode::s_setreg_b32:
        add(hardware_register_text(immediate));
        add(text(in_.destination, row_.destination));
        return;
      case Opcode::s_setreg_imm32_b32:
        add(hardware_register_text(immediate));
        add(literal_text(in_.extra, Type::b32));
        return;
      case Opcode::s_call_b64:
      case Opcode::s_cbranch_i_fork:
        add(text(in_.destination, row_.destination));
        add(std::to_string(immediate));
        return;
      default:
        break;
    }
    if (in_.encoding == Encoding::sopk) {
      add(text(in_.destination, row_.destination));
      add(hex(immediate));
      return;
    }
    add(program_control_text(in_.opcode, immediate));
  }

  void vector() {
    const bool has_short_form = row_.encoding != Encoding::vop3 && !row_.has(kNoSuffix);
    if (in_.rearrange == Rearrange::sdwa)
      suffix_ = "_sdwa";
    else if (in_.rearrange == Rearrange::dpp)
      suffix_ = "_dpp";
    else if (has_short_form)
      suffix_ = in_.encoding == Encoding::vop3 ? "_e64" : "_e32";
    if (row_.destination != Type::none) add(text(in_.destination, row_.destination));
    if (in_.second_destination != operand::kNone) add(text(in_.second_destination, Type::b64));
    const bool literal_inside = row_.has(kLiteralMiddle) || row_.has(kLiteralLast);
    const unsigned count = literal_inside ? 3 : 2;
    for (unsigned index = 0; index < count; ++index) {
      const Type type = literal_inside ? row_.source[0] : row_.source[index];
      if (type == Type::none) continue;
      if (literal_inside && in_.source[index] == operand::kLiteral && index != 0) {
        add(hex(in_.immediate));
      } else if (in_.rearrange == Rearrange::sdwa && Sdwa{in_.extra}.sign_extends(index)) {
        add(std::string("sext(").append(source(index)).append(")"));
      } else if (in_.negate != 0 || in_.absolute != 0) {
        add(modified_source(index));
      } else {
        add(text(in_.source[index], type));
      }
    }
    if (row_.source[2] != Type::none && !literal_inside) add(modified_source(2));
    if (row_.has(kCarryIn)) add(text(in_.source[2], Type::b64));
    if ((in_.opcode == Opcode::v_bitop3_b32 || in_.opcode == Opcode::v_bitop3_b16) && in_.immediate != 0)
      note("bitop3:", in_.immediate <= 10 ? std::to_string(in_.immediate) : hex(in_.immediate));
    op_sel();
    output_modifiers();
    if (in_.rearrange == Rearrange::sdwa) sdwa();
    if (in_.rearrange == Rearrange::dpp) note(dpp_text(Dpp{in_.extra}));
  }

  void op_sel() {
    if (in_.op_sel == 0 || !has_op_sel(in_.opcode)) return;
    const bool three = row_.source[2] != Type::none || row_.name.starts_with("v_cvt_sr_");
    std::string out = "op_sel:[";
    for (unsigned index = 0; index < (three ? 3u : 2u); ++index) {
      out += in_.op_sel >> index & 1 ? "1," : "0,";
    }
    note(out + (in_.op_sel >> 3 & 1 ? "1]" : "0]"));
  }

  void output_modifiers() {
    if (in_.has(kClamp)) note("clamp");
    constexpr const char* kOutputModifiers[] = {"", "mul:2", "mul:4", "div:2"};
    if (in_.output_modifier != 0) note(kOutputModifiers[in_.output_modifier]);
  }

  void sdwa() {
    const Sdwa word{in_.extra};
    if (in_.encoding != Encoding::vopc && row_.destination != Type::none &&
        !has_sdwa_source_only(in_.opcode)) {
      note("dst_sel:", selection_text(word.destination_select()));
      note("dst_unused:", unused_text(word.destination_unused()));
    }
    if (row_.source[0] != Type::none) note("src0_sel:", selection_text(word.source_select(0)));
    if (row_.source[1] != Type::none) note("src1_sel:", selection_text(word.source_select(1)));
  }

  std::string bit_list(const char* name, unsigned value, unsigned count) const {
    std::string out = std::string(name) + ":[";
    for (unsigned index = 0; index < count; ++index) {
      if (index != 0) out += ',';
      out += value >> index & 1 ? '1' : '0';
    }
    return out + "]";
  }

  void packed() {
    add(text(in_.destination, row_.destination));
    unsigned count = 0;
    const bool mixed = row_.has(kMixed);
    for (; count < 3 && row_.source[count] != Type::none; ++count) {
      add(mixed ? modified_source(count) : source(count));
    }
    const unsigned all = (1u << count) - 1;
    if ((in_.op_sel & all) != 0) note(bit_list("op_sel", in_.op_sel, count));
    if ((in_.op_sel_hi & all) != (mixed ? 0 : all)) note(bit_list("op_sel_hi", in_.op_sel_hi, count));
    if (!mixed && (in_.negate & all) != 0) note(bit_list("neg_lo", in_.negate, count));
    if (!mixed && (in_.absolute & all) != 0) note(bit_list("neg_hi", in_.absolute, count));
    if (in_.has(kClamp)) note("clamp");
  }

  void matrix() {
    add(text(in_.destination, row_.destination));
    for (unsigned index = 0; index < 3; ++index) {
      if (row_.source[index] != Type::none) add(source(index));
    }
    const unsigned broadcast_size = in_.extra & 15;
    const unsigned broadcast_id = in_.extra >> 4 & 15;
    const unsigned permutation = in_.extra >> 8;
    if (broadcast_size != 0) note("cbsz:", std::to_string(broadcast_size));
    if (broadcast_id != 0) note("abid:", std::to_string(broadcast_id));
    if (permutation == 0) return;
    if (row_.name.starts_with("v_mfma_f64"))
      note(bit_list("neg", permutation, 3));
    else
      note("blgp:", std::to_string(permutation));
  }

  void smem() {
    if (row_.destination != Type::none)
      add(text(in_.destination, row_.destination));
    else if (row_.source[0] != Type::none && row_.name.starts_with("s_atc_probe"))
      add(std::to_string(in_.destination));
    if (row_.source[0] == Type::none) return;
    add(source(0));
    const auto offset = static_cast<std::int32_t>(in_.immediate);
    std::string immediate = offset < 0 ? "-" : "";
    immediate += hex(static_cast<std::uint32_t>(std::abs(offset)));
    if (in_.has(kIndexEnable)) {
      add(text(in_.source[1], Type::b32));
      if (in_.has(kOffsetEnable)) note("offset:", immediate);
    } else {
      add(immediate);
    }
    if (in_.has(kSc0)) note("glc");
  }

  void ds() {
    if (row_.destination != Type::none) add(text(in_.destination, row_.destination));
    for (unsigned index = 0; index < 3; ++index) {
      if (row_.source[index] != Type::none) add(source(index));
    }
    if (in_.opcode == Opcode::ds_swizzle_b32) {
      if (in_.immediate != 0) note("offset:", swizzle_text(in_.immediate));
    } else if (row_.has(kTwoOffsets)) {
      if ((in_.immediate & 0xff) != 0) note("offset0:", std::to_string(in_.immediate & 0xff));
      if (in_.immediate >> 8 != 0) note("offset1:", std::to_string(in_.immediate >> 8));
    } else if (in_.immediate != 0) {
      note("offset:", std::to_string(in_.immediate));
    }
    if (in_.has(kGlobalDataShare)) note("gds");
  }

  void flat() {
    const bool has_scalar = in_.source[2] != operand::kNone;
    if (in_.destination != operand::kNone) add(text(in_.destination, row_.destination));
    if (in_.source[0] == operand::kNone)
      add("off");
    else
      add(text(in_.source[0], has_scalar || in_.encoding == Encoding::scratch ? Type::b32 : Type::b64));
    if (in_.source[1] != operand::kNone) add(source(1));
    if (has_scalar)
      add(text(in_.source[2], in_.encoding == Encoding::scratch ? Type::b32 : Type::b64));
    else if (in_.encoding != Encoding::flat)
      add("off");
    if (in_.immediate != 0) note("offset:", std::to_string(static_cast<std::int32_t>(in_.immediate)));
    cache_bits();
  }

  void cache_bits() {
    if (in_.has(kSc0)) note("sc0");
    if (in_.has(kNonTemporal)) note("nt");
    if (in_.has(kSc1)) note("sc1");
  }

  void buffer() {
    if (row_.destination == Type::none) {
      cache_bits();
      return;
    }
    if (in_.destination != operand::kNone) add(text(in_.destination, row_.destination));
    const bool both = in_.has(kOffsetEnable) && in_.has(kIndexEnable);
    add(in_.source[0] == operand::kNone ? "off" : text(in_.source[0], both ? Type::b64 : Type::b32));
    add(text(in_.source[1], Type::b128));
    add(text(in_.source[2], Type::b32));
    if (in_.has(kIndexEnable)) note("idxen");
    if (in_.has(kOffsetEnable)) note("offen");
    if (in_.immediate != 0) note("offset:", std::to_string(in_.immediate));
    cache_bits();
    if (in_.has(kLds)) note("lds");
  }

  const Instruction& in_;
  const OpcodeInfo& row_;
  std::string suffix_;
  std::string operands_;
  std::string tail_;
};

}  // namespace

std::string print(const Instruction& instruction) { return Printer(instruction).run(); }

}  // namespace virtual_rocm::isa
