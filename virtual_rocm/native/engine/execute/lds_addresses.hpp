// SPDX-License-Identifier: MIT
//
// Where the lanes of a DS instruction go in their block's LDS, and whether they may.
#pragma once

#include <bit>
#include <cstdint>

#include "engine/block.hpp"
#include "engine/execute/lane_data.hpp"

namespace virtual_rocm::engine {

struct LdsAddresses {
  const std::uint32_t* address;  ///< of each lane, without the offset
  std::uint32_t offset;
  unsigned first;
  bool contiguous;
  std::uint32_t origin;  ///< with the offset; may have wrapped below 0 if lane 0 is off

  /// Wraps, as the hardware's sum does.
  std::uint32_t of(unsigned lane) const { return address[lane] + offset; }
};

/// Lowering of what all DS instructions have in common: source[0] the address, source[1] and source[2] the
/// data, `immediate` the offset.
void place_lds_operands(Operation& operation);

/// Raises the fault, and returns false, or tells the observers.
bool check_lds_slowly(const Operation* operation, Wave* wave, const LdsAddresses& addresses,
                      std::uint64_t lanes, std::uint32_t size, AccessKind access);

/// Resolves and checks. False: the handler returns null.
inline bool resolve_lds(const Operation* operation, Wave* wave, std::uint32_t offset, std::uint32_t size,
                        std::uint64_t lanes, AccessKind access, LdsAddresses& result) {
  const std::uint32_t* address = wave->at<std::uint32_t>(operation->source[0]);
  result.address = address;
  result.offset = offset;
  result.first = static_cast<unsigned>(std::countr_zero(lanes));
  const std::uint32_t origin = address[result.first] - result.first * size;
  std::uint32_t differs = 0;
  std::uint32_t highest = 0;
  if (lanes == kAllLanes) {
    for (std::uint32_t lane = 0; lane < kLanes; ++lane) {
      differs |= (address[lane] - lane * size) ^ origin;
      highest = std::max(highest, address[lane] + offset);
    }
  } else {
    const std::uint32_t* masks = wave->masks();
    for (std::uint32_t lane = 0; lane < kLanes; ++lane) {
      differs |= ((address[lane] - lane * size) ^ origin) & masks[lane];
      highest = std::max(highest, (address[lane] + offset) & masks[lane]);
    }
  }
  wave->polled_address = std::uint64_t{kSharedApertureHigh} << 32 | (address[result.first] + offset);
  result.contiguous = differs == 0;
  result.origin = origin + offset;
  // The hardware's sum of address and offset wraps at 32 bits: compilers use negative addresses. The size
  // must not.
  if (std::uint64_t{highest} + size <= wave->lds_size && wave->worker->access_observers.empty()) [[likely]]
    return true;
  return check_lds_slowly(operation, wave, result, lanes, size, access);
}

}  // namespace virtual_rocm::engine
