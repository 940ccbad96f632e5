// SPDX-License-Identifier: MIT
#include "engine/execute/flat_memory.hpp"

namespace virtual_rocm::engine {

bool read_flat_byte(const Wave& wave, unsigned lane, std::uint64_t address, std::uint8_t& byte) {
  const auto high = static_cast<std::uint32_t>(address >> 32);
  const auto low = static_cast<std::uint32_t>(address);
  if (high == kSharedApertureHigh) {
    if (low >= wave.lds_size) return false;
    byte = wave.lds[low];
    return true;
  }
  if (high == kPrivateApertureHigh) {
    if (low >= wave.scratch_size) return false;
    const std::uint8_t* const row = held_scratch_row(&wave, low / 4);
    if (row == nullptr) return false;
    byte = row[lane * 4 + low % 4];
    return true;
  }
  if (!wave.worker->reads.allows(address, 1)) return false;
  byte = *reinterpret_cast<const std::uint8_t*>(address);
  return true;
}

std::string read_flat_string(const Wave& wave, unsigned lane, std::uint64_t address, std::size_t limit) {
  std::string text;
  std::uint8_t byte = 0;
  while (text.size() < limit && read_flat_byte(wave, lane, address + text.size(), byte) && byte != 0)
    text += static_cast<char>(byte);
  return text;
}

}  // namespace virtual_rocm::engine
