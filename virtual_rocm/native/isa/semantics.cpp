// SPDX-License-Identifier: MIT
#include "isa/semantics.hpp"

#include "isa/handlers.hpp"

namespace virtual_rocm::isa {
namespace {

HandlerTable make_table(Architecture architecture) {
  HandlerTable out;
  add_scalar(out);
  add_integer(out);
  add_integer_long(out);
  add_integer_16(out);
  add_single(out);
  add_transcendental(out);
  add_double(out);
  add_half(out);
  add_division(out);
  add_conversions(out);
  add_small_floats(out);
  add_packed(out);
  add_masks(out);
  add_comparisons(out);
  add_cross_lane(out);
  if (architecture == Architecture::gfx950) add_gfx950(out);
  return out;
}

const HandlerTable& table(Architecture architecture) {
  static const HandlerTable gfx942 = make_table(Architecture::gfx942);
  static const HandlerTable gfx950 = make_table(Architecture::gfx950);
  return architecture == Architecture::gfx950 ? gfx950 : gfx942;
}

bool is_half(Type type) {
  return type == Type::f16 || type == Type::i16 || type == Type::u16 || type == Type::b16 ||
         type == Type::pf16 || type == Type::pi16;
}

// A literal as an operand of this type sees it.
std::uint64_t literal(std::uint32_t value, Type type) {
  if (type == Type::f64) return static_cast<std::uint64_t>(value) << 32;
  if (type == Type::i64)
    return static_cast<std::uint64_t>(static_cast<std::int64_t>(static_cast<std::int32_t>(value)));
  return value;
}

class Lowering {
 public:
  Lowering(const Instruction& instruction, Operation& out, Architecture architecture)
      : in_(instruction),
        row_(info(instruction.opcode)),
        handlers_(table(architecture)[instruction.opcode]),
        out_(out) {}

  bool run() {
    out_.instruction = in_;
    switch (in_.encoding) {
      case Encoding::sop2:
      case Encoding::sop1:
      case Encoding::sopc:
      case Encoding::sopk:
      case Encoding::sopp:
        return scalar();
      default:
        return vector();
    }
  }

 private:
  // Turns an operand into Operation::source. False if it cannot be read in this width.
  bool resolve(Operand operand, Type type, std::uint32_t& source) {
    const bool wide = registers(type) >= 2;
    if (operand == operand::kNone || operand == operand::kVccz || operand == operand::kExecz ||
        operand == operand::kLdsDirect || operand == operand::kPopsExitingWaveId) {
      return false;
    }
    if (operand == operand::kLiteral) {
      out_.immediate = literal(in_.immediate, type);
      source = kImmediateSource;
    } else if (operand::is_vector_row(operand)) {
      source = engine::vector_offset(operand::vector_row(operand));
    } else if (operand::is_scalar_register(operand) || operand == operand::kScc) {
      if (wide && operand == operand::kScc) return false;
      source = engine::scalar_offset(operand);
    } else if (wide) {
      source = engine::wide_constant_offset(operand);
    } else if (is_half(type)) {
      source = engine::half_constant_offset(operand);
    } else {
      source = engine::scalar_offset(operand);
    }
    return true;
  }

  bool scalar() {
    const Handler handler = handlers_.plain[0];
    if (handler == nullptr) return false;
    if (in_.destination != operand::kNone) out_.destination = engine::scalar_offset(in_.destination);
    for (unsigned index = 0; index < 2; ++index) {
      if (row_.source[index] == Type::none || in_.source[index] == operand::kNone) continue;
      if (!resolve(in_.source[index], row_.source[index], out_.source[index])) return false;
    }
    if (in_.encoding == Encoding::sopk || in_.encoding == Encoding::sopp) out_.immediate = in_.immediate;
    out_.handler = handler;
    return true;
  }

  Type source_type(unsigned index) const {
    if (index == 2 && row_.has(kCarryIn)) return Type::b64;
    if (row_.source[index] != Type::none) return row_.source[index];
    if (row_.has(kLiteralMiddle) || row_.has(kLiteralLast)) return row_.source[0];
    return row_.destination;
  }

  // True if the encoding does something to operands or result that only the general handler can do.
  bool needs_modified() const {
    if (in_.rearrange != Rearrange::none || in_.output_modifier != 0 || row_.has(kMixed)) return true;
    if (has_op_sel(in_.opcode) && is_half(row_.destination)) return true;  // the other half is kept
    if (in_.op_sel != 0 || in_.has(kClamp)) return true;
    if (in_.encoding != Encoding::vop3p) return false;
    const unsigned all = (1u << handlers_.sources) - 1;
    if ((in_.op_sel_hi & all) != all || in_.negate != 0 || in_.absolute != 0) return true;
    // An inline constant goes to both halves of a pair of floats, which its 64-bit form does not give.
    for (unsigned index = 0; index < handlers_.sources; ++index) {
      if (row_.source[index] == Type::pf32 && in_.source[index] >= operand::kZero &&
          in_.source[index] < operand::kVector) {
        return true;
      }
    }
    return false;
  }

  bool vector() {
    if (in_.destination != operand::kNone) {
      out_.destination = operand::is_vector_row(in_.destination)
                             ? engine::vector_offset(operand::vector_row(in_.destination))
                             : engine::scalar_offset(in_.destination);
    }
    unsigned scalars = 0;
    for (unsigned index = 0; index < handlers_.sources; ++index) {
      if (!resolve(in_.source[index], source_type(index), out_.source[index])) return false;
      if (!operand::is_vector_row(in_.source[index])) scalars |= 1u << index;
    }
    return choose(scalars);
  }

  bool choose(unsigned scalars) {
    const bool integer_clamp = in_.has(kClamp) && !is_float(row_.destination) &&
                               in_.encoding != Encoding::vopc && !row_.has(kScalarDestination);
    if (integer_clamp) {
      out_.handler = handlers_.saturating;
    } else if (needs_modified()) {
      out_.handler = handlers_.modified;
    } else if ((in_.negate | in_.absolute) != 0) {
      out_.handler = handlers_.negated[scalars];
      if (out_.handler != nullptr)
        out_.immediate = signs();
      else
        out_.handler = handlers_.modified;
    } else {
      out_.handler = handlers_.plain[scalars];
      if (out_.handler == nullptr) out_.handler = handlers_.modified;
    }
    return out_.handler != nullptr;
  }

  std::uint64_t signs() const {
    std::uint64_t out = static_cast<std::uint64_t>(in_.negate) | static_cast<std::uint64_t>(in_.absolute)
                                                                     << 4;
    for (unsigned index = 0; index < handlers_.sources; ++index) {
      if (source_type(index) == Type::f16) out |= std::uint64_t{1} << (8 + index);
    }
    return out;
  }

  const Instruction& in_;
  const OpcodeInfo& row_;
  const Handlers& handlers_;
  Operation& out_;
};

}  // namespace

bool lower_alu(const Instruction& instruction, engine::Operation& operation, Architecture architecture) {
  Operation out;
  if (!Lowering(instruction, out, architecture).run()) return false;
  operation = out;
  return true;
}

}  // namespace virtual_rocm::isa
