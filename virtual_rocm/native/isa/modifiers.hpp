// SPDX-License-Identifier: MIT
//
// What an encoding can do to any instruction's sources and results: SDWA, DPP, op_sel, signs, output
// multipliers, clamp.
#ifndef VIRTUAL_ROCM_NATIVE_ISA_MODIFIERS_HPP_
#define VIRTUAL_ROCM_NATIVE_ISA_MODIFIERS_HPP_

#include <array>
#include <cstdint>
#include <type_traits>

#include "engine/operation.hpp"

namespace virtual_rocm::isa {

// The sources of one instruction after their modifiers, and its result before its own. Rows as in the Wave:
// the low word of lane l at [l], the high word at [64 + l].
struct ModifiedOperands {
  alignas(64) std::uint32_t source[3][2 * engine::kLanes];
  alignas(64) std::uint32_t result[2 * engine::kLanes];
  std::uint64_t writable = ~std::uint64_t{0};  // lanes that DPP lets write

  template <typename Word>
  Word get(std::size_t index, unsigned lane) const {
    if constexpr (sizeof(Word) == 4)
      return source[index][lane];
    else if constexpr (!std::is_integral_v<Word>)
      return Word{source[index][lane], source[index][engine::kLanes + lane]};
    else
      return source[index][lane] | static_cast<std::uint64_t>(source[index][engine::kLanes + lane]) << 32;
  }
};

// Fetches a source with everything that modifies it. 16-bit operands arrive in the low half.
void load_modified(const engine::Operation& operation, engine::Wave& wave, unsigned index,
                   ModifiedOperands& operands);

// Stores the result: output multiplier, clamp, SDWA or op_sel destination, under EXEC.
void store_modified(const engine::Operation& operation, engine::Wave& wave, ModifiedOperands& operands);

// For each lane the lane that it reads under a DPP control, or −1 for none.
const std::array<std::int8_t, engine::kLanes>& dpp_lanes(unsigned control);

// The lanes that a DPP instruction may write, given what its rows read.
std::uint64_t dpp_writable(Dpp word, std::uint64_t exec);

}  // namespace virtual_rocm::isa

#endif  // VIRTUAL_ROCM_NATIVE_ISA_MODIFIERS_HPP_
