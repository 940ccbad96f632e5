// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "engine/code_object.hpp"

namespace virtual_rocm::engine {

/// What the metadata note says of a kernel; its descriptor says the rest.
struct KernelMetadata {
  std::string descriptor_symbol;  ///< "name.kd"
  std::string name;
  std::vector<KernelArgument> arguments;
  std::uint32_t maximum_block_size = 1024;
  std::uint32_t vgpr_count = 0;
  std::uint32_t agpr_count = 0;
  std::uint32_t sgpr_count = 0;
  std::uint32_t wave_size = 64;
  bool dynamic_stack = false;
};

/// Reads the contents of an NT_AMDGPU_METADATA note (code objects v3 to v6). Throws LoadError.
std::vector<KernelMetadata> read_metadata(std::span<const std::byte> note);

}  // namespace virtual_rocm::engine
