// SPDX-License-Identifier: MIT
//
// Reading memory that a lane's flat address names, outside the fast paths.
#pragma once

#include <cstdint>
#include <string>

#include "engine/block.hpp"

namespace virtual_rocm::engine {

/// Copies one byte from a flat address (global, LDS or private). False if it is not there.
bool read_flat_byte(const Wave& wave, unsigned lane, std::uint64_t address, std::uint8_t& byte);

/// The string that begins at a flat address: to its zero byte, or `limit` bytes. Stops where memory ends.
std::string read_flat_string(const Wave& wave, unsigned lane, std::uint64_t address, std::size_t limit);

}  // namespace virtual_rocm::engine
