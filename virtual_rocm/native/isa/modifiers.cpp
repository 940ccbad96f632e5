// SPDX-License-Identifier: MIT
#include "isa/modifiers.hpp"

#include <algorithm>
#include <bit>
#include <cstring>

#include "isa/half.hpp"
#include "isa/lanes.hpp"

namespace virtual_rocm::isa {
namespace {

bool is_half(Type type) {
  return type == Type::f16 || type == Type::i16 || type == Type::u16 || type == Type::b16;
}

// The type of a source, also of those that the table leaves out because the encoding implies them.
Type source_type(const OpcodeInfo& row, unsigned index) {
  if (row.source[index] != Type::none) return row.source[index];
  if (row.has(kLiteralMiddle) || row.has(kLiteralLast)) return row.source[0];
  return row.destination;
}

// A part of a register as SDWA names it.
struct Part {
  unsigned shift;
  unsigned width;

  explicit Part(unsigned selection)
      : shift(selection < 4    ? 8 * selection
              : selection == 5 ? 16
                               : 0),
        width(selection < 4   ? 8
              : selection < 6 ? 16
                              : 32) {}
  std::uint32_t field() const { return (width == 32 ? ~0u : (1u << width) - 1) << shift; }
};

void select(std::uint32_t* rows, Part part, bool sign_extends) {
  const unsigned up = 32 - part.shift - part.width;
  const unsigned down = 32 - part.width;
  if (sign_extends) {
    for (unsigned lane = 0; lane < kLanes; ++lane) {
      rows[lane] = static_cast<std::uint32_t>(static_cast<std::int32_t>(rows[lane] << up) >> down);
    }
  } else {
    for (unsigned lane = 0; lane < kLanes; ++lane) rows[lane] = rows[lane] << up >> down;
  }
}

// VOP3P: op_sel chooses the half that the low result sees, op_sel_hi the one that the high result sees.
void choose_halves(const Instruction& instruction, unsigned index, Type type, std::uint32_t* rows) {
  const bool low_is_high = instruction.op_sel >> index & 1;
  const bool high_is_high = instruction.op_sel_hi >> index & 1;
  const bool negate_low = instruction.negate >> index & 1;
  const bool negate_high = instruction.absolute >> index & 1;
  if (registers(type) == 2) {
    for (unsigned lane = 0; lane < kLanes; ++lane) {
      const std::uint32_t low = rows[low_is_high ? kLanes + lane : lane];
      const std::uint32_t high = rows[high_is_high ? kLanes + lane : lane];
      rows[lane] = low ^ (negate_low ? 0x80000000u : 0);
      rows[kLanes + lane] = high ^ (negate_high ? 0x80000000u : 0);
    }
    return;
  }
  const std::uint32_t flip =
      type == Type::pf16 ? (negate_low ? 0x8000u : 0) | (negate_high ? 0x80000000u : 0) : 0;
  for (unsigned lane = 0; lane < kLanes; ++lane) {
    const std::uint32_t low = low_is_high ? rows[lane] >> 16 : rows[lane] & 0xffff;
    const std::uint32_t high = high_is_high ? rows[lane] & 0xffff0000 : rows[lane] << 16;
    rows[lane] = (low | high) ^ flip;
  }
}

// v_fma_mix: op_sel_hi says that the source is half precision, op_sel which half.
void widen(const Instruction& instruction, unsigned index, std::uint32_t* rows) {
  if (!(instruction.op_sel_hi >> index & 1)) return;
  const unsigned shift = instruction.op_sel >> index & 1 ? 16 : 0;
  for (unsigned lane = 0; lane < kLanes; ++lane) {
    rows[lane] = std::bit_cast<std::uint32_t>(half_to_float(rows[lane] >> shift));
  }
}

void fetch(const Operation& operation, Wave& wave, unsigned index, unsigned words, std::uint32_t* rows) {
  const Instruction& instruction = operation.instruction;
  if (operand::is_vector_row(instruction.source[index]) && operation.source[index] != kImmediateSource) {
    std::memcpy(rows, wave.at<std::uint32_t>(operation.source[index]),
                words * kLanes * sizeof(std::uint32_t));
    return;
  }
  const Operand constant = instruction.source[index];
  if (instruction.encoding == Encoding::vop3p && words == 2 && constant >= operand::kZero &&
      constant < operand::kVector) {
    // A pair of floats has the constant in both.
    std::fill_n(rows, 2 * kLanes, wave.scalar[constant]);
    return;
  }
  const std::uint64_t value = words == 2 ? scalar_value<std::uint64_t>(&operation, &wave, index)
                                         : scalar_value<std::uint32_t>(&operation, &wave, index);
  std::fill_n(rows, kLanes, static_cast<std::uint32_t>(value));
  std::fill_n(rows + kLanes, kLanes, static_cast<std::uint32_t>(value >> 32));
}

void apply_dpp(Dpp word, std::uint64_t exec, unsigned words, std::uint32_t* rows) {
  const std::array<std::int8_t, kLanes>& lanes = dpp_lanes(word.control());
  std::uint32_t read[2 * kLanes];
  std::memcpy(read, rows, words * kLanes * sizeof(std::uint32_t));
  for (unsigned row = 0; row < words; ++row) {
    for (unsigned lane = 0; lane < kLanes; ++lane) {
      const int from = lanes[lane];
      const bool valid = from >= 0 && (exec >> from & 1);
      rows[row * kLanes + lane] = valid ? read[row * kLanes + static_cast<unsigned>(from)] : 0;
    }
  }
}

void apply_signs(Type type, bool negate, bool absolute, std::uint32_t* rows) {
  const bool half = is_half(type);
  std::uint32_t* const words = registers(type) == 2 ? rows + kLanes : rows;
  const std::uint32_t sign = half ? 0x8000u : 0x80000000u;
  for (unsigned lane = 0; lane < kLanes; ++lane) {
    if (absolute) words[lane] &= ~sign;
    if (negate) words[lane] ^= sign;
  }
}

float clamp(float value, bool zero_for_nan) {
  if (value != value) return zero_for_nan ? 0.0f : value;
  return value > 0 ? (value < 1 ? value : 1.0f) : 0.0f;
}

double clamp(double value, bool zero_for_nan) {
  if (value != value) return zero_for_nan ? 0.0 : value;
  return value > 0 ? (value < 1 ? value : 1.0) : 0.0;
}

// The multipliers and the clamp of floating-point results. Integer clamps are in the saturating lane
// functions.
void modify_result(Type type, unsigned multiplier, bool clamps, bool zero_for_nan, std::uint32_t* rows) {
  constexpr float kFactors[] = {1, 2, 4, 0.5f};
  const float factor = kFactors[multiplier];
  for (unsigned lane = 0; lane < kLanes; ++lane) {
    if (type == Type::f32) {
      float value = std::bit_cast<float>(rows[lane]) * factor;
      if (clamps) value = clamp(value, zero_for_nan);
      rows[lane] = std::bit_cast<std::uint32_t>(value);
    } else if (type == Type::pf32) {
      for (unsigned word = 0; word < 2 * kLanes; word += kLanes) {
        rows[word + lane] =
            std::bit_cast<std::uint32_t>(clamp(std::bit_cast<float>(rows[word + lane]), zero_for_nan));
      }
    } else if (type == Type::pf16) {
      const std::uint32_t low = float_to_half(clamp(half_to_float(rows[lane]), zero_for_nan));
      rows[lane] = low | float_to_half(clamp(half_to_float(rows[lane] >> 16), zero_for_nan)) << 16;
    } else if (type == Type::f16) {
      float value = half_to_float(rows[lane]) * factor;
      if (clamps) value = clamp(value, zero_for_nan);
      rows[lane] = float_to_half(value);
    } else {
      double value =
          std::bit_cast<double>(rows[lane] | static_cast<std::uint64_t>(rows[kLanes + lane]) << 32) * factor;
      if (clamps) value = clamp(value, zero_for_nan);
      store(rows, lane, std::bit_cast<std::uint64_t>(value));
    }
  }
}

// Places results in their part of the destination, and fills the rest with zeros, the sign above, or what was
// there.
void place(const std::uint32_t* destination, std::uint32_t* rows, Sdwa word) {
  const Part part(word.destination_select());
  const std::uint32_t field = part.field();
  const std::uint32_t kept = word.destination_unused() == 2 ? ~field : 0;
  const std::uint32_t above = word.destination_unused() == 1 ? ~field & ~((1u << part.shift) - 1) : 0;
  for (unsigned lane = 0; lane < kLanes; ++lane) {
    const std::uint32_t value = rows[lane];
    const auto sign = static_cast<std::uint32_t>(static_cast<std::int32_t>(value << (32 - part.width)) >> 31);
    rows[lane] = (value << part.shift & field) | (destination[lane] & kept) | (sign & above);
  }
}

std::array<std::int8_t, kLanes> find_dpp_lanes(unsigned control);

}  // namespace

const std::array<std::int8_t, kLanes>& dpp_lanes(unsigned control) {
  static const auto table = [] {
    std::array<std::array<std::int8_t, kLanes>, 512> out;
    for (unsigned each = 0; each < out.size(); ++each) out[each] = find_dpp_lanes(each);
    return out;
  }();
  return table[control];
}

namespace {

std::array<std::int8_t, kLanes> find_dpp_lanes(unsigned control) {
  std::array<std::int8_t, kLanes> out{};
  for (int lane = 0; lane < static_cast<int>(kLanes); ++lane) {
    const int row = lane & ~15;
    const int place = lane & 15;
    const int amount = static_cast<int>(control & 15);
    int from = -1;
    if (control < 0x100) {
      from = (lane & ~3) + static_cast<int>(control >> (2 * (lane & 3)) & 3);
    } else if (control >> 4 == 0x10) {
      from = place + amount < 16 ? lane + amount : -1;
    } else if (control >> 4 == 0x11) {
      from = place >= amount ? lane - amount : -1;
    } else if (control >> 4 == 0x12) {
      from = row + ((place - amount) & 15);
    } else if (control == 0x130) {
      from = lane + 1 < 64 ? lane + 1 : -1;
    } else if (control == 0x134) {
      from = (lane + 1) & 63;
    } else if (control == 0x138) {
      from = lane - 1;
    } else if (control == 0x13c) {
      from = (lane - 1) & 63;
    } else if (control == 0x140) {
      from = row + 15 - place;
    } else if (control == 0x141) {
      from = (lane & ~7) + 7 - (lane & 7);
    } else if (control == 0x142) {
      from = row - 1;  // the last lane of the row before; row 0 reads nothing
    } else if (control == 0x143) {
      from = lane >= 32 ? 31 : -1;
    } else {
      from = row + amount;
    }
    out[static_cast<std::size_t>(lane)] = static_cast<std::int8_t>(from);
  }
  return out;
}

}  // namespace

std::uint64_t dpp_writable(Dpp word, std::uint64_t exec) {
  const std::array<std::int8_t, kLanes>& lanes = dpp_lanes(word.control());
  std::uint64_t writable = 0;
  for (unsigned lane = 0; lane < kLanes; ++lane) {
    const bool row = word.row_mask() >> (lane / 16) & 1;
    const bool bank = word.bank_mask() >> (lane / 4 % 4) & 1;
    const bool valid = lanes[lane] >= 0 && (exec >> lanes[lane] & 1);
    if (row && bank && (valid || word.bound_control())) writable |= std::uint64_t{1} << lane;
  }
  return writable;
}

void load_modified(const Operation& operation, Wave& wave, unsigned index, ModifiedOperands& operands) {
  const Instruction& instruction = operation.instruction;
  const OpcodeInfo& row = info(instruction.opcode);
  const Type type = source_type(row, index);
  const unsigned words = registers(type) == 2 ? 2 : 1;
  std::uint32_t* const rows = operands.source[index];
  fetch(operation, wave, index, words, rows);
  if (instruction.rearrange == Rearrange::dpp && index == 0) {
    const Dpp word{instruction.extra};
    apply_dpp(word, wave.exec(), words, rows);
    operands.writable = dpp_writable(word, wave.exec());
  }
  if (instruction.rearrange == Rearrange::sdwa && index < 2) {
    const Sdwa word{instruction.extra};
    select(rows, Part(word.source_select(index)), word.sign_extends(index));
  }
  if (instruction.op_sel >> index & 1 && is_half(type)) {
    for (unsigned lane = 0; lane < kLanes; ++lane) rows[lane] >>= 16;
  }
  if (instruction.encoding == Encoding::vop3p) {
    if (row.has(kMixed)) {
      widen(instruction, index, rows);
    } else {
      if (type == Type::pf16 || type == Type::pi16 || registers(type) == 2)
        choose_halves(instruction, index, type, rows);
      return;
    }
  }
  const bool negate = instruction.negate >> index & 1;
  const bool absolute = instruction.absolute >> index & 1;
  if (negate || absolute) apply_signs(type, negate, absolute, rows);
}

void store_modified(const Operation& operation, Wave& wave, ModifiedOperands& operands) {
  const Instruction& instruction = operation.instruction;
  const OpcodeInfo& row = info(instruction.opcode);
  const unsigned words = registers(row.destination) == 2 ? 2 : 1;
  std::uint32_t* const rows = operands.result;
  const Type type = row.destination;
  const bool clamps = instruction.has(kClamp);
  if (is_float(type) && (instruction.output_modifier != 0 || clamps)) {
    modify_result(type, instruction.output_modifier, clamps, wave.mode >> 8 & 1, rows);
  }
  std::uint32_t* const destination = wave.at<std::uint32_t>(operation.destination);
  if (instruction.rearrange == Rearrange::sdwa) {
    // Conversions from 8-bit floats give whole registers, whatever is in the destination's selection.
    if (words == 1) place(destination, rows, Sdwa{instruction.extra});
  } else if (has_op_sel(instruction.opcode) || (row.has(kMixed) && type == Type::f16)) {
    const bool high =
        row.has(kMixed) ? instruction.opcode == Opcode::v_fma_mixhi_f16 : (instruction.op_sel & 8) != 0;
    for (unsigned lane = 0; is_half(type) && lane < kLanes; ++lane) {
      rows[lane] = high ? (destination[lane] & 0xffff) | rows[lane] << 16
                        : (destination[lane] & 0xffff0000) | (rows[lane] & 0xffff);
    }
  }
  const std::uint64_t writable = operands.writable & wave.exec();
  alignas(64) std::uint32_t masks[kLanes];
  expand_mask(writable, masks);
  for (unsigned word = 0; word < words; ++word) {
    for (unsigned lane = 0; lane < kLanes; ++lane) {
      const unsigned at = word * kLanes + lane;
      destination[at] = masks[lane] ? rows[at] : destination[at];
    }
  }
}

}  // namespace virtual_rocm::isa
