// SPDX-License-Identifier: MIT
//
// Asks for the memory that a loop will touch next.
//
// What holds a copy up is not its instructions: every store to a line that is not in the cache stays in the
// processor's store buffer until the line has come, the buffer drains in order, and the results of the vector
// instructions that follow (each is sixteen stores to the wave's registers) queue up behind it. The
// processor's own prefetching does not help where waves step by the size of a block or a grid: it ends at the
// page. The step is plain to see here, though: the distance between two accesses of the same instruction.
#pragma once

#include <array>
#include <bit>
#include <cstdint>

namespace virtual_rocm::engine {

struct Operation;

/// The last contiguous accesses of some instructions. One for each engine thread.
class StridePrefetcher {
 public:
  /// Notes that `operation` touches [origin, origin + bytes), and prefetches what it will touch in the next
  /// turn of its loop, if it goes on as it did. Never faults, whatever the addresses.
  template <bool write>
  void note(const Operation* operation, std::uint64_t origin, std::uint64_t bytes) {
    Entry& entry = entries_[reinterpret_cast<std::uintptr_t>(operation) / kOperationBytes % kEntries];
    if (entry.operation != operation) [[unlikely]] {
      entry = {operation, origin, 0, 0};
      return;
    }
    const auto step = static_cast<std::int64_t>(origin - entry.origin);
    entry.origin = origin;
    // One other step is the next wave, or the next row: within it, the step will be what it was. Two of them
    // are another loop.
    if (step == entry.last_step || entry.step == 0) entry.step = step;
    entry.last_step = step;
    if (entry.step == 0 || entry.step > kFarthest || entry.step < -kFarthest) return;
    const std::uint64_t next = origin + static_cast<std::uint64_t>(entry.step) * kStepsAhead;
    for (std::uint64_t line = 0; line < bytes; line += kLine) {
      const auto* place = reinterpret_cast<const std::uint8_t*>(next + line);
      // The builtin would only fetch the line to be read unless the compiler may assume PREFETCHW, which
      // every x86-64 processor takes (as a hint, or as nothing).
      if constexpr (write)
        asm volatile("prefetchw %0" : : "m"(*place));
      else
        __builtin_prefetch(place);
    }
  }

 private:
  struct Entry {
    const Operation* operation = nullptr;
    std::uint64_t origin = 0;
    std::int64_t step = 0;
    std::int64_t last_step = 0;
  };
  static constexpr std::size_t kEntries = 64;
  static constexpr std::uintptr_t kOperationBytes = 64;
  static constexpr std::uint64_t kLine = 64;
  static constexpr std::int64_t kFarthest = 256 * 1024;
  static constexpr std::uint64_t kStepsAhead = 1;
  std::array<Entry, kEntries> entries_;
};

}  // namespace virtual_rocm::engine
