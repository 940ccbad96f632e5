// SPDX-License-Identifier: MIT
//
// What `python -m virtual_rocm coverage` calls: source lines of executed instructions.
#include <string>

#include "engine/coverage.hpp"
#include "runtime/hip/abi.hpp"

using namespace virtual_rocm;

/// Calls `write` with each line of engine::describe_coverage(). 0, or 1 after a call with the reason.
VIRTUAL_ROCM_HIP int virtual_rocm_describe_coverage(const void* image, std::size_t image_size,
                                                    const std::uint8_t* executed, std::size_t instructions,
                                                    void (*write)(const char*)) {
  try {
    engine::describe_coverage({static_cast<const std::byte*>(image), image_size}, {executed, instructions},
                              [write](const std::string& line) { write(line.c_str()); });
    return 0;
  } catch (const std::exception& error) {
    write(error.what());
    return 1;
  }
}
