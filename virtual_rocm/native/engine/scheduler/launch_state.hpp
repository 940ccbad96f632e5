// SPDX-License-Identifier: MIT
//
// A launch on the device: its memory, its blocks, how far it is. Internal to the engine.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "engine/block.hpp"
#include "engine/loader/loaded_code.hpp"
#include "engine/scheduler/random.hpp"
#include "engine/scheduler/wave_memory.hpp"

namespace virtual_rocm::engine {

using Clock = std::chrono::steady_clock;

/// LDS of a compute unit: no block can have more.
inline std::uint32_t most_lds() {
  return device_architecture() == isa::Architecture::gfx950 ? 160 * 1024 : 64 * 1024;
}

struct LaunchState {
  /// Throws LoadError if the launch is impossible.
  LaunchState(Launch launch, std::uint64_t number, const Knobs& knobs);
  ~LaunchState();
  LaunchState(const LaunchState&) = delete;
  LaunchState& operator=(const LaunchState&) = delete;

  /// Makes the next block resident, with its waves ready to start.
  void start_block(BlockMemory& memory);
  /// Takes finished blocks out of `resident`.
  void retire_blocks(BlockMemory& memory);
  /// Takes all blocks out, finished or not.
  void abandon_blocks(BlockMemory& memory);

  /// Whether a block is still to start, and may.
  bool has_next_block() const {
    return next_block < total_blocks && (next_block < late_from || Clock::now() - began >= late_by);
  }
  bool ended() const { return fault.has_value() || finished_blocks == total_blocks; }
  LaunchInformation information() const { return {number, launch.kernel, launch.grid, launch.block}; }

  Launch launch;
  std::uint64_t number;
  const LoadedCode* code;
  const Program* program;
  std::uint32_t threads_in_block;
  std::uint32_t waves_in_block;
  std::uint32_t lds_size;
  std::uint32_t scratch_size;   ///< bytes for each lane
  std::uint32_t scratch_shift;  ///< waves get it in pieces of 2 ^ this rows
  std::uint64_t total_blocks;
  std::uint64_t next_block = 0;
  std::uint64_t finished_blocks = 0;
  std::vector<std::unique_ptr<Block>> resident;
  std::uint64_t resident_target;
  std::uint64_t resident_most;  ///< never more than this
  std::uint64_t late_from;      ///< blocks from this one on start late
  Clock::duration late_by;
  std::uint32_t idle_rounds = 0;         ///< in a row, without global progress
  std::uint32_t rounds_without_end = 0;  ///< in a row, in which no block ended
  std::optional<Fault> fault;
  Outcome outcome;
  Clock::time_point began;
  double processor_began = 0;
  Clock::time_point progressed_at;
  Random random;

 private:
  void place_arguments();
  void start_wave(Wave& wave, Block& block, std::uint32_t index);
  void release(Block& block, BlockMemory& memory);
  std::size_t lds_bytes() const;

  Pages argument_memory_;
  std::uint64_t kernarg_ = 0;
  std::uint64_t packet_ = 0;
  std::uint64_t queue_ = 0;
  std::vector<std::uint64_t> allocations_;
  std::vector<std::unique_ptr<Block>> spare_blocks_;
};

}  // namespace virtual_rocm::engine
