// SPDX-License-Identifier: MIT
//
// From a launch call to the engine: limits are checked in the call, the kernel runs when its stream comes to
// it.
#pragma once

#include <cstddef>
#include <vector>

#include "engine/engine.hpp"
#include "runtime/module.hpp"

namespace virtual_rocm {

struct LaunchRequest {
  LoadedKernel loaded;
  engine::Dimensions grid;
  engine::Dimensions block;
  std::size_t dynamic_lds = 0;
  std::vector<std::byte> arguments;
};

/// Throws HipError with the code that HIP gives for a launch beyond the device's or the kernel's limits.
void check_launch(const LaunchRequest& request);

/// Runs the launch and waits for its end; a fault goes to handle_fault(). Does nothing after an earlier
/// fault.
void run_launch(int device, const LaunchRequest& request);

/// How many blocks of that size a compute unit holds at once, by waves, registers and LDS.
int occupancy(const engine::Kernel& kernel, int block_size, std::size_t dynamic_lds);

}  // namespace virtual_rocm
