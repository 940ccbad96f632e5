// SPDX-License-Identifier: MIT
#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <string>
#include <string_view>

#include "engine/engine.hpp"

namespace virtual_rocm::engine {
namespace {

[[noreturn]] void reject(const char* name, const char* text, const std::string& accepted) {
  throw LoadError(std::string(name) + "=" + text + " is not " + accepted);
}

template <typename Number>
void read(const char* name, Number& value, Number least, const char* accepted) {
  const char* text = std::getenv(name);
  if (text == nullptr || *text == '\0') return;
  Number parsed{};
  const auto [end, error] = std::from_chars(text, text + std::strlen(text), parsed);
  if (error != std::errc() || *end != '\0' || parsed < least) reject(name, text, accepted);
  value = parsed;
}

void read(const char* name, bool& value) {
  const char* text = std::getenv(name);
  if (text == nullptr || *text == '\0') return;
  const std::string_view word(text);
  if (word == "1" || word == "true" || word == "on" || word == "yes")
    value = true;
  else if (word == "0" || word == "false" || word == "off" || word == "no")
    value = false;
  else
    reject(name, text, "0 or 1");
}

// RANK/KERNEL/FIRST/SECONDS
void read(const char* name, LateBlocks& value) {
  const char* text = std::getenv(name);
  if (text == nullptr || *text == '\0') return;
  std::string_view parts[4];
  std::string_view rest(text);
  for (std::string_view& part : parts) {
    const std::size_t slash = std::min(rest.find('/'), rest.size());
    part = rest.substr(0, slash);
    rest.remove_prefix(std::min(slash + 1, rest.size()));
  }
  const auto number = [&](std::string_view part, auto& parsed) {
    const auto [end, error] = std::from_chars(part.data(), part.data() + part.size(), parsed);
    return error == std::errc() && end == part.data() + part.size() && parsed >= 0;
  };
  if (!number(parts[0], value.rank) || !number(parts[2], value.first) || !number(parts[3], value.seconds) ||
      !rest.empty())
    reject(name, text, "RANK/KERNEL/FIRST BLOCK/SECONDS, for example 1/EpDispatch/1/0.2");
  value.kernel = parts[1];
}

}  // namespace

isa::Architecture device_architecture() {
  static const isa::Architecture architecture = [] {
    const char* const name = "VIRTUAL_ROCM_ARCHITECTURE";
    const char* const text = std::getenv(name);
    if (text == nullptr || *text == '\0') return isa::Architecture::gfx942;
    for (const isa::Architecture each : {isa::Architecture::gfx942, isa::Architecture::gfx950})
      if (std::string_view(text) == isa::to_string(each)) return each;
    reject(name, text, "gfx942 or gfx950");
  }();
  return architecture;
}

Knobs Knobs::from_environment() {
  Knobs knobs;
  constexpr const char* kPositive = "a number from 1 on";
  constexpr const char* kCount = "a number from 0 on";
  constexpr const char* kSeconds = "a number of seconds, 0 or more";
  read<std::uint64_t>("VIRTUAL_ROCM_SEED", knobs.seed, 0, kCount);
  read<std::uint32_t>("VIRTUAL_ROCM_QUANTUM", knobs.quantum, 1, kPositive);
  read<std::uint32_t>("VIRTUAL_ROCM_SPIN_QUANTUM", knobs.spin_quantum, 1, kPositive);
  read<std::uint32_t>("VIRTUAL_ROCM_RESIDENT_BLOCKS", knobs.resident_blocks, 1, kPositive);
  read<std::uint32_t>("VIRTUAL_ROCM_RESIDENT_LIMIT", knobs.resident_limit, 0, kCount);
  read<double>("VIRTUAL_ROCM_DEADLINE_SECONDS", knobs.deadline_seconds, 0, kSeconds);
  read<double>("VIRTUAL_ROCM_STALL_SECONDS", knobs.stall_seconds, 0, kSeconds);
  read<double>("VIRTUAL_ROCM_LOCKSTEP_PATIENCE", knobs.lockstep_patience, 0, kSeconds);
  read("VIRTUAL_ROCM_CHECK_BOUNDS", knobs.check_bounds);
  read("VIRTUAL_ROCM_REAL_CLOCK", knobs.real_clock);
  read("VIRTUAL_ROCM_LATE_BLOCKS", knobs.late_blocks);
  return knobs;
}

}  // namespace virtual_rocm::engine
