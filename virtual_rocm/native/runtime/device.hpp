// SPDX-License-Identifier: MIT
//
// The virtual devices of this process, what they claim to be, and how a fault on one reaches the program.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

#include "engine/engine.hpp"
#include "runtime/hip_error.hpp"

namespace virtual_rocm {

/// What the devices report about themselves: an MI300X (gfx942), as ROCm describes it.
struct DeviceFacts {
  std::string name;          ///< VIRTUAL_ROCM_DEVICE_NAME
  std::string architecture;  ///< "gfx942:sramecc+:xnack-"
  int compute_major = 9, compute_minor = 4;
  int multiprocessors;  ///< VIRTUAL_ROCM_COMPUTE_UNITS
  int warp_size = 64;
  int threads_per_block = 1024;
  int threads_per_multiprocessor = 2048;
  int lds_per_block = 64 * 1024;
  int registers_per_block = 64 * 1024;
  int clock_kilohertz = 2100000;
  int memory_clock_kilohertz = 1300000;
  int memory_bus_bits = 8192;
  int wall_clock_kilohertz = 100000;  ///< of s_memrealtime
  int l2_bytes = 4 << 20;
  std::uint64_t memory_bytes;
};
const DeviceFacts& device_facts();

/// How many devices the process sees: VIRTUAL_ROCM_DEVICES, or as many as HIP_VISIBLE_DEVICES /
/// ROCR_VISIBLE_DEVICES list.
int device_count();
/// Throws HipError(invalid_device) if there is no such device.
void check_device(int device);
/// Of the calling thread.
int current_device();
void set_current_device(int device);
/// "0000:1b:00.0"
std::string pci_bus_id(int device);

/// The engine of a device; its threads start with the first launch.
engine::Executor& executor(int device);

/// Called when a launch has ended with a fault. Reports it, and does to the process what the hardware would:
/// an assertion or a trap aborts it, anything else makes every later call return an error.
/// VIRTUAL_ROCM_ON_FAULT=abort or =error chooses one of the two for all faults.
void handle_fault(const engine::Fault& fault);
/// The error of an earlier fault; success if there was none.
ErrorCode sticky_error();

/// hipDeviceProp_t in its 6.0 layout: 1472 bytes.
std::array<std::byte, 1472> device_properties(int device);
/// The value of a hipDeviceAttribute_t; throws HipError(invalid_value) for one that HIP does not define.
int device_attribute(int attribute, int device);

}  // namespace virtual_rocm
