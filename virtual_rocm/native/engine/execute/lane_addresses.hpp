// SPDX-License-Identifier: MIT
//
// Where the lanes of a global or flat instruction go, and whether they may.
#pragma once

#include <bit>
#include <cstdint>

#include "engine/block.hpp"
#include "engine/execute/lane_data.hpp"

namespace virtual_rocm::engine {

/// How an address is put together. By custom of the operations: source[0] is the offset of the vector
/// address, source[1] of the scalar base, `immediate` the signed offset.
enum class AddressMode : std::uint8_t { vector64, scalar_base };

struct LaneAddresses {
  std::uint64_t lanes;                        ///< EXEC, never 0
  unsigned first;                             ///< lowest lane
  bool contiguous;                            ///< lane l goes to origin + l * size
  std::uint64_t origin;                       ///< valid if contiguous; also then, lane 0 may be off
  alignas(64) std::uint64_t address[kLanes];  ///< valid if not contiguous

  std::uint64_t of(unsigned lane, std::uint32_t size) const {
    return contiguous ? origin + std::uint64_t{lane} * size : address[lane];
  }
};

/// Lanes whose addresses follow one another: lane l goes to origin + l * size.
struct ContiguousLanes {
  std::uint64_t lanes;   ///< EXEC, never 0
  unsigned first;        ///< lowest lane
  std::uint64_t origin;  ///< also where lane 0 is off

  std::uint64_t first_address(std::uint32_t size) const { return origin + std::uint64_t{first} * size; }
  std::uint64_t bytes(std::uint32_t size) const {
    const unsigned last = 63 - static_cast<unsigned>(std::countl_zero(lanes));
    return std::uint64_t{last - first + 1} * size;
  }
};

/// The sum of what is the same for all lanes: the instruction's offset and the scalar base.
template <AddressMode mode>
inline std::uint64_t base_of(const Operation* operation, Wave* wave) {
  if constexpr (mode == AddressMode::scalar_base)
    return operation->immediate + *wave->at<std::uint64_t>(operation->source[1]);
  return operation->immediate;
}

/// Whether the enabled lanes (there must be one) are contiguous, and where. A few vector comparisons, which
/// make the common case one block copy.
template <AddressMode mode>
inline __attribute__((always_inline)) bool find_contiguous(const Operation* operation, Wave* wave,
                                                           std::uint32_t size, std::uint64_t lanes,
                                                           ContiguousLanes& result) {
  const std::uint32_t* low = wave->at<std::uint32_t>(operation->source[0]);
  const std::uint32_t* high = low + kLanes;
  result.lanes = lanes;
  result.first = static_cast<unsigned>(std::countr_zero(lanes));
  const std::uint32_t first_low = low[result.first];
  const std::uint32_t low_origin = first_low - result.first * size;
  const std::uint32_t first_high = mode == AddressMode::vector64 ? high[result.first] : 0;

  std::uint32_t differs = 0;
  if (lanes == kAllLanes) [[likely]] {
    for (std::uint32_t lane = 0; lane < kLanes; ++lane) {
      differs |= (low[lane] - lane * size) ^ low_origin;
      if constexpr (mode == AddressMode::vector64) differs |= high[lane] ^ first_high;
    }
  } else if (!std::has_single_bit(lanes)) {
    const std::uint32_t* masks = wave->masks();
    for (std::uint32_t lane = 0; lane < kLanes; ++lane) {
      std::uint32_t difference = (low[lane] - lane * size) ^ low_origin;
      if constexpr (mode == AddressMode::vector64) difference |= high[lane] ^ first_high;
      differs |= difference & masks[lane];
    }
  }
  // A carry out of the low half between two lanes would be lost: leave that to the other path.
  if (differs != 0 || first_low > 0xffffffff - kLanes * size) return false;
  const std::uint64_t first_address =
      (std::uint64_t{first_high} << 32 | first_low) + base_of<mode>(operation, wave);
  result.origin = first_address - std::uint64_t{result.first} * size;
  return true;
}

/// The address of every lane, enabled or not.
template <AddressMode mode>
inline void resolve_each(const Operation* operation, Wave* wave, std::uint64_t lanes, LaneAddresses& result) {
  const std::uint32_t* low = wave->at<std::uint32_t>(operation->source[0]);
  const std::uint32_t* high = low + kLanes;
  const std::uint64_t base = base_of<mode>(operation, wave);
  result.lanes = lanes;
  result.first = static_cast<unsigned>(std::countr_zero(lanes));
  result.contiguous = false;
  result.origin = 0;
  for (unsigned lane = 0; lane < kLanes; ++lane) {
    std::uint64_t address = low[lane];
    if constexpr (mode == AddressMode::vector64) address |= std::uint64_t{high[lane]} << 32;
    result.address[lane] = address + base;
  }
}

inline void take(const ContiguousLanes& contiguous, LaneAddresses& result) {
  result.lanes = contiguous.lanes;
  result.first = contiguous.first;
  result.contiguous = true;
  result.origin = contiguous.origin;
}

/// Fills `result` for the lanes that EXEC enables (there must be one).
template <AddressMode mode>
inline void resolve(const Operation* operation, Wave* wave, std::uint32_t size, std::uint64_t lanes,
                    LaneAddresses& result) {
  ContiguousLanes contiguous;
  if (find_contiguous<mode>(operation, wave, size, lanes, contiguous))
    take(contiguous, result);
  else
    resolve_each<mode>(operation, wave, lanes, result);
}

constexpr bool is_shared(std::uint64_t address) { return address >> 32 == kSharedApertureHigh; }
constexpr bool is_private(std::uint64_t address) { return address >> 32 == kPrivateApertureHigh; }

/// Runs the checks on an access to global memory. False: the fault has been raised, and the handler returns
/// null.
bool check_access_slowly(const Operation* operation, Wave* wave, const LaneAddresses& addresses,
                         std::uint32_t size, AccessKind access);

inline bool allows(Worker& worker, std::uint64_t address, std::uint64_t bytes, AccessKind access) {
  return access == AccessKind::read ? worker.reads.allows(address, bytes)
                                    : worker.writes.allows(address, bytes, true);
}

/// The check of contiguous lanes, as long as it finds nothing: one comparison for all of them. False: ask
/// check_access.
inline bool allows_at_once(const Operation* operation, Wave* wave, const ContiguousLanes& contiguous,
                           std::uint32_t size, AccessKind access) {
  Worker& worker = *wave->worker;
  if (!worker.access_observers.empty()) [[unlikely]]
    return false;
  if (!worker.check_bounds) {
    wave->current = operation;  // the host's memory protection is the only check then: see signal_guard
    return true;
  }
  return allows(worker, contiguous.first_address(size), contiguous.bytes(size), access);
}

inline bool check_access(const Operation* operation, Wave* wave, const LaneAddresses& addresses,
                         std::uint32_t size, AccessKind access) {
  Worker& worker = *wave->worker;
  if (worker.access_observers.empty()) [[likely]] {
    if (!worker.check_bounds) {
      wave->current = operation;  // the host's memory protection is the only check then: see signal_guard
      return true;
    }
    if (addresses.contiguous) {
      const ContiguousLanes lanes{addresses.lanes, addresses.first, addresses.origin};
      if (allows(worker, lanes.first_address(size), lanes.bytes(size), access)) return true;
    } else {
      // If lowest and highest address are in one allocation, so are all between.
      std::uint64_t lowest = ~std::uint64_t{0};
      std::uint64_t highest = 0;
      for_each_lane(addresses.lanes, [&](unsigned lane) {
        lowest = std::min(lowest, addresses.address[lane]);
        highest = std::max(highest, addresses.address[lane]);
      });
      if (allows(worker, lowest, highest - lowest + size, access)) return true;
    }
  }
  return check_access_slowly(operation, wave, addresses, size, access);
}

}  // namespace virtual_rocm::engine
