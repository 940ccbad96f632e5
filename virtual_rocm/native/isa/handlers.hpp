// SPDX-License-Identifier: MIT
//
// The handlers of every instruction that the ALUs execute, by opcode. Filled once, by the files that define
// them.
#ifndef VIRTUAL_ROCM_NATIVE_ISA_HANDLERS_HPP_
#define VIRTUAL_ROCM_NATIVE_ISA_HANDLERS_HPP_

#include <array>
#include <bit>

#include "isa/lanes.hpp"

namespace virtual_rocm::isa {

// `plain` and `negated` are indexed by which sources are scalar (bit per source). `negated` also applies the
// signs of floating-point sources; `modified` does everything else. `saturating` is `modified` with the
// integer clamp. A `special` handler is lowered as it is: it reads what it needs from the instruction.
struct Handlers {
  std::array<Handler, 8> plain{};
  std::array<Handler, 8> negated{};
  Handler modified = nullptr;
  Handler saturating = nullptr;
  std::uint8_t sources = 0;
};

class HandlerTable {
 public:
  Handlers& operator[](Opcode opcode) { return rows_[static_cast<std::size_t>(opcode)]; }
  const Handlers& operator[](Opcode opcode) const { return rows_[static_cast<std::size_t>(opcode)]; }

  // Handlers of a lane function.
  template <auto kFunction, Rounding kRounding = Rounding::none>
  void add(Opcode opcode) {
    using Loop = Lanes<kFunction>;
    Handlers& row = (*this)[opcode];
    row.sources = Loop::kCount;
    row.modified = &Loop::template modified<kRounding>;
    fill<Loop, kRounding>(row, std::make_index_sequence<(1u << Loop::kCount)>());
  }

  // The same, with fast handlers for negated and absolute sources too.
  template <auto kFunction, Rounding kRounding>
  void add_signed(Opcode opcode) {
    add<kFunction, kRounding>(opcode);
    fill_negated<Lanes<kFunction>, kRounding>((*this)[opcode],
                                              std::make_index_sequence<(1u << Lanes<kFunction>::kCount)>());
  }

  // The function that saturates instead of wrapping, for the clamp bit.
  template <auto kFunction>
  void saturate(Opcode opcode) {
    (*this)[opcode].saturating = &Lanes<kFunction>::template modified<Rounding::none>;
  }

  // Instructions of which only the general form is worth having.
  template <auto kFunction, Rounding kRounding = Rounding::none>
  void add_modified(Opcode opcode) {
    Handlers& row = (*this)[opcode];
    row.sources = Lanes<kFunction>::kCount;
    row.modified = &Lanes<kFunction>::template modified<kRounding>;
  }

 private:
  template <typename Loop, Rounding kRounding, std::size_t... kScalars>
  static void fill(Handlers& row, std::index_sequence<kScalars...>) {
    ((row.plain[kScalars] = plain<Loop, kRounding, kScalars>()), ...);
  }
  template <typename Loop, Rounding kRounding, std::size_t... kScalars>
  static void fill_negated(Handlers& row, std::index_sequence<kScalars...>) {
    // With more than one scalar source the general handler does.
    ((row.negated[kScalars] = negated<Loop, kRounding, kScalars>()), ...);
  }

  template <typename Loop, Rounding kRounding, std::size_t kScalars>
  static constexpr Handler plain() {
    // Three scalar sources, or two of two, are the same in every lane: not worth a handler of their own.
    if constexpr (std::popcount(kScalars) == Loop::kCount && Loop::kCount > 1)
      return nullptr;
    else
      return &Loop::template execute<kScalars, kRounding, false>;
  }

  template <typename Loop, Rounding kRounding, std::size_t kScalars>
  static constexpr Handler negated() {
    if constexpr (std::popcount(kScalars) > 1)
      return nullptr;
    else
      return &Loop::template execute<kScalars, kRounding, true>;
  }

  std::array<Handlers, kOpcodeCount> rows_{};
};

void add_scalar(HandlerTable& table);
void add_integer(HandlerTable& table);
void add_integer_long(HandlerTable& table);
void add_integer_16(HandlerTable& table);
void add_single(HandlerTable& table);
void add_transcendental(HandlerTable& table);
void add_double(HandlerTable& table);
void add_half(HandlerTable& table);
void add_division(HandlerTable& table);
void add_conversions(HandlerTable& table);
void add_small_floats(HandlerTable& table);
void add_packed(HandlerTable& table);
void add_masks(HandlerTable& table);
void add_comparisons(HandlerTable& table);
void add_cross_lane(HandlerTable& table);
void add_gfx950(HandlerTable& table);  // last: it replaces some

inline float as_float(std::uint32_t bits) { return std::bit_cast<float>(bits); }
inline double as_double(std::uint64_t bits) { return std::bit_cast<double>(bits); }
inline std::uint32_t as_bits(float value) { return std::bit_cast<std::uint32_t>(value); }
inline std::uint64_t as_bits(double value) { return std::bit_cast<std::uint64_t>(value); }

}  // namespace virtual_rocm::isa

#endif  // VIRTUAL_ROCM_NATIVE_ISA_HANDLERS_HPP_
