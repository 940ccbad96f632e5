// SPDX-License-Identifier: MIT
//
// A block on the device, the launch that it belongs to, and the thread that gives its waves their turns: what
// the handlers of memory and control instructions see beyond the Wave. Internal to the engine.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "engine/engine.hpp"
#include "engine/execute/stride_prefetch.hpp"
#include "engine/operation.hpp"
#include "engine/program.hpp"
#include "runtime/allocation_map.hpp"

namespace virtual_rocm::engine {

struct LaunchState;
struct BlockMemory;

struct Block {
  LaunchState* launch = nullptr;
  Dimensions index{0, 0, 0};
  std::uint64_t number = 0;  ///< linear
  std::vector<Wave*> waves;
  std::uint8_t* lds = nullptr;
  std::uint32_t running = 0;      ///< waves that have not finished
  std::uint32_t at_barrier = 0;   ///< waves that wait at the barrier
  std::uint64_t lds_changes = 0;  ///< turns of its waves that may have changed LDS
};

/// A printf message that a lane is building.
struct PrintfMessage {
  struct Part {
    bool is_string = false;
    std::string text;
    std::uint64_t bits = 0;
  };
  std::vector<Part> parts;
};

/// One engine thread. What is here is touched by that thread only.
struct Worker {
  explicit Worker(const AllocationMap& map) : reads(map), writes(map), scalar_reads(map) {}

  // A kernel mostly reads from one allocation and writes to another: one cursor for each, so that both keep
  // hitting.
  AllocationCursor reads;
  AllocationCursor writes;
  AllocationCursor scalar_reads;
  StridePrefetcher prefetcher;
  bool check_bounds = true;
  bool real_clock = false;
  std::vector<Observer*> access_observers;
  std::vector<Observer*> barrier_observers;
  std::uint64_t clock = 0;  ///< instructions executed in turns that have ended; a virtual time
  std::unordered_map<std::uint64_t, PrintfMessage> messages;
  std::uint64_t next_message = 1;
  std::function<void(const std::string&)> print;
  BlockMemory* memory = nullptr;
};

/// Ends the wave's launch with a fault at this operation. Returns what the handler has to return.
const Operation* raise(const Operation* operation, Wave* wave, Fault fault);

/// The same for a memory access that a lane tried.
const Operation* raise_access(const Operation* operation, Wave* wave, FaultKind kind, AccessKind access,
                              unsigned lane, std::uint64_t lanes, std::uint64_t address, std::uint32_t size,
                              std::string message = {});

/// Asks the checks about an access. False: one has found something, and the fault has been raised.
bool tell_observers(const Operation* operation, Wave* wave, const Access& access);

/// The program that a wave executes.
const Program& program_of(const Wave& wave);

/// Gives the wave a piece of its scratch. Late, at the first access to it, and taken back when the wave ends:
/// where thousands of waves wait for one another before they do their work, few need more than what they keep
/// across the wait at the same time, and those that follow find the rest warm.
void attach_scratch(Wave* wave, std::uint32_t piece);

/// Takes back all pieces.
void detach_scratch(Wave* wave, BlockMemory& memory);

/// Whether rows `first` to `first + count - 1` lie one after the other.
inline bool in_one_scratch_piece(const Wave* wave, std::uint32_t first, std::uint32_t count) {
  return (first ^ (first + count - 1)) >> wave->scratch_shift == 0;
}

/// The row of a wave's scratch; null while the wave does not have the piece in which it lies.
inline std::uint8_t* held_scratch_row(const Wave* wave, std::uint32_t row) {
  const std::uint32_t piece = row >> wave->scratch_shift;
  std::uint8_t* const memory = wave->scratch[piece];
  return memory == nullptr ? nullptr : memory + std::size_t{row - (piece << wave->scratch_shift)} * kRowBytes;
}

/// The same, of a wave that is given the piece if it does not have it.
inline std::uint8_t* scratch_row(Wave* wave, std::uint32_t row) {
  std::uint8_t* const held = held_scratch_row(wave, row);
  if (held != nullptr) [[likely]]
    return held;
  attach_scratch(wave, row >> wave->scratch_shift);
  return held_scratch_row(wave, row);
}

/// Byte `byte` of a lane.
inline std::uint8_t& scratch_byte(Wave* wave, std::uint32_t byte, unsigned lane) {
  return scratch_row(wave, byte / 4)[lane * 4 + byte % 4];
}

/// Called by s_barrier: whether the wave may go on at once, because it was the last one that was missing.
bool arrive_at_barrier(Wave* wave);

/// Called by s_endpgm.
void finish(Wave* wave);

}  // namespace virtual_rocm::engine
