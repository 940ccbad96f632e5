// SPDX-License-Identifier: MIT
//
// Saying where waves are. Internal to the engine.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "engine/scheduler/launch_state.hpp"

namespace virtual_rocm::engine {

/// Where a wave is; with source lines if `with_source` (that reads debug information once).
Site site_of(const Wave& wave, const Operation* operation, std::optional<unsigned> lane, bool with_source);

/// Who waits where in a launch: waves at the same instruction on the same address are one entry, the most
/// numerous first.
std::vector<Wait> waits_of(const LaunchState& launch);

/// "3 of 80 blocks finished, 2 resident, 75 not started".
std::string progress_of(const LaunchState& launch);

/// An address in words: "offset 64 of hipMalloc #3 (device memory, 4096 bytes, rank 1)".
std::string describe_address(std::uint64_t address);

}  // namespace virtual_rocm::engine
